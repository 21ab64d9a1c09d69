package publish

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/jackc/pglogrepl"

	"pgwitness/decode"
)

// A Journal is the topic of one of the service streams as its writer's only memory: what is appended is there once and
// in order, the newest record says where the next run goes on, and the others can be looked up by position. It has a
// transactional id of its own and outlives a Sink, which is opened anew when the routing changes.
//
// A record's id is its place in the WAL, with the database 0 and the ordinal 0. Places grow with the offset: by
// timeline first, so what is appended after a failover comes after all that the server has left, whose positions may
// be higher. Nothing of that is taken back: it was seen, on a history that is over.
//
// Append, Finish and Close belong to one goroutine; any other may read and ask for Stats.
type Journal struct {
	*delivery
	partition *partition
	found     []byte // the newest record's value when the journal was opened

	// Of the goroutine that appends, alone.
	last decode.ID // the newest record's, appended or found
	id   []byte    // scratch of Append
}

// OpenJournal takes over the witness's journal of a prefix, and creates its topic if need be. Of the configuration it
// uses what concerns the brokers, the topic and the buffer, Source.System, Held, Durable and Failed. The context bounds
// the opening only.
func OpenJournal(ctx context.Context, cfg Config, log hclog.Logger) (*Journal, error) {
	cfg = cfg.withDefaults()
	// No prefix has a slash, so this is no other prefix's transactional id.
	d, err := newDelivery(ctx, cfg, "pgwitness."+cfg.Prefix+"/"+decode.Who.Table, log)
	if err != nil {
		return nil, err
	}
	j := &Journal{delivery: d}
	j.acknowledged = j.report
	if err := j.start(ctx, &topic{name: TopicName(cfg.Prefix, decode.Who), target: *decode.Who}); err != nil {
		j.Close()
		return nil, err
	}
	return j, nil
}

func (j *Journal) start(ctx context.Context, t *topic) error {
	if err := j.cluster.connect(ctx); err != nil {
		return err
	}
	found, err := j.newest(ctx, t)
	if err != nil {
		return err
	}
	if found != nil { // another system's journal is refused without harm to its owner
		if _, err := j.identify(t, found); err != nil {
			return err
		}
	}
	if err := j.takeOver(ctx); err != nil {
		return err
	}
	scans, err := j.openTopics(ctx, []*topic{t})
	if err != nil {
		return err
	}
	if len(t.partitions) != 1 {
		return fmt.Errorf("topic %s has %d partitions, the journal must have one: create it anew", t.name, len(t.partitions))
	}
	j.partition = t.partitions[0]
	if found := scans[0].found; found != nil {
		if j.last, err = j.identify(t, found); err != nil {
			return err
		}
		j.found, j.progress.durable = found.value, j.last.LSN
	}
	j.flights.Go(func() { j.renew(j.ctx) })
	return nil
}

// identify reads the id of one of the journal's records.
func (j *Journal) identify(t *topic, r *stored) (decode.ID, error) {
	id, err := parseID(r.id)
	if err == nil && (id.Database != 0 || id.Ordinal != 0) {
		err = fmt.Errorf("id header %q", r.id)
	}
	if err != nil {
		return id, fmt.Errorf("%s offset %d holds a record that is not the journal's (%w): use another prefix", t.name, r.offset, err)
	}
	if id.System != j.cfg.Source.System {
		return id, fmt.Errorf("%s offset %d holds record %s of system %d, not of system %d: use another prefix",
			t.name, r.offset, id, id.System, j.cfg.Source.System)
	}
	return id, nil
}

// reaches reports whether a record covers the position, or one after it.
func reaches(id decode.ID, timeline uint32, pos pglogrepl.LSN) bool {
	return id.Timeline > timeline || id.Timeline == timeline && id.LSN >= pos
}

// Last is the value of the newest record when the journal was opened, nil when there was none. It is not to be changed.
func (j *Journal) Last() []byte { return j.found }

// Append adds a record that covers the WAL up to a position. It copies the value and blocks while the buffer is full.
// Positions grow strictly, also beyond the record that Last returns; on a later timeline they begin anew, and Append
// waits until everything before is acknowledged.
func (j *Journal) Append(ctx context.Context, timeline uint32, to pglogrepl.LSN, value []byte) error {
	id := decode.ID{System: j.cfg.Source.System, Timeline: timeline, LSN: to}
	if reaches(j.last, timeline, to) {
		return fmt.Errorf("append record %s to the journal: it must lie beyond record %s", id, j.last)
	}
	p := j.partition
	size := len(value) + recordOverhead
	if headerSize+size > p.topic.limit {
		return fmt.Errorf("append record %s to the journal: it has %d bytes, but topic %s takes %d: raise its max.message.bytes",
			id, len(value), p.topic.name, p.topic.limit)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if timeline != j.last.Timeline {
		if err := j.drain(ctx); err != nil {
			return err
		}
		j.progress = progress{next: j.progress.next}
	}
	if err := j.room(ctx, size); err != nil {
		return err
	}
	j.id = id.AppendTo(j.id[:0])
	j.enqueue(p, decode.OpControl, time.Now().UnixMilli(), nil, value, j.id)
	j.progress.mark(to)
	j.last = id
	j.dispatch()
	return nil
}

// report tells what is durable. The caller holds j.mu.
func (j *Journal) report() error {
	if j.progress.settle(j.oldest()) && j.cfg.Durable != nil {
		j.cfg.Durable(j.progress.durable)
	}
	return nil
}

// Finish waits until everything appended is acknowledged.
func (j *Journal) Finish(ctx context.Context) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.drain(ctx)
}

// Close ends the flights without waiting for acknowledgements, and every reader.
func (j *Journal) Close() error {
	j.close()
	return nil
}

// Stats may be called by any goroutine.
func (j *Journal) Stats() Stats {
	j.mu.Lock()
	defer j.mu.Unlock()
	st := j.counted()
	st.Confirmed = j.progress.durable
	return st
}
