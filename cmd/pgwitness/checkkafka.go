package main

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"

	"pgwitness/publish"
)

// kafka judges the Kafka side; s is nil when the source could not be reached.
func (f *findings) kafka(ctx context.Context, cfg *config, s *survey) error {
	if !f.configuredBrokers(ctx, cfg) {
		return ctx.Err()
	}
	if err := cfg.secureKafka(); err != nil {
		f.wrong(aboutBrokers, "mend the file, or the key that names it", "%s", err)
		return ctx.Err()
	}
	c := openCluster(cfg, patience)
	defer c.close()
	m, err := c.client.Metadata(ctx, &kafka.MetadataRequest{})
	if err != nil {
		f.wrong(aboutBrokers, publish.Mend(err), "no metadata: %s", brokerReason(err))
		return ctx.Err()
	}
	f.advertisedBrokers(ctx, m.Brokers)
	f.requests(ctx, c)
	f.brokerSettings(ctx, c, cfg, m.Brokers)
	f.replicas(cfg, len(m.Brokers))
	f.allowed(cfg)
	if s == nil {
		return nil
	}
	existing := map[string]kafka.Topic{}
	for _, t := range m.Topics {
		existing[t.Name] = t
	}
	wanted := wantedTopics(cfg, s)
	f.topicNames(wanted, existing)
	f.transactionalIDs(ctx, c, cfg, s)
	return f.topics(ctx, c, cfg, wanted, existing, len(m.Brokers))
}

// configuredBrokers tries each address of the configuration: one that is wrong shows only when the others are down.
func (f *findings) configuredBrokers(ctx context.Context, cfg *config) bool {
	reached := 0
	for _, address := range cfg.Kafka.Brokers {
		if err := dial(ctx, address); err != nil {
			f.wrong(aboutBrokers.of(address), "mend kafka.brokers or the network", "%s cannot be reached: %s", address, err)
			continue
		}
		reached++
	}
	if reached == len(cfg.Kafka.Brokers) {
		f.ok(aboutBrokers, "%s answered", strings.Join(cfg.Kafka.Brokers, ", "))
	}
	return reached > 0
}

// advertisedBrokers tries the addresses that the cluster names itself by: records go there.
func (f *findings) advertisedBrokers(ctx context.Context, brokers []kafka.Broker) {
	reached := 0
	for _, b := range brokers {
		address := net.JoinHostPort(b.Host, fmt.Sprint(b.Port))
		if err := dial(ctx, address); err != nil {
			f.wrong(aboutAddresses.of(address), "mend advertised.listeners of the broker, or the network", "broker %d advertises %s, which cannot be reached from here: %s", b.ID, address, err)
			continue
		}
		reached++
	}
	if reached == len(brokers) {
		f.ok(aboutAddresses, "each of the cluster's brokers (%d) can be reached by the address that it advertises", len(brokers))
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

// neededRequests are what delivery stands on, in the oldest version that it can use: batches with a producer id (KIP-98)
// and fetches of them.
var neededRequests = map[protocol.ApiKey]int{protocol.Produce: 3, protocol.Fetch: 4, protocol.InitProducerId: 0,
	protocol.AddPartitionsToTxn: 0, protocol.EndTxn: 0}

// requests judges whether the brokers know what once and in order needs.
func (f *findings) requests(ctx context.Context, c *cluster) {
	answer, err := c.client.ApiVersions(ctx, &kafka.ApiVersionsRequest{})
	if err != nil {
		f.warn(aboutRequests, publish.Mend(err), "what the brokers can do is not known: %s", brokerReason(err))
		return
	}
	known := map[protocol.ApiKey]int{}
	for _, k := range answer.ApiKeys {
		known[protocol.ApiKey(k.ApiKey)] = k.MaxVersion
	}
	var missing []string
	for key, version := range neededRequests {
		if newest, ok := known[key]; !ok || newest < version {
			missing = append(missing, key.String())
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		f.wrong(aboutRequests, "use a Kafka of version 1.0 or later, or what speaks its whole protocol", "the brokers lack idempotent producers or transactions: %s", strings.Join(missing, ", "))
		return
	}
	f.ok(aboutRequests, "idempotent producers and transactions are known")
}

// brokerSettings tries whether the brokers' settings can be read: a run learns from them how long they remember it.
func (f *findings) brokerSettings(ctx context.Context, c *cluster, cfg *config, brokers []kafka.Broker) {
	if len(brokers) == 0 {
		return
	}
	answer, err := c.client.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{{
		ResourceType: kafka.ResourceTypeBroker, ResourceName: fmt.Sprint(brokers[0].ID), ConfigNames: []string{"transactional.id.expiration.ms"},
	}}})
	if err == nil && len(answer.Resources) == 1 {
		err = answer.Resources[0].Error
	}
	if err != nil {
		f.note(aboutBrokerSettings, "they cannot be read (%s): Kafka's default is taken for how long brokers remember a producer; it needs DescribeConfigs on the cluster", brokerReason(err))
		return
	}
	f.ok(aboutBrokerSettings, "they can be read")
}

func (f *findings) replicas(cfg *config, brokers int) {
	switch n := cfg.Topics.Replication; {
	case n > brokers:
		f.wrong(aboutReplicas, "lower topics.replication, or add brokers", "%d copies are wanted, and there are %d brokers: no topic can be created", n, brokers)
	case cfg.checkCopies(brokers) != nil:
		f.wrong(aboutReplicas, "leave topics.replication out, or allow: [fewer-copies]", "%d copies are wanted, and there are %d brokers: acknowledged records can be lost with one of them", n, brokers)
	case n != 0:
		f.ok(aboutReplicas, "new topics get %d copies, and there are %d brokers", n, brokers)
	default:
		f.ok(aboutReplicas, "new topics get %d copies, and there are %d brokers", min(3, brokers), brokers)
	}
}

// allowed tells what the configuration allows to be weaker.
func (f *findings) allowed(cfg *config) {
	if len(cfg.Allow) > 0 {
		f.note(aboutAllowed, "the configuration allows %s", strings.Join(cfg.Allow, ", "))
		return
	}
	f.ok(aboutAllowed, "the configuration allows nothing that weakens the trail")
}
