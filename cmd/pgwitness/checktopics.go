package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"

	"pgwitness/decode"
	"pgwitness/publish"
)

// A wantedTopic is a topic that run will write to, and for which tables.
type wantedTopic struct {
	name   string
	tables []string // or the name of the service stream
}

// wantedTopics are the topics of the published tables and of the service streams, sorted by name.
func wantedTopics(cfg *config, s *survey) []*wantedTopic {
	byName := map[string]*wantedTopic{}
	add := func(name, table string) {
		w := byName[name]
		if w == nil {
			w = &wantedTopic{name: name}
			byName[name] = w
		}
		if !slices.Contains(w.tables, table) {
			w.tables = append(w.tables, table)
		}
	}
	for _, t := range s.tables {
		if !t.published || t.kind != "r" {
			continue
		}
		if cfg.Topics.Partitioned == "root" {
			t = t.root()
		}
		add(topicOf(cfg, &decode.Target{Schema: t.schema, Table: t.name}), "table "+t.String())
	}
	services := []*decode.Target{decode.Control, decode.Messages}
	if s.hold.word() != "none" {
		services = append(services, decode.Who)
	}
	for _, service := range services {
		add(topicOf(cfg, service), "the "+service.Table+" stream")
	}
	return slices.SortedFunc(maps.Values(byName), func(a, b *wantedTopic) int { return strings.Compare(a.name, b.name) })
}

// topicOf names a target's topic as run does: the configuration's word, or the rule.
func topicOf(cfg *config, t *decode.Target) string {
	if name, ok := cfg.Topics.Names[t.Schema+"."+t.Table]; ok && t.Schema != "" {
		return name
	}
	return publish.TopicName(cfg.Kafka.Prefix, t)
}

// topicNames judges names: what Kafka does not allow, two tables in one topic, and names that Kafka takes for the same.
func (f *findings) topicNames(wanted []*wantedTopic, existing map[string]kafka.Topic) {
	const mend = "give a table another name in topics.names"
	forms := map[string]string{}
	for name := range existing {
		forms[publish.Collision(name)] = name
	}
	for _, w := range wanted {
		if err := publish.CheckTopicName(w.name); err != nil {
			f.wrong(aboutTopicNames.of(w.name), mend, "%s: %s", w.tables[0], err)
			continue
		}
		if len(w.tables) > 1 {
			f.wrong(aboutTopicNames.of(w.name), mend, "%s would share topic %s", strings.Join(w.tables, " and "), w.name)
		}
		if other, ok := forms[publish.Collision(w.name)]; ok && other != w.name {
			f.wrong(aboutTopicNames.of(w.name), mend, "topic %s of %s collides with %s: Kafka takes '.' and '_' for the same", w.name, w.tables[0], other)
		}
		forms[publish.Collision(w.name)] = w.name
	}
	f.otherwise(aboutTopicNames, "%d topics, all names are legal and different", len(wanted))
}

// topics judges the topics that are there already, of which run changes none, and whether the others can be made.
func (f *findings) topics(ctx context.Context, c *cluster, cfg *config, wanted []*wantedTopic, existing map[string]kafka.Topic, brokers int) error {
	var there []kafka.Topic
	var missing []string
	for _, w := range wanted {
		t, ok := existing[w.name]
		switch {
		case !ok && publish.CheckTopicName(w.name) == nil:
			missing = append(missing, w.name)
		case ok && t.Error == nil:
			there = append(there, t)
		}
	}
	f.ok(aboutTopics, "%d of %d exist; run creates the others when they are first needed", len(there), len(wanted))
	if err := f.topicCreation(ctx, c, cfg, missing, brokers); err != nil || len(there) == 0 {
		return err
	}
	if err := f.topicRights(ctx, c, cfg, there); err != nil {
		return err
	}
	settings, err := f.topicSettings(ctx, c, cfg, there)
	if err != nil {
		return err
	}
	for _, t := range there {
		if s := settings[t.Name]; s != nil {
			f.topic(cfg, t, s)
		}
	}
	f.topicsAreWell(len(there))
	return nil
}

// topicSettings reads them, by topic and name.
func (f *findings) topicSettings(ctx context.Context, c *cluster, cfg *config, topics []kafka.Topic) (map[string]map[string]string, error) {
	request := &kafka.DescribeConfigsRequest{}
	for _, t := range topics {
		request.Resources = append(request.Resources, kafka.DescribeConfigRequestResource{ResourceType: kafka.ResourceTypeTopic, ResourceName: t.Name})
	}
	answer, err := c.client.DescribeConfigs(ctx, request)
	if err != nil {
		return nil, fmt.Errorf("read the topics' settings: %w", brokerReason(err))
	}
	settings := map[string]map[string]string{}
	for _, r := range answer.Resources {
		if r.Error != nil {
			f.wrong(aboutTopics.of(r.ResourceName), topicACL(cfg, "DescribeConfigs"), "the settings of %s cannot be read, as run has to: %s", r.ResourceName, r.Error)
			continue
		}
		settings[r.ResourceName] = map[string]string{}
		for _, e := range r.ConfigEntries {
			settings[r.ResourceName][e.ConfigName] = e.ConfigValue
		}
	}
	return settings, nil
}

