package witness

import (
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/jackc/pglogrepl"
)

// repeat is how often the server is told where we stand even if nothing has changed: what it was told while it was still
// sending old log released nobody (SyncRepReleaseWaiters in syncrep.c does nothing unless the walsender is streaming).
const repeat = time.Second

// At the beginning it is told more often: the moment when the walsender has caught up is not told to us, and sessions wait
// for the first status after it.
const (
	eager  = 50 * time.Millisecond
	eagerN = 60
)

// asking is how often the server is asked for a sign of life.
const asking = 5 * time.Second

// stuck bounds one write. A server that takes no status for so long is gone.
const stuck = 10 * time.Second

// A reporter owns the writing half of the witness's connection. Positions never go back.
type reporter struct {
	conn net.Conn
	wake chan struct{} // of one: flushed has advanced
	quit chan struct{}
	done chan struct{}

	asked time.Time // of run

	mu      sync.Mutex // guards the rest and the writing
	written pglogrepl.LSN
	flushed func() pglogrepl.LSN
	told    pglogrepl.LSN // as flushed
	buf     []byte
	err     error
}

func startReporter(conn net.Conn, written pglogrepl.LSN, flushed func() pglogrepl.LSN) *reporter {
	r := &reporter{
		conn: conn, wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
		written: written, flushed: flushed,
	}
	go r.run()
	return r
}

func (r *reporter) stop() {
	close(r.quit)
	<-r.done
}

func (r *reporter) run() {
	defer close(r.done)
	ticker := time.NewTicker(eager)
	defer ticker.Stop()
	for ticks := 0; ; {
		ask := time.Since(r.asked) > asking
		if ask {
			r.asked = time.Now()
		}
		r.send(0, ask)
		select {
		case <-r.quit:
			return
		case <-r.wake:
		case <-ticker.C:
			if ticks++; ticks == eagerN {
				ticker.Reset(repeat)
			}
		}
	}
}

// poke has a new durable position told. It does not block.
func (r *reporter) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// report tells how far we are. It goes out at once: sessions wait for it.
func (r *reporter) report(written pglogrepl.LSN) error { return r.send(written, false) }

func (r *reporter) send(written pglogrepl.LSN, ask bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return r.err
	}
	r.written = max(r.written, written)
	r.told = max(r.told, r.flushed())
	r.written = max(r.written, r.told)
	r.buf = appendStatus(r.buf[:0], r.written, r.told, ask)
	r.conn.SetWriteDeadline(time.Now().Add(stuck))
	if _, err := r.conn.Write(r.buf); err != nil {
		r.err = fmt.Errorf("tell the server how far the witness is: %w", err)
		r.conn.Close() // the reading half ends, too
	}
	return r.err
}

// appendStatus appends a standby status update in its CopyData frame.
func appendStatus(dst []byte, written, flushed pglogrepl.LSN, ask bool) []byte {
	dst = append(dst, 'd')
	dst = binary.BigEndian.AppendUint32(dst, 4+1+4*8+1)
	dst = append(dst, 'r')
	dst = binary.BigEndian.AppendUint64(dst, uint64(written))
	dst = binary.BigEndian.AppendUint64(dst, uint64(flushed))
	dst = binary.BigEndian.AppendUint64(dst, uint64(flushed)) // apply
	dst = binary.BigEndian.AppendUint64(dst, uint64(time.Since(epoch).Microseconds()))
	if ask {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// epoch is PostgreSQL's: timestamps count microseconds from it.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
