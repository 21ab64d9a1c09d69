package publish

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go"
)

// openTopics makes sure that topics exist, and keeps predecessors out of them. Several together cost no more requests
// than one.
func (d *delivery) openTopics(ctx context.Context, topics []*topic) ([]*scan, error) {
	if err := d.ground(ctx); err != nil {
		return nil, err
	}
	defer d.unground()
	l, err := d.ensure(ctx, topics)
	if err != nil {
		return nil, err
	}
	if err := d.limits(ctx, topics); err != nil {
		return nil, err
	}
	var parts []*partition
	for _, t := range topics {
		for i, leader := range l.topics[t.name] {
			t.partitions = append(t.partitions, &partition{topic: t, index: int32(i), leader: leader, active: -1})
		}
		parts = append(parts, t.partitions...)
	}
	scans, err := d.fence(ctx, parts)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	d.fenced = append(d.fenced, parts...)
	d.mu.Unlock()
	return scans, nil
}

// ground waits until nothing is under way and lets nothing start: no batch of ours may arrive while a transaction of
// our producer id is open.
func (d *delivery) ground(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.grounded = true
	err := d.wait(ctx, func() bool {
		for _, l := range d.lanes {
			if l.flying {
				return false
			}
		}
		return true
	})
	if err != nil {
		return fmt.Errorf("wait for batches under way: %w", err)
	}
	return nil
}

func (d *delivery) unground() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.grounded = false
	d.dispatch()
}

// ensure creates the topics that do not exist, as DESIGN.md §10 says, and returns a layout in which each partition
// has a leader.
func (d *delivery) ensure(ctx context.Context, topics []*topic) (layout, error) {
	var l layout
	created := make(map[string]bool)
	err := d.cluster.retry(ctx, "open topics", func(ctx context.Context) error {
		for {
			var err error
			if l, err = d.cluster.layout(ctx); err != nil {
				return err
			}
			missing, err := missingTopics(topics, l, created)
			if err != nil || len(missing) == 0 {
				return err
			}
			if err := d.create(ctx, missing, l.brokers); err != nil {
				return err
			}
			for _, t := range missing {
				created[t.name] = true
				d.log.Info("created topic", "topic", t.name)
			}
		}
	})
	return l, err
}

// missingTopics lists the topics that have to be created. One that was and is not there yet, or has no leader yet, is an
// error that heals; one that Kafka would refuse because of its name is one that does not.
func missingTopics(topics []*topic, l layout, created map[string]bool) ([]*topic, error) {
	forms := make(map[string]string, len(l.topics))
	for name := range l.topics {
		forms[Collision(name)] = name
	}
	var missing []*topic
	for _, t := range topics {
		leaders, exists := l.topics[t.name]
		other, collides := forms[Collision(t.name)]
		switch {
		case exists && slices.Contains(leaders, -1):
			return nil, fmt.Errorf("%s: %w", t.name, kafka.LeaderNotAvailable)
		case exists:
		case collides && other != t.name:
			return nil, fmt.Errorf("topic %s of table %s.%s: Kafka takes it for the same as %s ('.' and '_' collide): "+
				"give it another name in topics.names: %w", t.name, t.target.Schema, t.target.Table, other, kafka.InvalidTopic)
		case created[t.name]:
			return nil, fmt.Errorf("%s: %w", t.name, kafka.UnknownTopicOrPartition)
		default:
			missing = append(missing, t)
			forms[Collision(t.name)] = t.name
		}
	}
	return missing, nil
}

