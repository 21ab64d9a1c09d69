package publish

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/produce"
	"github.com/segmentio/kafka-go/protocol/rawproduce"
)

// A lane leads to one broker. One request is under way in it; what arrives meanwhile goes with the next: the batches
// are as large as the broker is slow, and nobody waits for a timer. Guarded by Sink.mu.
type lane struct {
	ready  []*partition // with a batch to send, not busy
	flying bool
}

// A leg is a partition's part of a flight.
type leg struct {
	*partition
	batch *batch
}

// flightBytes bounds one produce request before compression.
const flightBytes = 4 << 20

// dispatch starts a flight in each free lane with work. The caller holds s.mu.
func (s *Sink) dispatch() {
	if s.grounded || s.err != nil {
		return
	}
	for _, l := range s.lanes {
		if l.flying || len(l.ready) == 0 {
			continue
		}
		crew := l.board(s.holding)
		if len(crew) == 0 {
			continue
		}
		s.flights.Go(func() { s.fly(l, crew) })
	}
}

// board fills a flight. While holding only batches that were under way before go on.
func (l *lane) board(holding bool) []leg {
	var crew []leg
	var left []*partition
	size := 0
	for _, p := range l.ready {
		b := p.queue[0]
		if holding && !p.busy || len(crew) > 0 && size+b.size() > flightBytes {
			left = append(left, p)
			continue
		}
		p.busy = true
		size += b.size()
		crew = append(crew, leg{p, b})
	}
	l.ready = append(l.ready[:0], left...)
	l.flying = len(crew) > 0
	return crew
}

// fly sends one batch of each partition to their leader and takes the answers. The partitions are busy: these batches,
// the first of their queues, are this flight's alone.
func (s *Sink) fly(l *lane, crew []leg) {
	answers, err := s.produce(crew)

	s.mu.Lock()
	defer s.mu.Unlock()
	l.flying = false
	for i, leg := range crew {
		answer := produce.ResponsePartition{BaseOffset: -1}
		failure := err
		if err == nil {
			answer = answers[i]
			if answer.ErrorCode != 0 {
				failure = kafka.Error(answer.ErrorCode)
			}
		}
		s.land(leg, answer.BaseOffset, failure)
	}
	if err := s.report(); err != nil {
		s.fail(err)
	}
	s.changed()
	s.dispatch()
}

// produce seals what is not sealed yet, sends it in one request and returns the answer for each partition.
func (s *Sink) produce(crew []leg) ([]produce.ResponsePartition, error) {
	req := &rawproduce.Request{Acks: -1, Timeout: int32(requestTimeout / time.Millisecond)}
	for _, p := range crew {
		b := p.batch
		if len(b.sealed) == 0 {
			if err := b.seal(s.codec, s.producer, p.sequence); err != nil {
				return nil, err
			}
		}
		part := rawproduce.RequestPartition{
			Partition: p.index,
			RecordSet: protocol.RawRecordSet{Reader: bytes.NewReader(b.sealed)},
		}
		if n := len(req.Topics); n > 0 && req.Topics[n-1].Topic == p.topic.name {
			req.Topics[n-1].Partitions = append(req.Topics[n-1].Partitions, part)
			continue
		}
		req.Topics = append(req.Topics, rawproduce.RequestTopic{
			Topic: p.topic.name, Partitions: []rawproduce.RequestPartition{part},
		})
	}
	m, err := s.cluster.roundTrip(s.ctx, req)
	if err != nil {
		return nil, err
	}
	return match(crew, m.(*produce.Response))
}

// match brings the answers into the order of the partitions. An answer that is missing is an error for all of them:
// the same bytes go again.
func match(crew []leg, res *produce.Response) ([]produce.ResponsePartition, error) {
	type place struct {
		topic string
		index int32
	}
	found := make(map[place]produce.ResponsePartition, len(crew))
	for _, t := range res.Topics {
		for _, p := range t.Partitions {
			found[place{t.Topic, p.Partition}] = p
		}
	}
	answers := make([]produce.ResponsePartition, len(crew))
	for i, p := range crew {
		a, ok := found[place{p.topic.name, p.index}]
		if !ok {
			return nil, fmt.Errorf("the broker's answer leaves out %s", p)
		}
		answers[i] = a
	}
	return answers, nil
}

