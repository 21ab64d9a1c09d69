package publish

import (
	"context"
	"fmt"

	"github.com/segmentio/kafka-go"
)

// fence keeps predecessors out of the partitions and reads their tails.
//
// Brokers compare a producer's epoch partition by partition, so a new epoch fences nothing by itself: it must be
// written to each partition. An aborted transaction writes nothing but a marker. EndTxn answers before the markers are
// written (seen on Apache Kafka 4.3: a predecessor's batch landed between the answer and the marker), so the fence is
// up only when the marker is seen, and only what stands before it is final:
//
//  1. note the end of each partition;
//  2. abort a transaction that all of them are part of;
//  3. read each from its end until our marker comes: the last record before it is the tail.
func (d *delivery) fence(ctx context.Context, parts []*partition) ([]*scan, error) {
	scans := make([]*scan, len(parts))
	for i, p := range parts {
		scans[i] = newScan(p, d.producer)
	}
	if err := d.ends(ctx, scans); err != nil {
		return nil, err
	}
	if err := d.abortTransaction(ctx, parts); err != nil {
		return nil, err
	}
	if err := d.scanTails(ctx, scans); err != nil {
		return nil, err
	}
	for _, sc := range scans {
		sc.partition.next = sc.mark + 1
	}
	return scans, nil
}

// ends notes where each partition ends now, one request a leader.
func (d *delivery) ends(ctx context.Context, scans []*scan) error {
	return d.cluster.retry(ctx, "read the ends of the topics", func(ctx context.Context) error {
		byLeader, err := d.byLeader(ctx, scans)
		if err != nil {
			return err
		}
		for _, group := range byLeader {
			byPartition := make(map[*partition]*scan, len(group))
			parts := make([]*partition, len(group))
			for i, sc := range group {
				byPartition[sc.partition], parts[i] = sc, sc.partition
			}
			err := d.cluster.offsets(ctx, parts, latest, func(p *partition, end int64) {
				sc := byPartition[p]
				sc.end = end
				sc.begin(max(end-1, 0))
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// byLeader groups partitions by their current leader and notes it in them.
func (d *delivery) byLeader(ctx context.Context, scans []*scan) (map[int32][]*scan, error) {
	l, err := d.cluster.layout(ctx)
	if err != nil {
		return nil, err
	}
	groups := make(map[int32][]*scan)
	for _, sc := range scans {
		p := sc.partition
		leaders := l.topics[p.topic.name]
		if int(p.index) >= len(leaders) || leaders[p.index] < 0 {
			return nil, fmt.Errorf("%s: %w", p, kafka.LeaderNotAvailable)
		}
		p.leader = leaders[p.index]
		groups[p.leader] = append(groups[p.leader], sc)
	}
	return groups, nil
}

// abortTransaction opens a transaction over the partitions and aborts it.
func (d *delivery) abortTransaction(ctx context.Context, parts []*partition) error {
	topics := make(map[string][]kafka.AddPartitionToTxn)
	for _, p := range parts {
		topics[p.topic.name] = append(topics[p.topic.name], kafka.AddPartitionToTxn{Partition: int(p.index)})
	}
	id := d.transactionalID
	err := d.cluster.retry(ctx, "fence the topics (AddPartitionsToTxn)", func(ctx context.Context) error {
		r, err := d.cluster.client.AddPartitionsToTxn(ctx, &kafka.AddPartitionsToTxnRequest{
			TransactionalID: id,
			ProducerID:      int(d.producer.id),
			ProducerEpoch:   int(d.producer.epoch),
			Topics:          topics,
		})
		if err != nil {
			return err
		}
		for topic, answers := range r.Topics {
			for _, a := range answers {
				if a.Error != nil {
					return fmt.Errorf("%s/%d: %w", topic, a.Partition, a.Error)
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return d.cluster.retry(ctx, "fence the topics (EndTxn)", func(ctx context.Context) error {
		r, err := d.cluster.client.EndTxn(ctx, &kafka.EndTxnRequest{
			TransactionalID: id,
			ProducerID:      int(d.producer.id),
			ProducerEpoch:   int(d.producer.epoch),
		})
		if err != nil {
			return err
		}
		return r.Error
	})
}
