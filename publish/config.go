package publish

import (
	"context"
	"crypto/tls"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/segmentio/kafka-go/sasl"

	"pgwitness/decode"
)

// Config says where and how to deliver. The zero value of a field means the default named beside it.
type Config struct {
	Brokers []string // host:port
	Prefix  string   // of every topic's name, and of the transactional id

	TLS  *tls.Config
	SASL sasl.Mechanism

	Compression string // lz4 (default), none, gzip, snappy, zstd
	BufferBytes int    // records accepted and not yet acknowledged (16 MiB)
	BatchBytes  int    // one partition's batch before compression (1 MiB)

	Partitions      int               // of a table's topic (1)
	Replication     int               // the smaller of 3 and the number of brokers
	Retention       time.Duration     // for ever when 0
	MaxMessageBytes int               // 8 MiB
	Names           map[string]string // "schema.table" to topic, whole names
	Leaf            bool              // partitions of a partitioned table get topics of their own, not their root's
	Oversize        string            // a record above the topic's limit: "trim" (default) or "stop"

	Source decode.Source // where the records come from: whose tails may be met
	Start  pglogrepl.LSN // the slot's confirmed position: nothing that committed before it comes again

	AcceptGap string // the ID of a gap that an operator accepts
	Patient   bool   // Open waits for brokers that do not answer, instead of saying so

	// Held, if set, is asked each time before Open takes the transactional id from whoever has it. An error says that
	// we have no right to it any more, and ends Open.
	Held func(context.Context) error

	// Meter, if set, counts what is delivered.
	Meter Meter
	// Durable is called in order, by one goroutine at a time, with each position up to which everything sent is
	// acknowledged. It must not block, nor call the Sink or Journal.
	Durable func(pglogrepl.LSN)
	// Failed is called once, when delivery ends by itself: every later call returns the same error. It must not block,
	// nor call the Sink or Journal.
	Failed func(error)
}

func (c Config) withDefaults() Config {
	if c.BufferBytes == 0 {
		c.BufferBytes = 16 << 20
	}
	if c.BatchBytes == 0 {
		c.BatchBytes = 1 << 20
	}
	if c.Partitions == 0 {
		c.Partitions = 1
	}
	if c.MaxMessageBytes == 0 {
		c.MaxMessageBytes = 8 << 20
	}
	if c.Oversize == "" {
		c.Oversize = "trim"
	}
	if c.Meter == nil {
		c.Meter = unmetered{}
	}
	return c
}
