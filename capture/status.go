package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pglogrepl"
)

// A pace says when a status is due.
type pace struct {
	unasked time.Duration // after the last one, whatever happens
	repeat  time.Duration // before an answer that says nothing new
	confirm time.Duration // between two confirmations: each costs the walsender a wake-up, and it is the bottleneck
	timeout time.Duration // for one write; a server that takes no status for so long is gone
}

// fallbackTimeout stands for wal_sender_timeout where the server has none.
const fallbackTimeout = time.Minute

// paceOf derives the pace from the server's wal_sender_timeout.
func paceOf(timeout time.Duration) pace {
	if timeout <= 0 {
		timeout = fallbackTimeout
	}
	unasked := min(timeout/3, 10*time.Second)
	return pace{
		unasked: unasked,
		repeat:  min(unasked, time.Second),
		confirm: min(unasked, 10*time.Millisecond),
		timeout: max(timeout, 10*time.Second),
	}
}

// due is the time until the next status, counted from the last one.
func (p pace) due(news, asked bool) time.Duration {
	switch {
	case news:
		return p.confirm
	case asked:
		return p.repeat
	}
	return p.unasked
}

// A writer owns the writing half until it is stopped.
type writer struct {
	link  *link
	pace  pace
	began time.Time
	wrote atomic.Int64 // when it wrote last, in nanoseconds after it began
	quit  chan struct{}
	done  chan struct{}
}

func startWriter(l *link, p pace, start pglogrepl.LSN) *writer {
	w := &writer{link: l, pace: p, began: time.Now(), quit: make(chan struct{}), done: make(chan struct{})}
	go w.run(start)
	return w
}

// stop ends the writer and gives the writing half back.
func (w *writer) stop() {
	close(w.quit)
	select {
	case <-w.done:
	case <-time.After(goodbye):
		w.link.fail(errors.New("the server takes no status"))
		<-w.done
	}
}

// alive reports whether it has written in the time that it has for that: until a status is due, and for the writing. Where
// the server takes none, the connection is given up before that.
func (w *writer) alive() bool {
	return time.Since(w.began)-time.Duration(w.wrote.Load()) <= w.pace.unasked+w.pace.timeout+goodbye
}

func (w *writer) run(told pglogrepl.LSN) {
	defer close(w.done)
	var (
		buf   []byte
		asks  uint64 // answered
		reads uint64 // when the last unasked status was sent
		last  = time.Now()
		timer = time.NewTimer(0) // the first status at once: the server's clock starts with the stream
	)
	defer timer.Stop()
	for first := true; ; first = false {
		select {
		case <-w.quit:
			return
		case <-w.link.wake:
		case <-timer.C:
		}
		news, asked := w.link.durable() > told, w.link.asks.Load() != asks
		if wait := w.pace.due(news, asked) - time.Since(last); wait > 0 && !first {
			timer.Reset(wait)
			continue
		}
		told, asks = w.link.durable(), w.link.asks.Load()
		reply := false
		if !news && !asked {
			// Nothing heard since the last time: a reply tells a silent server from a dead one.
			now := w.link.reads.Load()
			reply, reads = now == reads, now
		}
		buf = appendStatus(buf[:0], w.link, reply)
		w.link.conn.SetWriteDeadline(time.Now().Add(w.pace.timeout))
		if _, err := w.link.conn.Write(buf); err != nil {
			w.link.fail(fmt.Errorf("write status: %w", err))
			return
		}
		last = time.Now()
		w.wrote.Store(int64(last.Sub(w.began)))
		timer.Reset(w.pace.unasked)
	}
}

// appendStatus appends a standby status update in its CopyData frame. All three positions are set: the server takes a
// zero for "unknown", some clients then send the received position as durable.
func appendStatus(dst []byte, l *link, reply bool) []byte {
	flush := l.confirmed.Load()
	write := max(l.received.Load(), flush)
	dst = append(dst, 'd')
	dst = binary.BigEndian.AppendUint32(dst, 4+1+4*8+1)
	dst = append(dst, 'r')
	dst = binary.BigEndian.AppendUint64(dst, write)
	dst = binary.BigEndian.AppendUint64(dst, flush)
	dst = binary.BigEndian.AppendUint64(dst, flush) // apply
	dst = binary.BigEndian.AppendUint64(dst, uint64(time.Since(epoch).Microseconds()))
	if reply {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// epoch is PostgreSQL's: timestamps count microseconds from it.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
