package main

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/jackc/pglogrepl"
)

// A lookout asks the server where it and the slot stand, in sessions of its own: the one that captures is not disturbed.
type lookout struct {
	cfg *config
	log hclog.Logger

	mu    sync.Mutex // guards the rest
	slot  *slot      // nil when the last question was not answered, or there is none
	asked time.Time
	track track
}

// slotInterval bounds how often the server is asked, however often metrics are.
const slotInterval = 5 * time.Second

// look asks the server, unless it has just been asked. Without an answer it returns nil.
func (l *lookout) look(ctx context.Context) *slot {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.asked) < slotInterval {
		return l.slot
	}
	l.slot, l.asked = nil, time.Now()
	ctx, cancel := context.WithTimeout(ctx, slotInterval)
	defer cancel()
	conn, err := connect(ctx, l.cfg, "metrics", io.Discard)
	if err == nil {
		defer conn.Close(ctx)
		l.slot, err = findSlot(ctx, conn, l.cfg.Source.Slot)
	}
	switch {
	case ctx.Err() != nil && context.Cause(ctx) == context.Canceled: // the run ends
	case err != nil:
		l.log.Warn("metrics: no look at the slot", "error", err)
	case l.slot != nil:
		l.track.note(time.Now(), l.slot.now)
	}
	return l.slot
}

// watch looks again and again: how far a position is behind in seconds takes a memory of where the server was when.
func (l *lookout) watch(ctx context.Context) {
	ticker := time.NewTicker(2 * slotInterval)
	defer ticker.Stop()
	for ctx.Err() == nil {
		l.look(ctx)
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
}

// behind tells how far a position is behind the server's at its last sight, in bytes and in time. ok is false before the
// first sight; known is false where the position is older than any sight, and the time a lower bound.
func (l *lookout) behind(now time.Time, pos pglogrepl.LSN) (bytes int64, late time.Duration, known, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.track.behind(now, pos)
}

// A track is where the server was when: sights in the order of time, whose positions do not go back. The newest is always
// there; the others are at least step apart.
type track struct {
	sights []sight
	step   time.Duration
}

type sight struct {
	at  time.Time
	pos pglogrepl.LSN
}

// longestTrack is some hours' worth. For a longer one the step grows.
const longestTrack = 1 << 11

func (t *track) note(at time.Time, pos pglogrepl.LSN) {
	s := t.sights
	n := len(s)
	switch {
	case n > 0 && pos < s[n-1].pos: // another server's
		s, t.step = s[:0], 0
	case n > 1 && (at.Sub(s[n-2].at) < t.step || pos == s[n-2].pos): // of a pause, the beginning and the end are kept
		s = s[:n-1]
	case n == longestTrack:
		for i := range n / 2 {
			s[i] = s[2*i]
		}
		s = s[:n/2]
		t.step = s[n/2-1].at.Sub(s[0].at) / time.Duration(n/2-1)
	}
	t.sights = append(s, sight{at, pos})
}

func (t *track) behind(now time.Time, pos pglogrepl.LSN) (bytes int64, late time.Duration, known, ok bool) {
	seen := t.sights
	n := len(seen)
	if n == 0 {
		return 0, 0, false, false
	}
	if pos >= seen[n-1].pos {
		return 0, 0, true, true
	}
	bytes = int64(seen[n-1].pos - pos)
	i := n - 1
	for i > 0 && seen[i-1].pos > pos {
		i--
	}
	if i == 0 {
		return bytes, now.Sub(seen[0].at), false, true
	}
	// Between two sights the server is taken to have gone steadily.
	from, to := seen[i-1], seen[i]
	part := float64(pos-from.pos) / float64(to.pos-from.pos)
	return bytes, now.Sub(from.at) - time.Duration(part*float64(to.at.Sub(from.at))), true, true
}
