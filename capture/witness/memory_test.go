package witness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pglogrepl"
)

// A shelf is a journal in memory.
type shelf struct {
	values [][]byte
	ends   []pglogrepl.LSN
	gone   int // records that retention has taken
	reads  int
}

func (s *shelf) Last() []byte { return nil }

func (s *shelf) Append(_ context.Context, _ uint32, to pglogrepl.LSN, value []byte) error {
	s.values, s.ends = append(s.values, value), append(s.ends, to)
	return nil
}

func (s *shelf) Records(_ context.Context, _ uint32, pos pglogrepl.LSN) (Reader, bool, error) {
	for i := s.gone; i < len(s.ends); i++ {
		if s.ends[i] > pos {
			return &shelfReader{s, i}, i == s.gone && s.gone > 0, nil
		}
	}
	return &shelfReader{s, len(s.ends)}, false, nil
}

type shelfReader struct {
	*shelf
	next int
}

func (r *shelfReader) Next(context.Context) ([]byte, error) {
	r.reads++
	if r.next >= len(r.values) {
		return nil, io.EOF
	}
	r.next++
	return r.values[r.next-1], nil
}

// each commit record i begins at 100*i, ends at 100*i+50 and is of transaction i; every tenth look-up has ten of them.
func answersFor(from, to int) []answer {
	var list []answer
	for i := from; i < to; i++ {
		start := pglogrepl.LSN(100 * i)
		list = append(list, answer{start, start + 50, Commit{XID: uint32(i), Session: &Session{PID: int32(i), User: "u"}}})
	}
	return list
}

func store(t *testing.T, j *shelf, from, to int) {
	t.Helper()
	storeOn(t, j, 1, 0, from, to)
}

