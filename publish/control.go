package publish

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/segmentio/kafka-go/protocol"

	"pgwitness/decode"
)

// The control topic is the trail's diary, and what a restart knows beyond the slot and the topics' tails: each of its
// records carries the state as it was when the record was written, so the last one is all that has to be read.

// state is what a restart must know.
type state struct {
	Slot  string   `json:"slot"`
	Bound lsn      `json:"bound"` // nothing beyond it was ever confirmed to the slot
	Floor lsn      `json:"floor"` // everything that committed below it is delivered, by whatever routing
	Route int64    `json:"route"` // offset of the routing record that holds
	Ends  int64    `json:"ends"`  // offset of the newest record with the topics' ends
	Whole int64    `json:"whole"` // offset of the newest record with the whole of what was observed
	Last  *lastWAL `json:"last,omitempty"`

	Gaps     []Gap    `json:"gaps,omitempty"`     // recorded and not accepted yet
	Accepted []string `json:"accepted,omitempty"` // gaps that an operator has accepted
}

// lastWAL is the control topic's last record that came from the WAL. Those are skipped after a restart as in every
// other topic; our own observations stand between them and have ids of their own.
type lastWAL struct {
	ID   string `json:"id"`
	XID  uint64 `json:"xid"`
	Time int64  `json:"time"`
}

// lsn is a position as text in JSON.
type lsn pglogrepl.LSN

func (l lsn) MarshalText() ([]byte, error) { return []byte(pglogrepl.LSN(l).String()), nil }

func (l *lsn) UnmarshalText(text []byte) error {
	pos, err := pglogrepl.ParseLSN(string(text))
	*l = lsn(pos)
	return err
}

// A note is a control record of our own making.
type note struct {
	ID       string             `json:"id"`
	Op       string             `json:"op"`
	Position *lsn               `json:"position,omitempty"`
	Gap      *Gap               `json:"gap,omitempty"`
	Accepted bool               `json:"accepted,omitempty"`
	Routes   []route            `json:"routes,omitempty"`
	Former   []string           `json:"former,omitempty"` // topics that routes led to earlier
	Ends     map[string][]int64 `json:"ends,omitempty"`   // of each topic's partitions: the next offset
	Observed json.RawMessage    `json:"observed,omitempty"`
	Whole    json.RawMessage    `json:"whole,omitempty"`
	Source   noteSource         `json:"source"`
	State    state              `json:"state"`
}

type noteSource struct {
	System   string `json:"system"`
	Timeline uint32 `json:"timeline"`
	Database string `json:"database"`
	Slot     string `json:"slot"`
}

// openControl opens the control topic and takes up the state of the run before.
func (s *Sink) openControl(ctx context.Context) error {
	target := *decode.Control
	t := &topic{name: s.topicName(&target), target: target}
	s.topics[t.name] = t
	scans, err := s.openTopics(ctx, []*topic{t})
	if err != nil {
		return err
	}
	p := t.partitions[0]
	if len(t.partitions) != 1 {
		return fmt.Errorf("topic %s has %d partitions, the control topic must have one: create it anew", t.name, len(t.partitions))
	}
	s.control, s.controlNext = p, p.next
	s.leads[decode.Control] = lead{topic: t}
	s.state = state{Slot: s.cfg.Source.Slot, Bound: lsn(s.cfg.Start), Route: -1, Ends: -1, Whole: -1}
	found := scans[0].found
	if found == nil {
		if scans[0].expired {
			return s.gap(ctx, Gap{Reason: "control", Topic: t.name, Detail: "the records of the control topic are gone"})
		}
		return nil
	}
	last, err := s.readNote(t, found)
	if err != nil {
		return err
	}
	s.state, s.resumed, s.lastNote = last.State, true, found.millis
	if w := last.State.Last; w != nil {
		id, err := parseID(w.ID)
		if err != nil {
			return fmt.Errorf("%s offset %d: %w", p, found.offset, err)
		}
		return s.expectTail(ctx, p, tail{id: id, xid: w.XID, time: w.Time, known: true})
	}
	return nil
}

