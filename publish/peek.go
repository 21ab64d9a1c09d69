package publish

import (
	"context"
	"fmt"
	"slices"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"

	"pgwitness/decode"
)

// peek looks at the newest control record before anything is taken from whoever writes there: a prefix that belongs to
// another slot is refused without harm to its owner. It reports whether there is a record.
func (s *Sink) peek(ctx context.Context) (bool, error) {
	target := *decode.Control
	t := &topic{name: s.topicName(&target), target: target}
	found, err := s.newest(ctx, t)
	if found == nil || err != nil {
		return false, err
	}
	_, err = s.readNote(t, found)
	return true, err
}

// newest reads the last record of a topic of one partition, as it is before the fence: nil when there is none.
func (d *delivery) newest(ctx context.Context, t *topic) (*stored, error) {
	sc := newScan(&partition{topic: t, active: -1}, producer{-1, -1})
	for back := int64(1); ; back *= 16 {
		err := d.cluster.retry(ctx, "look at topic "+t.name, func(ctx context.Context) error {
			return d.peekFrom(ctx, sc, back)
		})
		if err != nil || sc.found != nil || sc.from == 0 || sc.expired {
			return sc.found, err
		}
	}
}

// peekFrom reads the topic's last offsets, if the topic exists.
func (d *delivery) peekFrom(ctx context.Context, sc *scan, back int64) error {
	l, err := d.cluster.layout(ctx)
	if err != nil {
		return err
	}
	leaders, exists := l.topics[sc.partition.topic.name]
	if !exists {
		sc.begin(0)
		return nil
	}
	if len(leaders) == 0 || slices.Contains(leaders, -1) {
		return fmt.Errorf("%s: %w", sc.partition, kafka.LeaderNotAvailable)
	}
	sc.partition.leader = leaders[0]
	err = d.cluster.offsets(ctx, []*partition{sc.partition}, latest, func(_ *partition, end int64) { sc.end = end })
	if err != nil {
		return err
	}
	sc.begin(max(sc.end-back, 0))
	sc.marker = func(*protocol.ControlBatch) {}
	for sc.at < sc.end {
		if err := d.cluster.fetch(ctx, []*cursor{&sc.cursor}); err != nil {
			return err
		}
	}
	return nil
}
