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
	const about, mend = "topic names", "give a table another name in topics.names"
	forms := map[string]string{}
	for name := range existing {
		forms[publish.Collision(name)] = name
	}
	bad := f.count(levelWrong)
	for _, w := range wanted {
		if err := publish.CheckTopicName(w.name); err != nil {
			f.wrong(about, mend, "%s: %s", w.tables[0], err)
			continue
		}
		if len(w.tables) > 1 {
			f.wrong(about, mend, "%s would share topic %s", strings.Join(w.tables, " and "), w.name)
		}
		if other, ok := forms[publish.Collision(w.name)]; ok && other != w.name {
			f.wrong(about, mend, "topic %s of %s collides with %s: Kafka takes '.' and '_' for the same", w.name, w.tables[0], other)
		}
		forms[publish.Collision(w.name)] = w.name
	}
	if f.count(levelWrong) == bad {
		f.ok(about, "%d topics, all names are legal and different", len(wanted))
	}
}

// existingTopics judges the settings of the topics that are there already. run changes none of them.
func (f *findings) existingTopics(ctx context.Context, c *cluster, cfg *config, wanted []*wantedTopic, existing map[string]kafka.Topic) error {
	var there []kafka.Topic
	request := &kafka.DescribeConfigsRequest{}
	for _, w := range wanted {
		if t, ok := existing[w.name]; ok && t.Error == nil {
			there = append(there, t)
			request.Resources = append(request.Resources, kafka.DescribeConfigRequestResource{ResourceType: kafka.ResourceTypeTopic, ResourceName: t.Name})
		}
	}
	f.ok("topics", "%d of %d exist; run creates the others when they are first needed", len(there), len(wanted))
	if len(there) == 0 {
		return nil
	}
	answer, err := c.client.DescribeConfigs(ctx, request)
	if err != nil {
		return fmt.Errorf("read the topics' settings: %w", brokerReason(err))
	}
	settings := map[string]map[string]string{}
	for _, r := range answer.Resources {
		if r.Error != nil {
			f.warn("topics", "allow DescribeConfigs on the topics", "the settings of %s cannot be read: %s", r.ResourceName, r.Error)
			continue
		}
		settings[r.ResourceName] = map[string]string{}
		for _, e := range r.ConfigEntries {
			settings[r.ResourceName][e.ConfigName] = e.ConfigValue
		}
	}
	for _, t := range there {
		if s := settings[t.Name]; s != nil {
			f.topic(cfg, t, s)
		}
	}
	return nil
}

// topic judges one topic's settings.
func (f *findings) topic(cfg *config, t kafka.Topic, s map[string]string) {
	about := "topic " + t.Name
	alter := func(setting string) string {
		return "kafka-configs.sh --bootstrap-server " + cfg.Kafka.Brokers[0] + " --alter --topic " + t.Name + " --add-config " + setting
	}
	before := len(*f)
	if s["cleanup.policy"] != "delete" {
		f.warn(about, alter("cleanup.policy=delete"), "cleanup.policy is %s: older records of a key are removed", s["cleanup.policy"])
	}
	if s["retention.bytes"] != "-1" && s["retention.bytes"] != "" {
		f.warn(about, alter("retention.bytes=-1"), "retention.bytes is %s: the oldest records are removed", s["retention.bytes"])
	}
	if want := retentionMillis(cfg.Topics.Retention); s["retention.ms"] != want {
		f.warn(about, alter("retention.ms="+want), "retention.ms is %s, topics.retention says %s", s["retention.ms"], want)
	}
	f.durability(about, alter, t, s)
	if n, err := strconv.Atoi(s["max.message.bytes"]); err == nil && n < cfg.Topics.MaxMessageBytes {
		f.warn(about, alter(fmt.Sprintf("max.message.bytes=%d", cfg.Topics.MaxMessageBytes)),
			"max.message.bytes is %d, less than topics.max_message_bytes: larger records lose their images (topics.oversize: %s)", n, cfg.Topics.Oversize)
	}
	if s["message.timestamp.type"] == "LogAppendTime" {
		f.warn(about, alter("message.timestamp.type=CreateTime"), "message.timestamp.type is LogAppendTime: records show when they arrived, not when they were committed")
	}
	if len(t.Partitions) != cfg.Topics.Partitions && t.Name != cfg.Kafka.Prefix+".control" && t.Name != cfg.Kafka.Prefix+".message" && t.Name != cfg.Kafka.Prefix+".who" {
		f.note(about, "its partitions are %d, topics.partitions says %d", len(t.Partitions), cfg.Topics.Partitions)
	}
	if len(*f) == before {
		f.ok(about, "partitions %d, retention.ms %s", len(t.Partitions), s["retention.ms"])
	}
}

// durability judges whether an acknowledged record can be lost with one broker.
func (f *findings) durability(about string, alter func(string) string, t kafka.Topic, s map[string]string) {
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
		f.warn(about, alter("min.insync.replicas=2"), "min.insync.replicas is %d: a record can be acknowledged that only one broker has", least)
	case least > replicas:
		f.wrong(about, alter(fmt.Sprintf("min.insync.replicas=%d", replicas)), "min.insync.replicas is %d, and there are %d copies: no record can be written", least, replicas)
	}
	if s["unclean.leader.election.enable"] == "true" {
		f.warn(about, alter("unclean.leader.election.enable=false"), "unclean.leader.election.enable is on: a broker that lacks acknowledged records may become the leader")
	}
}

func retentionMillis(r retention) string {
	if r == -1 {
		return "-1"
	}
	return strconv.FormatInt(time.Duration(r).Milliseconds(), 10)
}
