package capture

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pglogrepl"
)

// A link is what the owners of the two halves, and those who confirm, tell each other about the connection.
type link struct {
	conn net.Conn

	received  atomic.Uint64 // newest position read
	confirmed atomic.Uint64 // newest position that is durable
	reads     atomic.Uint64 // successful reads
	asks      atomic.Uint64 // keepalives that asked for a reply
	waiting   atomic.Bool   // a read is blocked, or about to be
	cause     atomic.Pointer[error]
	failed    func(error) // Config.Failed

	wake chan struct{} // of one: there is something to say; what it is stands in the fields above
}

func (l *link) durable() pglogrepl.LSN { return pglogrepl.LSN(l.confirmed.Load()) }

func (l *link) confirm(pos pglogrepl.LSN) {
	for {
		old := l.confirmed.Load()
		if uint64(pos) <= old {
			return
		}
		if l.confirmed.CompareAndSwap(old, uint64(pos)) {
			l.poke()
			return
		}
	}
}

func (l *link) ask() {
	l.asks.Add(1)
	l.poke()
}

// waits and filled are called around a read.
func (l *link) waits() { l.waiting.Store(true) }

func (l *link) filled() {
	l.waiting.Store(false)
	l.reads.Add(1)
}

func (l *link) poke() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// fail gives the connection up. The first cause is the one that Next reports, as an AwayError.
func (l *link) fail(cause error) {
	cause = &AwayError{cause}
	first := l.cause.CompareAndSwap(nil, &cause)
	l.conn.Close()
	if first && l.failed != nil {
		l.failed(cause)
	}
}

func (l *link) failure() error {
	if p := l.cause.Load(); p != nil {
		return *p
	}
	return nil
}

// An interrupter ends a blocked read when the reader's context ends, by the connection's read deadline. It costs one
// registration a context, not one a message.
type interrupter struct {
	conn net.Conn
	done <-chan struct{} // of the context that is watched
	stop func() bool

	mu      sync.Mutex // guards current, so that a context that is no longer watched sets no deadline
	current int
}

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// watch makes ctx the one whose end interrupts a read.
func (i *interrupter) watch(ctx context.Context) error {
	if done := ctx.Done(); done != i.done || i.stop == nil {
		i.release()
		i.done = done
		i.mu.Lock()
		number := i.current
		i.mu.Unlock()
		i.stop = context.AfterFunc(ctx, func() {
			i.mu.Lock()
			defer i.mu.Unlock()
			if i.current == number {
				i.conn.SetReadDeadline(longAgo)
			}
		})
	}
	select {
	case <-i.done:
		return ctx.Err()
	default:
		return nil
	}
}

// release watches nothing.
func (i *interrupter) release() {
	if i.stop == nil {
		return
	}
	i.stop()
	i.stop = nil
	i.mu.Lock()
	defer i.mu.Unlock()
	i.current++
	i.conn.SetReadDeadline(time.Time{})
}
