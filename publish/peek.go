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
	sc := newScan(&partition{topic: t, active: -1}, producer{-1, -1})
	for back := int64(1); ; back *= 16 {
		err := s.cluster.retry(ctx, "look at the control topic", func(ctx context.Context) error {
			return s.peekFrom(ctx, sc, back)
		})
		switch {
		case err != nil:
			return false, err
		case sc.found != nil:
			_, err := s.readNote(t, sc.found)
			return true, err
		case sc.from == 0 || sc.expired:
			return false, nil
		}
	}
}

// peekFrom reads the topic's last offsets, if the topic exists.
func (s *Sink) peekFrom(ctx context.Context, sc *scan, back int64) error {
	l, err := s.cluster.layout(ctx)
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
	err = s.cluster.offsets(ctx, []*partition{sc.partition}, latest, func(_ *partition, end int64) { sc.end = end })
	if err != nil {
		return err
	}
	sc.begin(max(sc.end-back, 0))
	sc.marker = func(*protocol.ControlBatch) {}
	for sc.at < sc.end {
		if err := s.cluster.fetch(ctx, []*cursor{&sc.cursor}); err != nil {
			return err
		}
	}
	return nil
}
