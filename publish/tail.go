package publish

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/segmentio/kafka-go/protocol"

	"pgwitness/decode"
)

// A scan reads one partition from near its end until our marker, and notes the last record on the way.
type scan struct {
	cursor
	own    producer
	end    int64 // the partition's next offset before the fence
	from   int64 // where this pass began
	mark   int64 // our marker's offset
	fenced bool  // our marker has been seen
	found  *stored
}

func newScan(p *partition, own producer) *scan {
	sc := &scan{own: own}
	sc.cursor = cursor{partition: p, record: sc.seeRecord, marker: sc.seeMarker}
	return sc
}

func (sc *scan) seeRecord(r *stored) error {
	sc.found = r
	return nil
}

func (sc *scan) seeMarker(b *protocol.ControlBatch) {
	if b.ProducerID == sc.own.id && b.ProducerEpoch == sc.own.epoch && b.BaseOffset >= sc.end {
		sc.mark, sc.fenced = b.BaseOffset, true
	}
}

// begin starts a pass.
func (sc *scan) begin(from int64) {
	sc.from, sc.at, sc.fenced, sc.found = from, from, false, nil
}

// done reports whether the scan has seen its marker, and a record before it if there is one.
func (sc *scan) done() bool { return sc.fenced && (sc.found != nil || sc.expired || sc.from == 0) }

// scanTails reads until every scan is done: mostly one fetch a leader. A pass that met nothing but markers begins
// again further back.
func (d *delivery) scanTails(ctx context.Context, scans []*scan) error {
	scans = slices.Clone(scans)
	for back := int64(16); len(scans) > 0; {
		err := d.cluster.retry(ctx, "read the tails of the topics", func(ctx context.Context) error {
			groups, err := d.byLeader(ctx, scans)
			if err != nil {
				return err
			}
			for _, group := range groups {
				cursors := make([]*cursor, len(group))
				for i, sc := range group {
					cursors[i] = &sc.cursor
				}
				if err := d.cluster.fetch(ctx, cursors); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		scans = slices.DeleteFunc(scans, (*scan).done)
		for _, sc := range scans {
			if sc.fenced {
				sc.begin(max(sc.from-back, 0))
			}
		}
		back *= 2
		if n := len(scans); n > 1 { // the first partition of a request is served first
			scans = append(scans[1:n:n], scans[0])
		}
	}
	return nil
}

// takeTail turns what a scan found into its partition's tail.
func (s *Sink) takeTail(ctx context.Context, sc *scan) error {
	p := sc.partition
	if sc.found == nil {
		if sc.expired {
			return s.checkExpired(ctx, p)
		}
		return nil
	}
	t, err := parseTail(p, sc.found, s.cfg.Source)
	if err != nil {
		return err
	}
	return s.expectTail(ctx, p, t)
}

// expectTail has the stream show the tail again, if the slot sends it, before anything is confirmed.
func (s *Sink) expectTail(ctx context.Context, p *partition, t tail) error {
	source := s.cfg.Source
	if now := source.TimelineOf(t.id.LSN); now != t.id.Timeline {
		// The topic holds changes of a history that the server has left. What is common to both is there.
		left := leftAt(source.TimelineOf, t.id)
		from, to := lsn(left), lsn(t.id.LSN)
		err := s.gap(ctx, Gap{Reason: "diverged", From: &from, To: &to, Topic: p.String(),
			Detail: fmt.Sprintf("%s ends with record %s of timeline %d, which the server left at %s: its records after that position are of a lost history",
				p, t.id, t.id.Timeline, left)})
		if err != nil {
			return err
		}
		p.tail = tail{id: decode.ID{LSN: left}, known: true, met: true}
		return nil
	}
	p.tail = t
	if t.comesAgain(s.cfg.Start) {
		s.unmet++
	}
	return nil
}

// leftAt is the first position that the server's history has on another timeline than the ID's.
func leftAt(timelineOf func(pglogrepl.LSN) uint32, id decode.ID) pglogrepl.LSN {
	below := sort.Search(int(id.LSN), func(pos int) bool { return timelineOf(pglogrepl.LSN(pos)) > id.Timeline })
	return pglogrepl.LSN(below)
}

// checkExpired decides about a partition whose records are all gone. They left by the topic's retention, so they are
// older than that; as long as our last control record is younger, none of them was written after it, and nothing that
// the slot may send again is among them.
func (s *Sink) checkExpired(ctx context.Context, p *partition) error {
	t := p.topic
	age := time.Since(time.UnixMilli(s.lastNote))
	if s.resumed && t.retention >= 0 && t.retentionBytes < 0 && age < t.retention {
		return nil
	}
	return s.gap(ctx, Gap{Reason: "expired", Topic: p.String(),
		Detail: fmt.Sprintf("all records of %s are gone, and the last run is not known to be younger than the topic's retention: "+
			"what the slot sends again cannot be compared with what was there", p)})
}

// parseTail reads a tail's id, and what must be met again with it.
func parseTail(p *partition, r *stored, source decode.Source) (tail, error) {
	where := fmt.Sprintf("%s offset %d", p, r.offset)
	id, err := parseID(r.id)
	if err != nil {
		return tail{}, fmt.Errorf("%s holds a record that is not pgwitness's (%w): give the topic another name, or use another prefix", where, err)
	}
	if id.System != source.System || id.Database != source.Oid {
		return tail{}, fmt.Errorf("%s holds record %s of another database (this one is %d, oid %d): use another prefix",
			where, id, source.System, source.Oid)
	}
	var head struct {
		Tx struct {
			XID         uint64    `json:"xid"`
			CommittedAt time.Time `json:"committed_at"`
		} `json:"tx"`
	}
	if err := json.NewDecoder(bytes.NewReader(r.value)).Decode(&head); err != nil {
		return tail{}, fmt.Errorf("%s: record %s: %w", where, id, err)
	}
	t := tail{id: id, xid: head.Tx.XID, known: true}
	if !head.Tx.CommittedAt.IsZero() {
		t.time = head.Tx.CommittedAt.UnixMicro()
	}
	return t, nil
}

// parseID reads what decode.ID.AppendTo wrote.
func parseID(s string) (decode.ID, error) {
	origin, rest, ok := strings.Cut(s, "-")
	pos, ordinal, ok2 := strings.Cut(rest, "-")
	parts := strings.Split(origin, ".")
	if !ok || !ok2 || len(parts) != 3 || len(pos) != 16 {
		return decode.ID{}, fmt.Errorf("id header %q", s)
	}
	system, err1 := strconv.ParseUint(parts[0], 10, 64)
	timeline, err2 := strconv.ParseUint(parts[1], 10, 32)
	database, err3 := strconv.ParseUint(parts[2], 10, 32)
	at, err4 := strconv.ParseUint(pos, 16, 64)
	n, err5 := strconv.ParseUint(ordinal, 10, 64)
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return decode.ID{}, fmt.Errorf("id header %q", s)
	}
	return decode.ID{
		System: system, Timeline: uint32(timeline), Database: uint32(database), LSN: pglogrepl.LSN(at), Ordinal: n,
	}, nil
}