// create asks for the topics. One that somebody else created meanwhile is as good.
func (d *delivery) create(ctx context.Context, topics []*topic, brokers int) error {
	req := &kafka.CreateTopicsRequest{}
	for _, t := range topics {
		replication := d.cfg.Replication
		if replication == 0 {
			replication = min(3, brokers)
		}
		partitions := d.cfg.Partitions
		if t.target.Schema == "" {
			partitions = 1 // the service streams are one order each
		}
		req.Topics = append(req.Topics, kafka.TopicConfig{
			Topic:             t.name,
			NumPartitions:     partitions,
			ReplicationFactor: replication,
			ConfigEntries:     d.topicConfig(replication),
		})
	}
	res, err := d.cluster.client.CreateTopics(ctx, req)
	if err != nil {
		return err
	}
	for _, t := range topics {
		err := res.Errors[t.name]
		if replication := req.Topics[0].ReplicationFactor; errors.Is(err, kafka.InvalidReplicationFactor) && replication <= brokers {
			// There are enough of them, but the controller holds some for away: that passes.
			return fmt.Errorf("create topic %s: %v: %w", t.name, err, kafka.BrokerNotAvailable)
		}
		if err != nil && !errors.Is(err, kafka.TopicAlreadyExists) {
			return fmt.Errorf("create topic %s with replication %d: %w: create it by hand or mend topics.replication and the broker's rights",
				t.name, req.Topics[0].ReplicationFactor, err)
		}
	}
	return nil
}

// topicConfig says how topics are created: an audit trail does not expire by accident, and takes the commit times of
// an old backlog or a skewed clock (brokers refuse more than an hour ahead by default since 4.0, KIP-937).
func (d *delivery) topicConfig(replication int) []kafka.ConfigEntry {
	retention := int64(-1)
	if d.cfg.Retention > 0 {
		retention = d.cfg.Retention.Milliseconds()
	}
	const always = "9223372036854775807" // Long.MAX_VALUE, the widest that Kafka takes
	entries := []kafka.ConfigEntry{
		{ConfigName: "cleanup.policy", ConfigValue: "delete"},
		{ConfigName: "retention.ms", ConfigValue: strconv.FormatInt(retention, 10)},
		{ConfigName: "max.message.bytes", ConfigValue: strconv.Itoa(d.cfg.MaxMessageBytes)},
		{ConfigName: "message.timestamp.type", ConfigValue: "CreateTime"},
		{ConfigName: "message.timestamp.before.max.ms", ConfigValue: always},
		{ConfigName: "message.timestamp.after.max.ms", ConfigValue: always},
	}
	if replication >= 3 {
		entries = append(entries, kafka.ConfigEntry{ConfigName: "min.insync.replicas", ConfigValue: "2"})
	}
	return entries
}

// limits reads how large a batch each topic takes and how long it keeps it.
func (d *delivery) limits(ctx context.Context, topics []*topic) error {
	keys := []string{"max.message.bytes", "retention.ms", "retention.bytes"}
	req := &kafka.DescribeConfigsRequest{}
	byName := make(map[string]*topic)
	for _, t := range topics {
		byName[t.name] = t
		req.Resources = append(req.Resources, kafka.DescribeConfigRequestResource{
			ResourceType: kafka.ResourceTypeTopic,
			ResourceName: t.name,
			ConfigNames:  keys,
		})
	}
	return d.cluster.retry(ctx, "read the topics' settings", func(ctx context.Context) error {
		res, err := d.cluster.client.DescribeConfigs(ctx, req)
		if err != nil {
			return err
		}
		for _, r := range res.Resources {
			if r.Error != nil {
				return fmt.Errorf("%s: %w", r.ResourceName, r.Error)
			}
			for _, e := range r.ConfigEntries {
				if t := byName[r.ResourceName]; t != nil {
					t.configure(e.ConfigName, e.ConfigValue)
				}
			}
		}
		for _, t := range topics {
			if t.limit == 0 {
				return fmt.Errorf("%s: no answer for max.message.bytes: %w", t.name, kafka.UnknownTopicOrPartition)
			}
		}
		return nil
	})
}

func (t *topic) configure(name, value string) {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return // not one of the numbers that we asked for
	}
	switch name {
	case "max.message.bytes":
		t.limit = int(n)
	case "retention.ms":
		t.retention = time.Duration(n) * time.Millisecond
	case "retention.bytes":
		t.retentionBytes = n
	}
}
