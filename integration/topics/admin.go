package topics

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/segmentio/kafka-go"
)

// List names the topics that begin with prefix and a dot, in order; an empty prefix means all.
func (r *Reader) List(ctx context.Context, prefix string) ([]string, error) {
	m, err := r.metadata(ctx, prefix)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, t := range m {
		names = append(names, t.Name)
	}
	slices.Sort(names)
	return names, nil
}

func (r *Reader) metadata(ctx context.Context, prefix string) ([]kafka.Topic, error) {
	r.Close() // kafka-go answers from a copy that may be older than a topic; without connections it asks anew
	m, err := r.client.Metadata(ctx, &kafka.MetadataRequest{})
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	return slices.DeleteFunc(m.Topics, func(t kafka.Topic) bool {
		return t.Internal || prefix != "" && !strings.HasPrefix(t.Name, prefix+".")
	}), nil
}

// Bounds tells where the partitions of the topics whose names begin with prefix and a dot start and end.
func (r *Reader) Bounds(ctx context.Context, prefix string) (bounds []Partition, err error) {
	err = r.patiently(ctx, func() error {
		bounds, err = r.boundsNow(ctx, prefix)
		return err
	})
	return bounds, err
}

func (r *Reader) boundsNow(ctx context.Context, prefix string) ([]Partition, error) {
	found, err := r.metadata(ctx, prefix)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, nil
	}
	req := &kafka.ListOffsetsRequest{Topics: make(map[string][]kafka.OffsetRequest)}
	for _, t := range found {
		if t.Error != nil {
			return nil, fmt.Errorf("topic %s: %w", t.Name, t.Error)
		}
		for _, p := range t.Partitions {
			req.Topics[t.Name] = append(req.Topics[t.Name], kafka.FirstOffsetOf(p.ID), kafka.LastOffsetOf(p.ID))
		}
	}
	res, err := r.client.ListOffsets(ctx, req)
	if err != nil {
		return nil, fmt.Errorf("list offsets: %w", err)
	}
	var bounds []Partition
	for topic, partitions := range res.Topics {
		for _, p := range partitions {
			if p.Error != nil {
				return nil, fmt.Errorf("offsets of %s/%d: %w", topic, p.Partition, p.Error)
			}
			bounds = append(bounds, Partition{Topic: topic, ID: p.Partition, Start: p.FirstOffset, End: p.LastOffset})
		}
	}
	slices.SortFunc(bounds, func(a, b Partition) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.ID, b.ID))
	})
	return bounds, nil
}

// Create makes a topic with these settings (name to value).
func (r *Reader) Create(ctx context.Context, topic string, partitions, replication int, settings map[string]string) error {
	config := kafka.TopicConfig{Topic: topic, NumPartitions: partitions, ReplicationFactor: replication}
	for name, value := range settings {
		config.ConfigEntries = append(config.ConfigEntries, kafka.ConfigEntry{ConfigName: name, ConfigValue: value})
	}
	res, err := r.client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{config}})
	if err != nil {
		return fmt.Errorf("create topic %s: %w", topic, err)
	}
	return res.Errors[topic]
}

// Delete removes a topic.
func (r *Reader) Delete(ctx context.Context, topic string) error {
	res, err := r.client.DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: []string{topic}})
	if err != nil {
		return fmt.Errorf("delete topic %s: %w", topic, err)
	}
	return errors.Join(res.Errors[topic])
}
