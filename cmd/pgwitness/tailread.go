package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/fetch"
)

const (
	pollTopics      = time.Second            // how often new topics are looked for
	fetchWait       = 250 * time.Millisecond // how long a broker waits for news
	fetchBytes      = 16 << 20               // of one answer
	fetchPartition  = 1 << 20                // of one partition in it; a larger batch comes whole when it is the first
	tailRetryPeriod = time.Second
)

// A follower reads all partitions of the prefix's topics, round after round: in each it asks every leader once for the
// partitions that have nothing waiting, then shows what is next. It has no state that outlives it and is no member of
// a consumer group: nobody else notices it.
type follower struct {
	cluster  *cluster
	cfg      *config
	notes    io.Writer
	backlog  bool      // begin at the oldest record
	untilEnd bool      // stop at the ends that were found at the start
	since    time.Time // with backlog: begin at the first record of that time; zero: at the oldest

	partitions []*tailPartition
	known      map[partitionID]*tailPartition
	looked     time.Time
	trouble    string // what was last reported, so that it is said once
}

// run follows until the context ends, or until the end.
func (f *follower) run(ctx context.Context, show func(tailRecord) error) error {
	f.known = map[partitionID]*tailPartition{}
	if err := f.lookForTopics(ctx, f.backlog); err != nil {
		return err
	}
	if err := f.skipToTime(ctx); err != nil {
		return err
	}
	if len(f.partitions) == 0 && !f.untilEnd {
		fmt.Fprintf(f.notes, "no topic %s.* yet; waiting\n", f.cfg.Kafka.Prefix)
	}
	for {
		if f.untilEnd && f.finished() {
			return nil
		}
		err := f.round(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if shown := merge(f.partitions, show); shown != nil {
			return shown
		}
		if err := f.endure(ctx, err); err != nil {
			return err
		}
	}
}

// skipToTime moves each partition to its first record of the time or later, which the brokers know by their index.
func (f *follower) skipToTime(ctx context.Context) error {
	if f.since.IsZero() || len(f.partitions) == 0 {
		return nil
	}
	request := map[string][]kafka.OffsetRequest{}
	for _, p := range f.partitions {
		request[p.id.topic] = append(request[p.id.topic], kafka.TimeOffsetOf(p.id.id, f.since))
	}
	answer, err := f.cluster.client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: request})
	if err != nil {
		return fmt.Errorf("list offsets of %s: %w", f.since.Format(time.RFC3339), brokerReason(err))
	}
	for topic, partitions := range answer.Topics {
		for _, found := range partitions {
			p := f.known[partitionID{topic, found.Partition}]
			if found.Error != nil {
				return fmt.Errorf("list offsets of %s/%d: %w", topic, found.Partition, found.Error)
			}
			if p == nil {
				continue
			}
			p.next = p.end // nothing is as young as that
			for offset := range found.Offsets {
				if offset >= 0 {
					p.next = max(min(offset, p.end), 0)
				}
			}
		}
	}
	return nil
}

// endure waits after an error that may pass, and says so once.
func (f *follower) endure(ctx context.Context, err error) error {
	if err == nil {
		f.trouble = ""
		return nil
	}
	if f.untilEnd {
		return err
	}
	if text := oneLine(err.Error()); text != f.trouble {
		f.trouble = text
		fmt.Fprintf(f.notes, "%s; trying again\n", text)
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(tailRetryPeriod):
		return nil
	}
}

func (f *follower) finished() bool {
	for _, p := range f.partitions {
		if !p.atEnd() || len(p.waiting) > 0 {
			return false
		}
	}
	return true
}

// lookForTopics adds partitions that are new; what they hold is shown from the beginning, or from now on. It notes which
// broker leads each, and which have none at the moment.
func (f *follower) lookForTopics(ctx context.Context, fromBeginning bool) error {
	f.looked = time.Now()
	topics, err := f.cluster.topics(ctx, f.cfg)
	if err != nil {
		return err
	}
	leaders := map[partitionID]int{}
	var fresh []kafka.Topic
	for _, t := range topics {
		if t.Name == f.cfg.Kafka.Prefix+".who" { // the witness's journal: its content is in the changes
			continue
		}
		unknown := kafka.Topic{Name: t.Name}
		for _, p := range t.Partitions {
			id := partitionID{t.Name, p.ID}
			if p.Leader.Host == "" {
				if f.untilEnd {
					return fmt.Errorf("partition %s has no leader", id)
				}
				continue
			}
			leaders[id] = p.Leader.ID
			if f.known[id] == nil {
				unknown.Partitions = append(unknown.Partitions, p)
			}
		}
		if len(unknown.Partitions) > 0 {
			fresh = append(fresh, unknown)
		}
	}
	all, err := f.cluster.bounds(ctx, fresh)
	if err != nil {
		return err
	}
	for id, b := range all {
		p := &tailPartition{id: id, next: b.start, end: b.end}
		if !fromBeginning {
			p.next = b.end
		}
		f.known[id] = p
		f.partitions = append(f.partitions, p)
	}
	f.lead(leaders)
	return nil
}

