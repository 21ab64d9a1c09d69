package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"

	"pgwitness/publish"
)

// kafka judges the Kafka side; s is nil when the source could not be reached.
func (f *findings) kafka(ctx context.Context, cfg *config, s *survey) error {
	if !f.configuredBrokers(ctx, cfg) {
		return ctx.Err()
	}
	if err := cfg.secureKafka(); err != nil {
		f.wrong("brokers", "mend the file, or the key that names it", "%s", err)
		return ctx.Err()
	}
	c := openCluster(cfg, patience)
	defer c.close()
	m, err := c.client.Metadata(ctx, &kafka.MetadataRequest{})
	if err != nil {
		f.wrong("brokers", publish.Mend(err), "no metadata: %s", brokerReason(err))
		return ctx.Err()
	}
	f.advertisedBrokers(ctx, m.Brokers)
	if n := cfg.Topics.Replication; n > len(m.Brokers) {
		f.wrong("topics.replication", "lower topics.replication, or add brokers", "%d copies are wanted, and there are %d brokers: no topic can be created", n, len(m.Brokers))
	}
	if s == nil {
		return nil
	}
	existing := map[string]kafka.Topic{}
	for _, t := range m.Topics {
		existing[t.Name] = t
	}
	wanted := wantedTopics(cfg, s)
	f.topicNames(wanted, existing)
	return f.existingTopics(ctx, c, cfg, wanted, existing)
}

// configuredBrokers tries each address of the configuration: one that is wrong shows only when the others are down.
func (f *findings) configuredBrokers(ctx context.Context, cfg *config) bool {
	reached := 0
	for _, address := range cfg.Kafka.Brokers {
		if err := dial(ctx, address); err != nil {
			f.wrong("brokers", "mend kafka.brokers or the network", "%s cannot be reached: %s", address, err)
			continue
		}
		reached++
	}
	if reached == len(cfg.Kafka.Brokers) {
		f.ok("brokers", "%s answered", strings.Join(cfg.Kafka.Brokers, ", "))
	}
	return reached > 0
}

// advertisedBrokers tries the addresses that the cluster names itself by: records go there.
func (f *findings) advertisedBrokers(ctx context.Context, brokers []kafka.Broker) {
	reached := 0
	for _, b := range brokers {
		address := net.JoinHostPort(b.Host, fmt.Sprint(b.Port))
		if err := dial(ctx, address); err != nil {
			f.wrong("brokers", "mend advertised.listeners of the broker, or the network", "broker %d advertises %s, which cannot be reached from here: %s", b.ID, address, err)
			continue
		}
		reached++
	}
	if reached == len(brokers) {
		f.ok("brokers", "each of the cluster's brokers (%d) can be reached by the address that it advertises", len(brokers))
	}
}

func dial(ctx context.Context, address string) error {
	d := net.Dialer{Timeout: 5 * time.Second}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return conn.Close()
}