// storeOn stores commits on a timeline, with transaction ids that are higher by shift.
func storeOn(t *testing.T, j *shelf, timeline uint32, shift, from, to int) {
	t.Helper()
	begin := lsn(100*from - 50)
	for i := from; i < to; i += 10 {
		end := min(i+10, to)
		value := fmt.Sprintf(`{"timeline":%d,"from":%q,"to":%q,"sessions":[{"pid":7,"user":"u"}],"commits":[`, timeline, pglogrepl.LSN(begin), pglogrepl.LSN(100*end-50))
		begin = lsn(100*end - 50)
		for n := i; n < end; n++ {
			if n > i {
				value += ","
			}
			value += fmt.Sprintf(`{"xid":%d,"commit_lsn":%q,"end_lsn":%q,"session":0}`, n+shift, pglogrepl.LSN(100*n), pglogrepl.LSN(100*n+50))
		}
		value += `],"source":{"system":"1","slot":"w"}}`
		if err := j.Append(t.Context(), timeline, pglogrepl.LSN(begin), []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
}

func newTestWitness(j *shelf, from pglogrepl.LSN) *Witness {
	w := New(Config{TimelineOf: func(pglogrepl.LSN) uint32 { return 1 }}, nil)
	w.journal, w.memory = j, newMemory(from)
	return w
}

// TestFollower: a follower that begins far behind reads the journal, passes into the memory, and finds every commit; it
// reads each record once.
func TestFollower(t *testing.T) {
	const all = 5000
	j := &shelf{}
	store(t, j, 1, 4000)
	w := newTestWitness(j, 100*2000-50) // the rest of the journal is older than this memory
	w.memory.add(answersFor(2000, all), 100*all-50, 0)
	f := w.Follow()
	for i := 1; i < all; i++ {
		c, err := f.Of(t.Context(), pglogrepl.LSN(100*i), uint32(i), 0)
		if err != nil || c.Session == nil {
			t.Fatalf("commit %d: %+v, %v", i, c, err)
		}
	}
	if j.reads > 210 {
		t.Errorf("%d reads of 200 records", j.reads)
	}
	if _, err := f.Of(t.Context(), 100*4999, 17, 0); err == nil {
		t.Error("another transaction at the same place is no error")
	}
	c, err := f.Of(t.Context(), 100*4999-10, 17, 0)
	if err != nil || c.Reason != Unwitnessed {
		t.Errorf("no commit record there: %+v, %v", c, err)
	}
}

// TestFollowerBefore: what committed before the journal begins is not witnessed, or has expired, and costs no search each time.
func TestFollowerBefore(t *testing.T) {
	for _, gone := range []int{0, 3} {
		j := &shelf{gone: gone}
		store(t, j, 1000, 1100)
		w := newTestWitness(j, 100*1100-50)
		f := w.Follow()
		want := map[bool]string{true: Expired, false: Unwitnessed}[gone > 0]
		for i := 1; i < 1000; i++ {
			c, err := f.Of(t.Context(), pglogrepl.LSN(100*i), uint32(i), 0)
			if err != nil || c.Reason != want {
				t.Fatalf("gone %d, commit %d: %+v, %v", gone, i, c, err)
			}
		}
		c, err := f.Of(t.Context(), 100*1050, 1050, 0)
		if err != nil || c.Session == nil || c.Session.PID != 7 {
			t.Errorf("gone %d: %+v, %v", gone, c, err)
		}
	}
}

// TestFollowerTimelines: what the journal has of a history that the server left is passed over.
func TestFollowerTimelines(t *testing.T) {
	j := &shelf{}
	store(t, j, 1, 31)             // the server left this history between the commits 24 and 25
	storeOn(t, j, 2, 1000, 25, 41) // and has other ones from there on
	w := newTestWitness(j, 100*41-50)
	w.cfg.TimelineOf = func(pos pglogrepl.LSN) uint32 {
		if pos < 2450 {
			return 1
		}
		return 2
	}
	f := w.Follow()
	for i := 1; i < 41; i++ {
		xid := uint32(i)
		if i >= 25 {
			xid += 1000
		}
		if c, err := f.Of(t.Context(), pglogrepl.LSN(100*i), xid, 0); err != nil || c.Session == nil {
			t.Fatalf("commit %d: %+v, %v", i, c, err)
		}
	}
}

// TestFollowerBetween: commits after the journal's end and before the memory are not witnessed; the journal is asked once.
func TestFollowerBetween(t *testing.T) {
	j := &shelf{}
	store(t, j, 1, 11)
	w := newTestWitness(j, 100*5000)
	f := w.Follow()
	for i := 1; i < 5000; i++ {
		c, err := f.Of(t.Context(), pglogrepl.LSN(100*i), uint32(i), 0)
		if err != nil || (c.Session == nil) != (i > 10) {
			t.Fatalf("commit %d: %+v, %v", i, c, err)
		}
	}
	if j.reads > 3 {
		t.Errorf("%d reads", j.reads)
	}
}

// TestFollowerWaits: it waits for the witness, as long as it may, and after a wait in vain no longer each time.
func TestFollowerWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTestWitness(&shelf{}, 50)
		f := w.Follow()
		go func() {
			time.Sleep(3 * time.Second)
			w.memory.add(answersFor(1, 3), 250, 0)
		}()
		began := time.Now()
		c, err := f.Of(t.Context(), 100, 1, 10*time.Second)
		if err != nil || c.Session == nil || time.Since(began) != 3*time.Second {
			t.Errorf("after %s: %+v, %v", time.Since(began), c, err)
		}
		for i, want := range []time.Duration{10 * time.Second, lateAgain, lateAgain} {
			began = time.Now()
			if c, err = f.Of(t.Context(), 300, 3, 10*time.Second); err != nil || c.Reason != TooLate || time.Since(began) != want {
				t.Errorf("%d: after %s: %+v, %v", i, time.Since(began), c, err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := f.Of(ctx, 300, 3, 0); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("cancelled: %v", err)
		}
	})
}

// TestMemoryKeeps: what is not durable is never forgotten; what is, only when there is much of it.
func TestMemoryKeeps(t *testing.T) {
	m := newMemory(50)
	const all = 3 * keepAnswers
	for i := 1; i < all; i += 100 {
		end := min(i+100, all)
		m.add(answersFor(i, end), pglogrepl.LSN(100*end-50), 0)
	}
	if s, _, _ := m.of(100); s != known {
		t.Errorf("the first one, which is not durable: %d", s)
	}
	m.add(nil, 100*all, 100*all)
	if s, _, _ := m.of(100); s != older {
		t.Errorf("the first one, which is durable: %d", s)
	}
	if s, _, _ := m.of(100 * (all - keepAnswers)); s != known {
		t.Errorf("one of the newest: %d", s)
	}
	if s, _, _ := m.of(100 * all); s != later {
		t.Errorf("one to come: %d", s)
	}
	if kept := len(m.answers) - m.first; kept != keepAnswers || cap(m.answers) > 4*all {
		t.Errorf("%d are kept, of %d places", kept, cap(m.answers))
	}
}
