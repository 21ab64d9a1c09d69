package witness

import (
	"testing"
	"time"
)

// TestSamplerKeeps: what was seen is kept up to a bound, the newest of it, not for ever, and not beyond a crash.
func TestSamplerKeeps(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	s := &Sampler{seen: make(map[uint32]sampled)}
	alice := &Session{User: "alice"}
	const all = 2*mostSampled + 10
	for xid := uint32(1); xid <= all; xid++ {
		s.note(&snapshot{at: now, sessions: map[uint32]*Session{xid: alice}}, 0)
		s.note(&snapshot{at: now, sessions: map[uint32]*Session{xid: alice}}, 0) // again, which counts once
	}
	for _, test := range []struct {
		xid  uint32
		at   time.Time
		want *Session
	}{
		{all, now, alice},
		{all - mostSampled + 1, now.Add(time.Hour), alice},
		{all - mostSampled, now, nil},
		{all + 1, now, nil},
		{all, now.Add(sampleHolds + time.Second), nil},
	} {
		if got := s.Of(test.xid, test.at); got != test.want {
			t.Errorf("transaction %d at %s: %v", test.xid, test.at, got)
		}
	}
	if len(s.seen) != mostSampled || cap(s.order) > 4*mostSampled {
		t.Errorf("%d are kept, of %d places", len(s.seen), cap(s.order))
	}
	s.Forget()
	if got := s.Of(all, now); got != nil {
		t.Errorf("after a crash: %v", got)
	}
	s.note(&snapshot{at: now, sessions: map[uint32]*Session{all: alice}}, 0)
	if got := s.Of(all, now); got != nil {
		t.Errorf("what was asked for before the crash and answered afterwards: %v", got)
	}
	s.note(&snapshot{at: now, sessions: map[uint32]*Session{all: alice}}, s.current())
	if got := s.Of(all, now); got != alice {
		t.Errorf("seen after the crash: %v", got)
	}
}