// land takes one partition's answer. The caller holds s.mu.
func (s *Sink) land(l leg, base int64, failure error) {
	p, b := l.partition, l.batch
	switch judge(failure) {
	case done:
		if p.next >= 0 && base != p.next {
			s.fail(fmt.Errorf("%s gave offset %d to a batch that follows offset %d: somebody else writes to the topic, "+
				"or the broker lost records", p, base, p.next-1))
			return
		}
		p.next = base + int64(b.count)
		s.acknowledge(p)
	case there: // by an earlier try, at an offset that this answer does not tell (KIP-98)
		p.next = -1
		s.acknowledge(p)
	case again:
		p.unsure = p.unsure || arrived(failure)
		if p.unsure && s.memory.forgotten(b) {
			s.fail(fmt.Errorf("write to %s: %w: %w", p, cause(failure), ErrUnsure))
			return
		}
		s.retry(p, failure)
	case fenced:
		s.fail(fmt.Errorf("write to %s: %w", p, ErrFenced))
	case tooBig:
		s.fail(fmt.Errorf("write to %s: the broker refuses a batch of %d bytes as too large although the topic's "+
			"max.message.bytes was %d at the start: start again to use the topic's new limit", p, len(b.sealed)-prefixSize, p.topic.limit))
	case stopped:
		s.fail(fmt.Errorf("write to %s: %w", p, cause(failure)))
	}
}

// acknowledge takes the first batch out of the queue. The caller holds s.mu.
func (s *Sink) acknowledge(p *partition) {
	b := p.queue[0]
	p.sequence = nextSequence(b.sequence, b.count)
	s.stats.Records += uint64(b.count)
	s.stats.Bytes += uint64(b.size())
	s.stats.Batches++
	p.failures, p.unsure = 0, false
	p.busy = false
	s.buffered -= b.size()
	p.queue = append(p.queue[:0], p.queue[1:]...)
	s.recycle(b)
	if len(p.queue) == 0 {
		s.deactivate(p)
		return
	}
	s.list(p)
}

// retry brings the partition's first batch back into a lane after a pause. The caller holds s.mu.
func (s *Sink) retry(p *partition, failure error) {
	p.failures++
	s.stats.Retries++
	pause := min(leastBackoff<<min(p.failures-1, 10), mostBackoff)
	if p.failures%10 == 0 {
		s.log.Warn("Kafka does not acknowledge; the same bytes are sent again", "partition", p.String(),
			"tries", p.failures, "error", cause(failure))
	}
	stale := judgeLayout(failure)
	s.flights.Go(func() {
		sleep(s.ctx, pause)
		var now layout
		var err error
		if stale {
			s.cluster.refresh()
			now, err = s.cluster.layout(s.ctx)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if leaders := now.topics[p.topic.name]; err == nil && int(p.index) < len(leaders) {
			p.leader = leaders[p.index]
		}
		s.list(p)
		s.dispatch()
	})
}

// list puts a partition with work into its leader's lane. The caller holds s.mu.
func (s *Sink) list(p *partition) {
	l := s.lanes[p.leader]
	if l == nil {
		l = new(lane)
		s.lanes[p.leader] = l
	}
	l.ready = append(l.ready, p)
}

// oldest is the number of the oldest record that is not acknowledged. The caller holds s.mu.
func (s *Sink) oldest() uint64 {
	oldest := s.progress.next
	for _, p := range s.active {
		oldest = min(oldest, p.queue[0].from)
	}
	return oldest
}

func (s *Sink) activate(p *partition) {
	p.active = len(s.active)
	s.active = append(s.active, p)
}

func (s *Sink) deactivate(p *partition) {
	last := s.active[len(s.active)-1]
	s.active[p.active] = last
	last.active = p.active
	s.active = s.active[:len(s.active)-1]
	p.active = -1
}

// wait blocks until ok or an error, or until ctx ends. The caller holds s.mu, and holds it again afterwards.
func (s *Sink) wait(ctx context.Context, ok func() bool) error {
	for s.err == nil && !ok() {
		change := s.change
		s.mu.Unlock()
		select {
		case <-change:
		case <-ctx.Done():
			s.mu.Lock()
			return context.Cause(ctx)
		}
		s.mu.Lock()
	}
	return s.err
}

// changed wakes everybody in wait. The caller holds s.mu.
func (s *Sink) changed() {
	close(s.change)
	s.change = make(chan struct{})
}

// fail ends the delivery. The caller holds s.mu.
func (s *Sink) fail(err error) {
	if s.err != nil {
		return
	}
	s.err = err
	s.changed()
	if s.cfg.Failed != nil {
		s.cfg.Failed(err)
	}
}
