package publish

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/produce"
	"github.com/segmentio/kafka-go/protocol/rawproduce"
)

// A lane leads to one broker. One request is under way in it; what arrives meanwhile goes with the next: the batches
// are as large as the broker is slow (and see rest.go). Guarded by delivery.mu.
type lane struct {
	broker  int32
	ready   []*partition // with a batch to send, not busy
	flying  bool
	resting bool          // rest is on its way
	left    time.Time     // when the last flight did
	carried int           // its bytes
	apart   time.Duration // from the one before it
}

// A leg is a partition's part of a flight.
type leg struct {
	*partition
	batch *batch
}

// flightBytes bounds one produce request before compression.
const flightBytes = 4 << 20

// dispatch starts a flight in each free lane with work. The caller holds d.mu.
func (d *delivery) dispatch() {
	if d.grounded || d.err != nil {
		return
	}
	for _, l := range d.lanes {
		if l.flying || len(l.ready) == 0 {
			continue
		}
		if d.rests(l) {
			continue
		}
		if crew := l.board(d.holding); len(crew) > 0 {
			d.flights.Go(func() { d.fly(l, crew) })
		}
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
	if len(crew) > 0 {
		now := time.Now()
		l.flying, l.left, l.carried, l.apart = true, now, size, now.Sub(l.left)
	}
	return crew
}

// fly sends one batch of each partition to their leader and takes the answers. The partitions are busy: these batches,
// the first of their queues, are this flight's alone.
func (d *delivery) fly(l *lane, crew []leg) {
	answers, err := d.produce(crew)

	d.mu.Lock()
	defer d.mu.Unlock()
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
		d.land(leg, answer.BaseOffset, failure)
	}
	if err := d.acknowledged(); err != nil {
		d.fail(err)
	}
	d.changed()
	d.dispatch()
}

// produce seals what is not sealed yet, sends it in one request and returns the answer for each partition.
func (d *delivery) produce(crew []leg) ([]produce.ResponsePartition, error) {
	req := &rawproduce.Request{Acks: -1, Timeout: int32(requestTimeout / time.Millisecond)}
	for _, p := range crew {
		b := p.batch
		if len(b.sealed) == 0 {
			if err := b.seal(d.codec, d.producer, p.sequence); err != nil {
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
	m, err := d.cluster.roundTrip(d.ctx, req)
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

// land takes one partition's answer. The caller holds d.mu.
func (d *delivery) land(l leg, base int64, failure error) {
	p, b := l.partition, l.batch
	switch judge(failure) {
	case done:
		if p.next >= 0 && base != p.next {
			d.displaced(p, base)
			return
		}
		p.next = base + int64(b.count)
		d.acknowledge(p)
	case there: // by an earlier try, at an offset that this answer does not tell (KIP-98)
		p.next = -1
		d.acknowledge(p)
	case again:
		p.unsure = p.unsure || arrived(failure)
		if p.unsure && d.memory.forgotten(b) {
			d.fail(fmt.Errorf("write to %s: %w: %w", p, cause(failure), ErrUnsure))
			return
		}
		d.retry(p, failure)
	case fenced:
		d.fail(fmt.Errorf("write to %s: %w", p, ErrFenced))
	case tooBig:
		d.fail(fmt.Errorf("write to %s: the broker refuses a batch of %d bytes as too large although the topic's "+
			"max.message.bytes was %d at the start: start again to use the topic's new limit", p, len(b.sealed)-prefixSize, p.topic.limit))
	case stopped:
		d.fail(fmt.Errorf("write to %s: %w", p, cause(failure)))
	}
}

// acknowledge takes the first batch out of the queue. The caller holds d.mu.
func (d *delivery) acknowledge(p *partition) {
	b := p.queue[0]
	p.sequence = nextSequence(b.sequence, b.count)
	d.cfg.Meter.Acknowledged(p.topic.name, &b.tally)
	p.failures, p.unsure = 0, false
	p.busy = false
	d.buffered -= b.size()
	p.queue = append(p.queue[:0], p.queue[1:]...)
	d.recycle(b)
	if len(p.queue) == 0 {
		d.deactivate(p)
		return
	}
	d.list(p)
}

// retry brings the partition's first batch back into a lane after a pause. The caller holds d.mu.
func (d *delivery) retry(p *partition, failure error) {
	p.failures++
	tries, pause := p.failures, min(leastBackoff<<min(p.failures-1, 10), mostBackoff)
	stale := judgeLayout(failure)
	d.flights.Go(func() {
		sleep(d.ctx, pause)
		var now layout
		var err error
		if stale {
			d.cluster.refresh()
			now, err = d.cluster.layout(d.ctx)
		}
		reason := failure
		if err != nil { // while no broker answers, a batch fails because its topic is not known any more
			reason = err
		}
		if d.ctx.Err() == nil {
			d.cfg.Meter.Retried(causeOf(reason))
			if tries%10 == 0 {
				d.log.Warn("Kafka does not acknowledge; the same bytes are sent again", "partition", p.String(),
					"tries", tries, "error", cause(reason))
			}
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		if leaders := now.topics[p.topic.name]; err == nil && int(p.index) < len(leaders) {
			p.leader = leaders[p.index]
		}
		d.list(p)
		d.dispatch()
	})
}

// list puts a partition with work into its leader's lane. The caller holds d.mu.
func (d *delivery) list(p *partition) {
	at := slices.IndexFunc(d.lanes, func(l *lane) bool { return l.broker == p.leader })
	if at < 0 {
		at = len(d.lanes)
		d.lanes = append(d.lanes, &lane{broker: p.leader})
	}
	l := d.lanes[at]
	l.ready = append(l.ready, p)
}
