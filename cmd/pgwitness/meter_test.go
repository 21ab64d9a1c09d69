package main

import (
	"math"
	"testing"
	"time"

	"github.com/jackc/pglogrepl"

	"pgwitness/decode"
	"pgwitness/publish"
)

func TestHistogram(t *testing.T) {
	h := newHistogram([]float64{.1, 1, 10})
	h.add(.05, 3)
	h.add(.1, 1) // a bound belongs to its bucket
	h.add(5, 2)
	h.add(100, 4)
	h.add(-7, 1) // clocks differ
	total, upTo := h.cumulative()
	if total != 11 || upTo[.1] != 5 || upTo[1] != 5 || upTo[10] != 7 || math.Abs(h.sum-410.25) > 1e-9 {
		t.Errorf("%d values, %v, sum %v", total, upTo, h.sum)
	}
}

func TestMeter(t *testing.T) {
	m := newMeter()
	now := time.Now().UnixMilli()
	counted := publish.Tally{Moments: []publish.Moment{{Millis: now - 20_000, Records: 3}, {Millis: now + 60_000, Records: 2}}}
	counted.Ops[decode.OpInsert] = publish.Count{Records: 5, Bytes: 700}
	m.Acknowledged("a", &counted)
	m.Acknowledged("a", &counted)
	m.Acknowledged("b", &counted)
	if got := m.topics["a"].ops[decode.OpInsert]; got != (publish.Count{Records: 10, Bytes: 1400}) || m.topics["a"].batches != 2 {
		t.Errorf("topic a: %+v", m.topics["a"])
	}
	total, upTo := m.latency.cumulative()
	if total != 15 || upTo[.001] != 6 || upTo[10] != 6 || upTo[30] != 15 {
		t.Errorf("latency of %d records: %v", total, upTo)
	}
}

// A position is behind by as much as the server was there ago.
func TestTrack(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	var tr track
	if _, _, _, ok := tr.behind(start, 5); ok {
		t.Error("something is known before the first sight")
	}
	for second, pos := range []uint64{1000, 1000, 1000, 1000, 2000, 4000} { // a sight every ten seconds
		tr.note(start.Add(time.Duration(10*second)*time.Second), pglogrepl.LSN(pos))
	}
	now := start.Add(53 * time.Second)
	for _, tt := range []struct {
		pos   uint64
		bytes int64
		late  time.Duration
		known bool
	}{
		{4000, 0, 0, true},
		{5000, 0, 0, true},
		{3000, 1000, 8 * time.Second, true},
		{2000, 2000, 13 * time.Second, true},
		{1000, 3000, 23 * time.Second, true},
		{900, 3100, 53 * time.Second, false},
	} {
		bytes, late, known, ok := tr.behind(now, pglogrepl.LSN(tt.pos))
		if bytes != tt.bytes || late != tt.late || known != tt.known || !ok {
			t.Errorf("%d: %d bytes, %s, known %t", tt.pos, bytes, late, known)
		}
	}
	if len(tr.sights) != 4 {
		t.Errorf("%d sights are kept", len(tr.sights))
	}
	for i := range 100_000 {
		tr.note(now.Add(time.Duration(i)*time.Second), pglogrepl.LSN(uint64(5000+i)))
	}
	if len(tr.sights) > longestTrack {
		t.Errorf("the track has grown to %d", len(tr.sights))
	}
	if _, late, known, _ := tr.behind(now.Add(100_000*time.Second), pglogrepl.LSN(50_000)); !known || (late-55_000*time.Second).Abs() > 3*time.Minute {
		t.Errorf("after long: %s", late)
	}
	tr.note(now.Add(200_000*time.Second), 7)
	if _, _, _, ok := tr.behind(now, 7); !ok || len(tr.sights) != 1 {
		t.Error("another server's positions stand with the old one's")
	}
}
