package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"
)

// A cluster is the Kafka side as the commands other than run see it: they only read.
type cluster struct {
	client    *kafka.Client
	transport *kafka.Transport
}

// openCluster reads metadata anew after ttl, which is also how long it waits for them (kafka-go's transport.go).
func openCluster(cfg *config, ttl time.Duration) *cluster {
	settings := cfg.publish()
	transport := &kafka.Transport{
		ClientID:    "pgwitness",
		DialTimeout: 5 * time.Second,
		MetadataTTL: ttl,
		TLS:         settings.TLS,
		SASL:        settings.SASL,
	}
	client := &kafka.Client{Addr: kafka.TCP(settings.Brokers...), Transport: transport, Timeout: 10 * time.Second}
	return &cluster{client, transport}
}

func (c *cluster) close() { c.transport.CloseIdleConnections() }

// topics lists the topics of the prefix and those that the configuration names, sorted.
func (c *cluster) topics(ctx context.Context, cfg *config) ([]kafka.Topic, error) {
	m, err := c.client.Metadata(ctx, &kafka.MetadataRequest{})
	if err != nil {
		return nil, fmt.Errorf("read the topics' metadata from %s: %w", strings.Join(cfg.Kafka.Brokers, ","), brokerReason(err))
	}
	named := map[string]bool{}
	for _, topic := range cfg.Topics.Names {
		named[topic] = true
	}
	var topics []kafka.Topic
	for _, t := range m.Topics {
		if t.Error == nil && (strings.HasPrefix(t.Name, cfg.Kafka.Prefix+".") || named[t.Name]) {
			topics = append(topics, t)
		}
	}
	slices.SortFunc(topics, func(a, b kafka.Topic) int { return strings.Compare(a.Name, b.Name) })
	return topics, nil
}

// patience is the ttl of commands that ask once.
const patience = 10 * time.Second

// A partitionID names a partition.
type partitionID struct {
	topic string
	id    int
}

func (p partitionID) String() string { return fmt.Sprintf("%s/%d", p.topic, p.id) }

// bounds are the offsets of a partition: [start, end).
type bounds struct{ start, end int64 }

// bounds asks for the offsets of all partitions of the topics.
func (c *cluster) bounds(ctx context.Context, topics []kafka.Topic) (map[partitionID]bounds, error) {
	request := map[string][]kafka.OffsetRequest{}
	for _, t := range topics {
		for _, p := range t.Partitions {
			request[t.Name] = append(request[t.Name], kafka.FirstOffsetOf(p.ID), kafka.LastOffsetOf(p.ID))
		}
	}
	all := map[partitionID]bounds{}
	if len(request) == 0 {
		return all, nil
	}
	answer, err := c.client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: request})
	if err != nil {
		return nil, fmt.Errorf("list offsets: %w", brokerReason(err))
	}
	for topic, partitions := range answer.Topics {
		for _, p := range partitions {
			id := partitionID{topic, p.Partition}
			if p.Error != nil {
				return nil, fmt.Errorf("list offsets of %s: %w", id, p.Error)
			}
			all[id] = bounds{p.FirstOffset, p.LastOffset}
		}
	}
	return all, nil
}

// brokerReason drops the name of kafka-go's function, which says nothing to whoever reads the error.
func brokerReason(err error) error {
	if cause := errors.Unwrap(err); cause != nil && strings.HasPrefix(err.Error(), "kafka.(*Client)") {
		return cause
	}
	return err
}