// topicsAreWell says of each check that it found nothing in any topic.
func (f *findings) topicsAreWell(n int) {
	for _, one := range []struct {
		about about
		what  string
	}{
		{aboutCleanup, "no record is removed for a later one (topics: %d)"},
		{aboutRetention, "records are kept as topics.retention says (topics: %d)"},
		{aboutCopies, "acknowledged records stand on as many brokers as can be asked for (topics: %d)"},
		{aboutElection, "no broker without the acknowledged records becomes the leader (topics: %d)"},
		{aboutRecordSize, "records up to topics.max_message_bytes fit (topics: %d)"},
		{aboutTimestamps, "records bear the time of their commit, however old (topics: %d)"},
		{aboutPartitions, "as many as topics.partitions says (topics: %d)"},
	} {
		f.otherwise(one.about, one.what, n)
	}
}

// topic judges one topic's settings.
func (f *findings) topic(cfg *config, t kafka.Topic, s map[string]string) {
	alter := func(setting string) string {
		return "kafka-configs.sh --bootstrap-server " + cfg.Kafka.Brokers[0] + " --alter --topic " + t.Name + " --add-config " + setting
	}
	if s["cleanup.policy"] != "delete" {
		f.warn(aboutCleanup.of(t.Name), alter("cleanup.policy=delete"), "cleanup.policy is %s: older records of a key are removed", s["cleanup.policy"])
	}
	if s["retention.bytes"] != "-1" && s["retention.bytes"] != "" {
		f.warn(aboutRetention.of(t.Name), alter("retention.bytes=-1"), "retention.bytes is %s: the oldest records are removed", s["retention.bytes"])
	}
	if want := retentionMillis(cfg.Topics.Retention); s["retention.ms"] != want {
		f.warn(aboutRetention.of(t.Name), alter("retention.ms="+want), "retention.ms is %s, topics.retention says %s", s["retention.ms"], want)
	}
	f.durability(alter, t, s)
	if n, err := strconv.Atoi(s["max.message.bytes"]); err == nil && n < cfg.Topics.MaxMessageBytes {
		f.warn(aboutRecordSize.of(t.Name), alter(fmt.Sprintf("max.message.bytes=%d", cfg.Topics.MaxMessageBytes)),
			"max.message.bytes is %d, less than topics.max_message_bytes: larger records lose their images (topics.oversize: %s)", n, cfg.Topics.Oversize)
	}
	f.timestamps(alter, t, s)
	partitions := cfg.Topics.Partitions
	for _, service := range []*decode.Target{decode.Control, decode.Messages, decode.Who} {
		if t.Name == topicOf(cfg, service) {
			partitions = 1 // one order each
		}
	}
	switch n := len(t.Partitions); {
	case n == partitions:
	case t.Name == topicOf(cfg, decode.Control), t.Name == topicOf(cfg, decode.Who):
		f.wrong(aboutPartitions.of(t.Name), "make it anew with one, under another kafka.prefix", "it has %d: a diary has one order", n)
	default:
		f.note(aboutPartitions.of(t.Name), "it has %d, topics.partitions says %d", n, partitions)
	}
}

// timestamps judges whether a record may bear the time of its commit: of an old backlog, and of a server whose clock is
// ahead of the broker's. Brokers before 3.6 have one bound for both (KIP-937).
func (f *findings) timestamps(alter func(string) string, t kafka.Topic, s map[string]string) {
	const always = "9223372036854775807" // Long.MAX_VALUE
	about := aboutTimestamps.of(t.Name)
	if s["message.timestamp.type"] == "LogAppendTime" {
		f.warn(about, alter("message.timestamp.type=CreateTime"), "message.timestamp.type is LogAppendTime: records show when they arrived, not when they were committed")
	}
	for _, bound := range []struct{ name, refused string }{
		{"message.timestamp.before.max.ms", "older commits, as of a backlog, are refused, and the run stops"},
		{"message.timestamp.after.max.ms", "commits of a server whose clock is ahead by more are refused, and the run stops"},
	} {
		if v, ok := s[bound.name]; ok && v != always {
			f.warn(about, alter(bound.name+"="+always), "%s is %s: %s", bound.name, v, bound.refused)
		}
	}
	if v, ok := s["message.timestamp.difference.max.ms"]; ok && v != always && s["message.timestamp.before.max.ms"] == "" {
		f.warn(about, alter("message.timestamp.difference.max.ms="+always), "message.timestamp.difference.max.ms is %s: commits further from the broker's clock are refused, and the run stops", v)
	}
}

// durability judges whether an acknowledged record can be lost with one broker.
func (f *findings) durability(alter func(string) string, t kafka.Topic, s map[string]string) {
	replicas := 0
	for _, p := range t.Partitions {
		if replicas == 0 || len(p.Replicas) < replicas {
			replicas = len(p.Replicas)
		}
	}
	least, err := strconv.Atoi(s["min.insync.replicas"])
	switch {
	case err != nil:
	case replicas > 2 && least < 2:
		f.warn(aboutCopies.of(t.Name), alter("min.insync.replicas=2"), "min.insync.replicas is %d: a record can be acknowledged that only one broker has", least)
	case least > replicas:
		f.wrong(aboutCopies.of(t.Name), alter(fmt.Sprintf("min.insync.replicas=%d", replicas)), "min.insync.replicas is %d, and there are %d copies: no record can be written", least, replicas)
	}
	if s["unclean.leader.election.enable"] == "true" {
		f.warn(aboutElection.of(t.Name), alter("unclean.leader.election.enable=false"), "unclean.leader.election.enable is on: a broker that lacks acknowledged records may become the leader")
	}
}

func retentionMillis(r retention) string {
	if r == -1 {
		return "-1"
	}
	return strconv.FormatInt(time.Duration(r).Milliseconds(), 10)
}