// readNote reads what the newest control record says to every run, and makes sure that it is this slot's.
func (s *Sink) readNote(t *topic, found *stored) (note, error) {
	var last note
	if err := json.Unmarshal(found.value, &last); err != nil || last.State.Slot == "" {
		return last, fmt.Errorf("%s offset %d is not a control record of pgwitness: use another prefix", t.name, found.offset)
	}
	if own := s.noteSource(); last.Source.System != own.System || last.Source.Database != own.Database || last.Source.Slot != own.Slot {
		return last, fmt.Errorf("prefix %s belongs to slot %s of database %s (system %s), not to slot %s of database %s (system %s): use another prefix",
			s.cfg.Prefix, last.Source.Slot, last.Source.Database, last.Source.System, own.Slot, own.Database, own.System)
	}
	return last, nil
}

// noteFrom reads the first control record at or after an offset that fits, and returns where it is. The state's offsets are
// counted before the records are written. A marker of ours that comes in between moves a batch on, after which the run
// begins anew (displaced): then the record that is meant lies a little further on than the state says.
func (s *Sink) noteFrom(ctx context.Context, offset int64, fits func(*note) bool) (note, int64, error) {
	s.mu.Lock()
	end := s.controlNext
	s.mu.Unlock()
	var found note
	at := int64(-1)
	cu := &cursor{partition: s.control, at: offset, marker: func(*protocol.ControlBatch) {}}
	cu.record = func(r *stored) error {
		if at >= 0 {
			return nil
		}
		var n note
		if err := json.Unmarshal(r.value, &n); err != nil {
			return fmt.Errorf("offset %d: %w", r.offset, err)
		}
		if fits(&n) {
			found, at = n, r.offset
		}
		return nil
	}
	err := s.cluster.retry(ctx, fmt.Sprintf("read %s from offset %d", s.control, offset), func(ctx context.Context) error {
		for at < 0 && cu.at < end {
			if err := s.cluster.fetch(ctx, []*cursor{cu}); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && at < 0 {
		err = fmt.Errorf("%s has no record any more that the state places at offset %d", s.control, offset)
	}
	return found, at, err
}

func (s *Sink) noteSource() noteSource {
	src := s.cfg.Source
	return noteSource{System: fmt.Sprint(src.System), Timeline: src.TimelineOf(s.cfg.Start), Database: src.Database, Slot: src.Slot}
}

// note writes a control record of our own. Its id has the producer's epoch and a counter, which no run shares. The
// caller holds s.mu.
func (s *Sink) note(n note) error {
	src := s.cfg.Source
	s.notes++
	n.Source = s.noteSource()
	n.ID = fmt.Sprintf("%d.%d.%d-p%d.%d-%d", src.System, n.Source.Timeline, src.Oid, s.producer.id, s.producer.epoch, s.notes)
	if n.Ends != nil {
		s.state.Ends = s.controlNext
	}
	if n.Whole != nil {
		s.state.Whole = s.controlNext
	}
	if n.Op == "routing" {
		s.state.Route = s.controlNext
	}
	n.State = s.state
	value, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("encode control record %s: %w", n.Op, err)
	}
	if size := headerSize + recordOverhead + len(value); size > s.control.topic.limit {
		return fmt.Errorf("control record %s has %d bytes, but topic %s takes %d: raise its max.message.bytes",
			n.Op, size, s.control.topic.name, s.control.topic.limit)
	}
	s.enqueue(s.control, decode.OpControl, time.Now().UnixMilli(), nil, value, []byte(n.ID))
	s.controlNext++
	return nil
}

// noteNow writes a control record and waits until it is acknowledged.
func (s *Sink) noteNow(ctx context.Context, n note) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.note(n); err != nil {
		return err
	}
	written := s.progress.next
	s.dispatch()
	if err := s.wait(ctx, func() bool { return s.oldest() >= written }); err != nil {
		return fmt.Errorf("write control record %s: %w", n.Op, err)
	}
	return nil
}

// withState adds the state to a control record that came from the WAL, which from now on is the last such one. The
// caller holds s.mu.
func (s *Sink) withState(r *decode.Record, value []byte) ([]byte, error) {
	s.state.Last = &lastWAL{ID: r.ID.String(), XID: r.XID, Time: r.Time}
	st, err := json.Marshal(s.state)
	if err != nil {
		return nil, fmt.Errorf("encode the state: %w", err)
	}
	out := append(append([]byte(nil), value[:len(value)-1]...), `,"state":`...)
	return append(append(out, st...), '}'), nil
}