// lead brings the leaders up to date. A partition without one, or of a topic that is gone, keeps its place and holds
// nobody up.
func (f *follower) lead(leaders map[partitionID]int) {
	for id, p := range f.known {
		leader, ok := leaders[id]
		p.leader, p.away = leader, !ok
		if p.away {
			p.end = p.next
		}
	}
}

// round asks each leader once and collects the answers.
func (f *follower) round(ctx context.Context) error {
	if !f.untilEnd && time.Since(f.looked) >= pollTopics {
		if err := f.lookForTopics(ctx, true); err != nil {
			return err
		}
	}
	byLeader := map[int][]*tailPartition{}
	for _, p := range f.partitions {
		if len(p.waiting) == 0 && !p.away && !(f.untilEnd && p.atEnd()) {
			byLeader[p.leader] = append(byLeader[p.leader], p)
		}
	}
	if len(byLeader) == 0 {
		return pause(ctx, fetchWait)
	}
	errs := make(chan error, len(byLeader)) // one answer each
	var asked sync.WaitGroup
	for _, partitions := range byLeader {
		asked.Go(func() { errs <- f.fetch(ctx, partitions) })
	}
	asked.Wait()
	close(errs)
	var all []error
	for err := range errs {
		all = append(all, err)
	}
	return errors.Join(all...)
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// fetch asks one leader for all the partitions in one request. Their order changes from request to request: only the
// first one's batch comes whole whatever its size (KIP-74).
func (f *follower) fetch(ctx context.Context, partitions []*tailPartition) error {
	request := &fetch.Request{ReplicaID: -1, MaxWaitTime: int32(fetchWait.Milliseconds()), MinBytes: 1, MaxBytes: fetchBytes, SessionID: -1, SessionEpoch: -1}
	asked := map[partitionID]*tailPartition{}
	for _, i := range rand.Perm(len(partitions)) {
		p := partitions[i]
		asked[p.id] = p
		request.Topics = append(request.Topics, fetch.RequestTopic{Topic: p.id.topic, Partitions: []fetch.RequestPartition{{
			Partition: int32(p.id.id), CurrentLeaderEpoch: -1, FetchOffset: p.next, LogStartOffset: -1, PartitionMaxBytes: fetchPartition,
		}}})
	}
	ctx, cancel := context.WithTimeout(ctx, fetchWait+10*time.Second)
	defer cancel()
	m, err := f.cluster.transport.RoundTrip(ctx, f.cluster.client.Addr, request)
	if err != nil {
		return fmt.Errorf("fetch: %w", err)
	}
	answer := m.(*fetch.Response)
	if answer.ErrorCode != 0 {
		return fmt.Errorf("fetch: %w", kafka.Error(answer.ErrorCode))
	}
	for _, t := range answer.Topics {
		for i := range t.Partitions {
			p := asked[partitionID{t.Topic, int(t.Partitions[i].Partition)}]
			if p == nil {
				continue
			}
			if err := f.take(ctx, p, &t.Partitions[i]); err != nil {
				return fmt.Errorf("fetch %s at %d: %w", p.id, p.next, err)
			}
		}
	}
	return nil
}

// take keeps the records of one partition's answer.
func (f *follower) take(ctx context.Context, p *tailPartition, answer *fetch.ResponsePartition) error {
	if err := kafka.Error(answer.ErrorCode); errors.Is(err, kafka.OffsetOutOfRange) {
		return f.comeBack(ctx, p)
	} else if err != 0 {
		return err
	}
	if !f.untilEnd {
		p.end = answer.HighWatermark
	}
	stream, ok := answer.RecordSet.Records.(*protocol.RecordStream)
	if !ok {
		return nil
	}
	for _, batch := range stream.Records {
		_, control := batch.(*protocol.ControlBatch)
		for {
			r, err := batch.ReadRecord()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return err
			}
			if err := p.keep(r, control); err != nil {
				return err
			}
		}
	}
	return nil
}

// keep queues a record. A control record (the end of a transaction) only moves the offset; so does a record that a
// batch brings along though it was not asked for.
func (p *tailPartition) keep(r *protocol.Record, control bool) error {
	if r.Key != nil {
		defer r.Key.Close()
	}
	if r.Value != nil {
		defer r.Value.Close()
	}
	if r.Offset < p.next {
		return nil
	}
	if !control && r.Offset < p.end { // beyond the end: written after --until-end noted it
		value, err := protocol.ReadAll(r.Value)
		if err != nil {
			return err
		}
		record := tailRecord{partition: p.id, offset: r.Offset, millis: r.Time.UnixMilli(), value: value}
		for _, h := range r.Headers {
			if h.Key == "id" {
				record.id = string(h.Value)
			}
		}
		p.waiting = append(p.waiting, record)
	}
	p.next = r.Offset + 1
	return nil
}

// comeBack goes on at the oldest record there is when the one that was next is gone.
func (f *follower) comeBack(ctx context.Context, p *tailPartition) error {
	all, err := f.cluster.bounds(ctx, []kafka.Topic{{Name: p.id.topic, Partitions: []kafka.Partition{{ID: p.id.id}}}})
	if err != nil {
		return err
	}
	b := all[p.id]
	fmt.Fprintf(f.notes, "%s: offset %d is gone; going on at %d\n", p.id, p.next, b.start)
	p.next = b.start
	if f.untilEnd {
		p.end = min(p.end, b.end)
	}
	return nil
}
