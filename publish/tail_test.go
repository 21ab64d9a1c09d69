package publish

import (
	"testing"

	"github.com/jackc/pglogrepl"

	"pgwitness/decode"
)

func TestParseID(t *testing.T) {
	id := decode.ID{System: 7412345678901234567, Timeline: 3, Database: 16401, LSN: 0x16B3748, Ordinal: 12}
	got, err := parseID(id.String())
	if err != nil || got != id {
		t.Errorf("parseID(%s) = %v, %v", id, got, err)
	}
	for _, bad := range []string{"", "1", "1.2.3", "1.2.3-16B3748-1", "1.2.3-00000000016B3748", "1.2-00000000016B3748-1",
		"1.2.3-00000000016B3748-x", "1.2.3-00000000016B37G8-1", "x.2.3-00000000016B3748-1", "1.2.3-p5.0-7"} {
		if got, err := parseID(bad); err == nil {
			t.Errorf("parseID(%q) = %v, want an error", bad, got)
		}
	}
}

// TestHas walks a stream past a tail.
func TestHas(t *testing.T) {
	at := func(lsn, ordinal uint64) *decode.Record {
		return &decode.Record{ID: decode.ID{System: 1, Timeline: 1, Database: 5, LSN: pglogrepl.LSN(lsn), Ordinal: ordinal}, XID: 700, Time: 42}
	}
	sinkWith := func(start uint64) (*Sink, *partition) {
		s := &Sink{cfg: Config{Start: pglogrepl.LSN(start)}}
		p := &partition{topic: &topic{name: "p.a.b"}, tail: tail{id: at(100, 2).ID, xid: 700, time: 42, known: true}}
		if start <= 100 {
			s.unmet = 1
		}
		return s, p
	}
	expect := func(t *testing.T, s *Sink, p *partition, r *decode.Record, want, fails bool) {
		t.Helper()
		if got, err := s.has(p, r); got != want || (err != nil) != fails {
			t.Errorf("has(%s) = %v, %v; want %v, error %v", r.ID, got, err, want, fails)
		}
	}
	t.Run("met", func(t *testing.T) {
		s, p := sinkWith(90)
		expect(t, s, p, at(95, 7), true, false)
		expect(t, s, p, at(100, 1), true, false)
		expect(t, s, p, at(100, 2), true, false)
		if s.unmet != 0 {
			t.Errorf("unmet %d after the tail was met", s.unmet)
		}
		expect(t, s, p, at(100, 3), false, false)
		expect(t, s, p, at(120, 1), false, false)
	})
	t.Run("below the slot", func(t *testing.T) {
		s, p := sinkWith(101)
		expect(t, s, p, at(120, 1), false, false)
	})
	t.Run("not met", func(t *testing.T) {
		s, p := sinkWith(90)
		expect(t, s, p, at(100, 1), true, false)
		expect(t, s, p, at(100, 3), false, true)
	})
	t.Run("a message confirmed at its end", func(t *testing.T) {
		s, p := sinkWith(101)
		s.cfg.Start = 100
		p.tail.id.Ordinal = 0
		expect(t, s, p, at(100, 1), false, false)
	})
	t.Run("another transaction", func(t *testing.T) {
		s, p := sinkWith(90)
		r := at(100, 2)
		r.XID = 701
		expect(t, s, p, r, false, true)
	})
	t.Run("another time", func(t *testing.T) {
		s, p := sinkWith(90)
		r := at(100, 2)
		r.Time = 43
		expect(t, s, p, r, false, true)
	})
	t.Run("below the floor", func(t *testing.T) {
		s, p := sinkWith(90)
		s.state.Floor = 200
		p.tail = tail{}
		expect(t, s, p, at(199, 1), true, false)
		expect(t, s, p, at(200, 1), false, false)
	})
}

func TestLeftAt(t *testing.T) {
	timelineOf := func(pos pglogrepl.LSN) uint32 {
		switch {
		case pos < 1000:
			return 1
		case pos < 5000:
			return 2
		}
		return 3
	}
	for _, c := range []struct {
		timeline uint32
		lsn      pglogrepl.LSN
		want     pglogrepl.LSN
	}{{1, 1500, 1000}, {1, 9000, 1000}, {2, 7000, 5000}} {
		if got := leftAt(timelineOf, decode.ID{Timeline: c.timeline, LSN: c.lsn}); got != c.want {
			t.Errorf("timeline %d at %d: left at %d, want %d", c.timeline, c.lsn, got, c.want)
		}
	}
}
