package publish

import (
	"context"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/jackc/pglogrepl"

	"pgwitness/decode"
)

// A Sink delivers records. Prepare, Send, Mark, Finish and Close belong to one goroutine; flights run beside it and end with
// Close.
type Sink struct {
	*delivery
	cfg Config // the delivery has the same

	// Of the goroutine that sends, alone.
	topics   map[string]*topic
	leads    map[*decode.Target]lead
	routes   map[decode.Target]*route // the routing that holds
	former   []string                 // topics that routes led to earlier
	dirty    bool                     // it is not written down as it is
	reroute  bool                     // another one is asked for
	resumed  bool                     // there was a run before this one
	lastNote int64                    // milliseconds, of the last control record of the run before
	trimmed  []byte                   // scratch of oversize

	// Guarded by mu.
	control     *partition
	controlNext int64 // the offset of the next control record
	notes       uint64
	state       state
	bounds      bounds
	unmet       int // tails that the stream must show again before anything is confirmed
}

// Open reaches the brokers and takes over the transactional id. The context bounds the opening only.
func Open(ctx context.Context, cfg Config, log hclog.Logger) (*Sink, error) {
	return open(ctx, cfg, true, log)
}

// open opens a trail, and begins one where that is asked for.
func open(ctx context.Context, cfg Config, begin bool, log hclog.Logger) (*Sink, error) {
	cfg = cfg.withDefaults()
	d, err := newDelivery(ctx, cfg, "pgwitness."+cfg.Prefix, log)
	if err != nil {
		return nil, err
	}
	s := &Sink{
		delivery: d,
		cfg:      cfg,
		topics:   make(map[string]*topic),
		leads:    make(map[*decode.Target]lead),
		routes:   make(map[decode.Target]*route),
	}
	s.acknowledged, s.rest = s.report, sinkRest
	s.progress.durable, s.bounds.told = cfg.Start, cfg.Start
	if err := s.start(ctx, begin); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Sink) start(ctx context.Context, begin bool) error {
	if err := s.cluster.connect(ctx); err != nil {
		return err
	}
	there, err := s.peek(ctx)
	if err != nil {
		return err
	}
	if !there && !begin {
		return errNoTrail
	}
	if err := s.takeOver(ctx); err != nil {
		return err
	}
	return s.openControl(ctx)
}

// Send copies the record into the batches of the partitions that it concerns. It blocks while the buffer is full.
func (s *Sink) Send(ctx context.Context, r *decode.Record) error {
	l := s.leads[r.Target]
	if l.topic == nil || l.root != r.Root || l.masking != r.Masking {
		var err error
		if l.topic, err = s.resolve(ctx, r); err != nil {
			return err
		}
	}
	t := l.topic
	if r.Everywhere {
		for _, p := range t.partitions {
			if err := s.put(ctx, p, r, r.Key, r.Value); err != nil {
				return err
			}
		}
		return nil
	}
	home := t.partitions[partitionOf(r.Key, len(t.partitions))]
	if err := s.put(ctx, home, r, r.Key, r.Value); err != nil {
		return err
	}
	if r.NewKey == nil {
		return nil
	}
	if other := t.partitions[partitionOf(r.NewKey, len(t.partitions))]; other != home {
		return s.put(ctx, other, r, r.NewKey, r.NewValue)
	}
	return nil
}

// put adds the record to one partition, unless it is there already.
func (s *Sink) put(ctx context.Context, p *partition, r *decode.Record, key, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	has, err := s.has(p, r)
	if has || err != nil {
		return err
	}
	size := len(key) + len(value) + recordOverhead
	if headerSize+size > p.topic.limit {
		if value, err = s.oversize(p, r, value); err != nil {
			return err
		}
		size = len(key) + len(value) + recordOverhead
	}
	if err := s.room(ctx, size); err != nil {
		return err
	}
	if p == s.control {
		if value, err = s.withState(r, value); err != nil {
			return err
		}
		s.controlNext++
	}
	s.enqueue(p, r.Op, stamp(r), key, value, r.IDText())
	s.dispatch()
	return nil
}

// stamp is the record's Kafka timestamp in milliseconds: the commit's time. A non-transactional message has none in the
// log, and a timestamp of zero would let a retention delete it at once.
func stamp(r *decode.Record) int64 {
	if r.Time == 0 {
		return time.Now().UnixMilli()
	}
	return r.Time / 1000
}

// Mark says that everything sent so far belongs to positions at or below pos, and that nothing else does. It does not
// block. When all of it is acknowledged, Config.Durable is called with the position. ErrRerouted asks for an end of
// the run here, between two transactions.
func (s *Sink) Mark(pos pglogrepl.LSN) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.progress.mark(pos)
	if err := s.report(); err != nil {
		return err
	}
	if s.reroute && s.unmet == 0 {
		return ErrRerouted
	}
	return s.err
}

// Confirmed is the position that Config.Durable was told last.
func (s *Sink) Confirmed() pglogrepl.LSN {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bounds.told
}

// Finish waits until everything sent is acknowledged and writes down where the run ended.
func (s *Sink) Finish(ctx context.Context) error {
	s.mu.Lock()
	err := s.drain(ctx)
	end, ends := lsn(s.bounds.told), s.endsNow()
	s.bounds.last = true
	if err == nil && s.unmet == 0 && s.bounds.told == s.progress.durable {
		s.state.Bound = end
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return s.noteNow(ctx, note{Op: "stopped", Position: &end, Ends: ends})
}

// Close ends the flights without waiting for acknowledgements. What was not acknowledged comes again from the slot.
func (s *Sink) Close() error {
	s.close()
	return nil
}
