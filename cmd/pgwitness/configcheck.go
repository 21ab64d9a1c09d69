package main

import (
	"fmt"
	"maps"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"pgwitness/publish"
)

// longestPrefix leaves room for ".control" and ".message".
const longestPrefix = publish.MaxTopicName - len(".message")

// A configRule says whether a key's value can work.
type configRule struct {
	path    string
	value   any
	ok      bool
	allowed string
}

// check refuses values that can never work. What they mean to a server is the business of the check command.
func (c *config) check() error {
	for _, rule := range []configRule{
		{"source.slot", c.Source.Slot, legalSlot(c.Source.Slot), "1 to 63 of a-z, 0-9 and _"},
		{"source.publication", c.Source.Publication, legalName(c.Source.Publication), "1 to 63 bytes"},
		{"kafka.prefix", c.Kafka.Prefix, legalPrefix(c.Kafka.Prefix), fmt.Sprintf("1 to %d of a-z, A-Z, 0-9, '.', '_' and '-'", longestPrefix)},
		oneOf("kafka.compression", c.Kafka.Compression, "lz4", "none", "gzip", "snappy", "zstd"),
		oneOf("kafka.sasl.mechanism", c.Kafka.SASL.Mechanism, "", "plain", "scram-sha-256", "scram-sha-512", "oauthbearer", "aws-msk-iam"),
		{"kafka.batch_bytes", c.Kafka.BatchBytes, between(c.Kafka.BatchBytes, 1<<10, math.MaxInt32), "1024 or more"},
		{"kafka.buffer_bytes", c.Kafka.BufferBytes, c.Kafka.BufferBytes >= c.Kafka.BatchBytes, "at least kafka.batch_bytes"},
		{"topics.partitions", c.Topics.Partitions, between(c.Topics.Partitions, 1, math.MaxInt32), "1 or more"},
		{"topics.replication", c.Topics.Replication, between(c.Topics.Replication, 0, math.MaxInt16), "1 or more, or 0 for the smaller of 3 and the number of brokers"},
		{"topics.retention", c.Topics.Retention, c.Topics.Retention == -1 || time.Duration(c.Topics.Retention) >= time.Millisecond, "-1 (for ever) or 1ms or more"},
		{"topics.max_message_bytes", c.Topics.MaxMessageBytes, between(c.Topics.MaxMessageBytes, 1<<10, math.MaxInt32), "1024 to 2147483647"},
		oneOf("topics.partitioned", c.Topics.Partitioned, "root", "leaf"),
		oneOf("topics.oversize", c.Topics.Oversize, "trim", "stop"),
		{"run.drain", c.Run.Drain, c.Run.Drain > 0, "a duration above 0"},
		{"run.listen", c.Run.Listen, c.Run.Listen == "" || legalListen(c.Run.Listen), "host:port, for example 127.0.0.1:9187"},
		{"run.ready_lag", c.Run.ReadyLag, c.Run.ReadyLag == 0 || c.Run.ReadyLag >= time.Second, "0 (however far behind) or 1s or more"},
		{"hold.max_wait", c.Hold.MaxWait, c.Hold.MaxWait == 0 || c.Hold.MaxWait >= time.Second, "0 (for ever) or 1s or more"},
		oneOf("hold.on_stop", c.Hold.OnStop, "off", "keep"),
		{"sample.interval", c.Sample.Interval, c.Sample.Interval == 0 || c.Sample.Interval >= 10*time.Millisecond, "0 (never) or 10ms or more"},
		oneOf("log.level", c.Log.Level, "trace", "debug", "info", "warn", "error"),
		oneOf("log.format", c.Log.Format, "text", "json"),
	} {
		if !rule.ok {
			return c.refuse(rule.path, fmt.Sprint(rule.value), rule.allowed)
		}
	}
	if err := c.checkAllowed(); err != nil {
		return err
	}
	for _, broker := range c.Kafka.Brokers {
		if !legalAddress(broker) {
			return c.refuse("kafka.brokers", broker, "host:port")
		}
	}
	for _, table := range slices.Sorted(maps.Keys(c.Topics.Names)) {
		topic := c.Topics.Names[table]
		if !strings.Contains(table, ".") {
			return c.refuse("topics.names", table, "schema.table")
		}
		if publish.CheckTopicName(topic) != nil {
			return c.refuse("topics.names", topic, "a topic name: 1 to 249 of a-z, A-Z, 0-9, '.', '_' and '-'")
		}
	}
	return c.checkMasks()
}

func oneOf(path, value string, allowed ...string) configRule {
	return configRule{path, value, slices.Contains(allowed, value), strings.Join(allowed, ", ")}
}

// refuse names the key, its value, where that was set, and what would do.
func (c *config) refuse(path, value, allowed string) error {
	where := ""
	if o, ok := c.origins[path]; ok {
		where = o.where + ": "
	}
	return usagef("%s%s: %q is not allowed; allowed: %s", where, path, value, allowed)
}

// needBrokers is for the commands that cannot do without Kafka, and prepares the way there.
func (c *config) needBrokers() error {
	if len(c.Kafka.Brokers) == 0 {
		return usagef("no broker: set kafka.brokers in the file, PGWITNESS_KAFKA_BROKERS or --brokers HOST:PORT,…")
	}
	return c.secureKafka()
}

// legalListen is host:port, where the host may be left out.
func legalListen(address string) bool {
	_, port, err := net.SplitHostPort(address)
	return err == nil && port != ""
}

func between(n, low, high int) bool { return low <= n && n <= high }

// legalSlot is PostgreSQL's rule (ReplicationSlotValidateName in slot.c).
func legalSlot(name string) bool {
	return legalName(name) && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// legalName is PostgreSQL's rule for any name (NAMEDATALEN). A longer one would be cut silently.
func legalName(name string) bool {
	return between(len(name), 1, 63) && !strings.Contains(name, "\x00")
}

func legalPrefix(name string) bool {
	return publish.CheckTopicName(name) == nil && len(name) <= longestPrefix
}

func legalAddress(address string) bool {
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" {
		return false
	}
	n, err := strconv.Atoi(port)
	return err == nil && between(n, 1, 65535)
}
