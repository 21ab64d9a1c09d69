package capture

import (
	"encoding/binary"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pglogrepl"
)

// A told is one status as the server sees it.
type told struct {
	at           time.Duration
	write, flush pglogrepl.LSN
	reply        bool
}

// listen starts a writer and returns what arrives at the other end, in the bubble's time.
func listen(t *testing.T, timeout time.Duration, start pglogrepl.LSN) (*link, <-chan told) {
	ours, theirs := net.Pipe()
	l := &link{conn: ours, wake: make(chan struct{}, 1)}
	l.confirmed.Store(uint64(start))
	statuses := make(chan told, 1000)
	begin := time.Now()
	go func() {
		defer close(statuses)
		frames := newFrameReader(theirs)
		for {
			kind, body, err := frames.next()
			if err != nil {
				return
			}
			if kind != 'd' || len(body) != 34 || body[0] != 'r' {
				t.Errorf("frame %q, %d bytes", kind, len(body))
				return
			}
			at := func(i int) uint64 { return binary.BigEndian.Uint64(body[i:]) }
			if at(9) != at(17) {
				t.Errorf("flush %x, apply %x", at(9), at(17))
			}
			if sent := epoch.Add(time.Duration(at(25)) * time.Microsecond); time.Since(sent) > time.Second {
				t.Errorf("sent at %s", sent)
			}
			statuses <- told{time.Since(begin), pglogrepl.LSN(at(1)), pglogrepl.LSN(at(9)), body[33] == 1}
		}
	}()
	w := startWriter(l, paceOf(timeout), start)
	t.Cleanup(func() {
		w.stop()
		theirs.Close()
		ours.Close()
	})
	return l, statuses
}

// all returns what has been told so far.
func all(statuses <-chan told) []told {
	synctest.Wait()
	var got []told
	for {
		select {
		case s, ok := <-statuses:
			if !ok {
				return got
			}
			got = append(got, s)
		default:
			return got
		}
	}
}

func TestStatusUnasked(t *testing.T) {
	for _, test := range []struct{ timeout, every time.Duration }{
		{5 * time.Second, 5 * time.Second / 3}, {time.Minute, 10 * time.Second}, {0, 10 * time.Second},
		{9 * time.Second, 3 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			l, statuses := listen(t, test.timeout, 0x100)
			l.received.Store(0x500)
			time.Sleep(10*test.every + test.every/2)
			got := all(statuses)
			if len(got) != 11 { // the first one at once
				t.Fatalf("timeout %s: %d statuses in %s: %v", test.timeout, len(got), 10*test.every, got)
			}
			for i, s := range got {
				// Nothing has been read, so all but the first want to know whether the server is there.
				if s.write != 0x500 && i > 0 || s.flush != 0x100 || s.at != time.Duration(i)*test.every {
					t.Errorf("timeout %s, status %d: %+v", test.timeout, i, s)
				}
				if i > 0 && !s.reply {
					t.Errorf("timeout %s, status %d asks for no reply after silence", test.timeout, i)
				}
			}
			l.filled()
			time.Sleep(test.every)
			if got := all(statuses); len(got) != 1 || got[0].reply {
				t.Errorf("timeout %s: after a read: %+v", test.timeout, got)
			}
		})
	}
}

// TestWriterAlive: a writer is alive while it writes in time.
func TestWriterAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &writer{pace: paceOf(time.Minute), began: time.Now()}
		limit := w.pace.unasked + w.pace.timeout + goodbye
		for _, step := range []struct {
			sleep time.Duration
			wrote bool
			want  bool
		}{
			{0, false, true}, {limit, false, true}, {1, false, false}, {0, true, true}, {limit, false, true}, {time.Hour, false, false},
		} {
			time.Sleep(step.sleep)
			if step.wrote {
				w.wrote.Store(int64(time.Since(w.began)))
			}
			if got := w.alive(); got != step.want {
				t.Errorf("%s after its beginning: %v", time.Since(w.began), got)
			}
		}
	})
}

func TestStatusFollowsConfirmation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, statuses := listen(t, time.Minute, 0x100)
		all(statuses)
		time.Sleep(time.Second)
		l.confirm(0x200)
		if got := all(statuses); len(got) != 1 || got[0].flush != 0x200 || got[0].write != 0x200 || got[0].at != time.Second {
			t.Errorf("first: %+v", got)
		}
		// A storm of confirmations costs one status for every pace.confirm, and the newest is told.
		for pos := range 1000 {
			l.confirm(pglogrepl.LSN(0x300 + pos))
			time.Sleep(100 * time.Microsecond)
		}
		time.Sleep(10 * time.Millisecond)
		got := all(statuses)
		if len(got) < 8 || len(got) > 12 || got[len(got)-1].flush != 0x300+999 {
			t.Errorf("%d statuses in 100 ms, last %+v", len(got), got[len(got)-1])
		}
		l.confirm(0x300) // never back
		time.Sleep(30 * time.Second)
		for _, s := range all(statuses) {
			if s.flush != 0x300+999 {
				t.Errorf("told %s after %x", s.flush, 0x300+999)
			}
		}
	})
}

func TestStatusAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, statuses := listen(t, time.Minute, 0x100)
		all(statuses)
		time.Sleep(5 * time.Second)
		l.ask()
		if got := all(statuses); len(got) != 1 || got[0].at != 5*time.Second || got[0].reply {
			t.Errorf("first: %+v", got)
		}
		// A server that shuts down asks again as soon as it is answered.
		for range 10_000 {
			l.filled()
			l.ask()
			time.Sleep(time.Millisecond)
		}
		if got := all(statuses); len(got) != 10 {
			t.Errorf("%d answers in 10 s", len(got))
		}
		// What is new is said all the same.
		l.ask()
		l.confirm(0x200)
		time.Sleep(10 * time.Millisecond)
		if got := all(statuses); len(got) != 1 || got[0].flush != 0x200 {
			t.Errorf("confirmed meanwhile: %+v", got)
		}
	})
}

func TestStatusNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		l := &link{conn: ours, wake: make(chan struct{}, 1)}
		w := startWriter(l, paceOf(time.Minute), 0x100) // nobody reads
		time.Sleep(59 * time.Second)
		if err := l.failure(); err != nil {
			t.Errorf("too early: %v", err)
		}
		time.Sleep(2 * time.Second)
		if err := l.failure(); !isTimeout(err) {
			t.Errorf("got %v", err)
		}
		if _, err := theirs.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the connection is still open: %v", err)
		}
		if !w.alive() {
			t.Error("held for dead before the session could end")
		}
		time.Sleep(15 * time.Second)
		if w.alive() {
			t.Error("held for alive 76 s after its last word")
		}
		w.stop()
	})
}

// A writer that nobody gives anything to say is alive all the same.
func TestWriterIsAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		go io.Copy(io.Discard, theirs)
		w := startWriter(&link{conn: ours, wake: make(chan struct{}, 1)}, paceOf(time.Minute), 0x100)
		for range 1000 {
			time.Sleep(time.Second)
			if !w.alive() {
				t.Fatal("held for dead")
			}
		}
		w.stop()
		theirs.Close()
	})
}

func TestStopDoesNotWaitForAHungServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		w := startWriter(&link{conn: ours, wake: make(chan struct{}, 1)}, paceOf(time.Minute), 0x100)
		synctest.Wait()
		begin := time.Now()
		w.stop()
		if took := time.Since(begin); took != goodbye {
			t.Errorf("took %s", took)
		}
	})
}
