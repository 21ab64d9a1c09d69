package publish

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/jackc/pglogrepl"
	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/twmb/franz-go/pkg/kfake"

	"pgwitness/decode"
)

// These tests run against franz-go's kfake, a broker in this process. It keeps one epoch for the whole cluster, so it
// does not prove the fence; the integration suite does, on the same engine.

// testJournal is a Journal and what it called.
type testJournal struct {
	*Journal
	durable chan pglogrepl.LSN
	failed  chan error
}

func startKafka(t *testing.T) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func journalConfig(c *kfake.Cluster) Config {
	return Config{Brokers: c.ListenAddrs(), Prefix: "p", Source: decode.Source{System: 7}}
}

func openJournal(t *testing.T, cfg Config) *testJournal {
	t.Helper()
	j := &testJournal{durable: make(chan pglogrepl.LSN, 1000), failed: make(chan error, 1)}
	cfg.Durable = func(pos pglogrepl.LSN) { j.durable <- pos }
	cfg.Failed = func(err error) { j.failed <- err }
	var err error
	if j.Journal, err = OpenJournal(t.Context(), cfg, hclog.NewNullLogger()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

func valueAt(timeline uint32, pos pglogrepl.LSN) []byte {
	return fmt.Appendf(nil, `{"timeline":%d,"to":%d}`, timeline, pos)
}

func (j *testJournal) append(t *testing.T, timeline uint32, positions ...pglogrepl.LSN) {
	t.Helper()
	for _, pos := range positions {
		value := valueAt(timeline, pos)
		if err := j.Append(t.Context(), timeline, pos, value); err != nil {
			t.Fatal(err)
		}
		clear(value) // it is the journal's copy that counts
	}
}

func (j *testJournal) finish(t *testing.T) {
	t.Helper()
	if err := j.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (j *testJournal) records(t *testing.T, timeline uint32, pos pglogrepl.LSN) *JournalReader {
	t.Helper()
	r, err := j.Records(t.Context(), timeline, pos)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// expect reads these records and then, if there are no more, the end.
func (r *JournalReader) expect(t *testing.T, timeline uint32, positions ...pglogrepl.LSN) {
	t.Helper()
	for _, pos := range positions {
		value, to, err := r.Next(t.Context())
		if err != nil {
			t.Fatalf("instead of record %d: %v", pos, err)
		}
		if want := valueAt(timeline, pos); to != pos || !bytes.Equal(value, want) {
			t.Fatalf("record %d is %s, want %s", to, value, want)
		}
	}
}

func (r *JournalReader) expectEnd(t *testing.T) {
	t.Helper()
	if value, to, err := r.Next(t.Context()); err != io.EOF {
		t.Fatalf("instead of the end: record %d, %s, %v", to, value, err)
	}
}

// writeForeign writes to the journal's topic what no journal writes.
func writeForeign(t *testing.T, cfg Config, header []kafka.Header) {
	t.Helper()
	c := newCluster(cfg, hclog.NewNullLogger())
	defer c.close()
	res, err := c.client.Produce(t.Context(), &kafka.ProduceRequest{
		Topic: TopicName(cfg.Prefix, decode.Who), RequiredAcks: kafka.RequireAll,
		Records: kafka.NewRecordReader(kafka.Record{Value: kafka.NewBytes([]byte("{}")), Headers: header}),
	})
	if err = errors.Join(err, res.Error); err != nil {
		t.Fatal(err)
	}
}

// deleteRecords is DeleteRecords (key 21), which kafka-go does not have (Kafka's DeleteRecordsRequest.json).
type deleteRecords struct {
	Topics    []deleteTopic `kafka:"min=v0,max=v1"`
	TimeoutMs int32         `kafka:"min=v0,max=v1"`
}

type deleteTopic struct {
	Name       string            `kafka:"min=v0,max=v1"`
	Partitions []deletePartition `kafka:"min=v0,max=v1"`
}

type deletePartition struct {
	Index  int32 `kafka:"min=v0,max=v1"`
	Offset int64 `kafka:"min=v0,max=v1"`
}

type deletedRecords struct {
	ThrottleTimeMs int32          `kafka:"min=v0,max=v1"`
	Topics         []deletedTopic `kafka:"min=v0,max=v1"`
}

type deletedTopic struct {
	Name       string             `kafka:"min=v0,max=v1"`
	Partitions []deletedPartition `kafka:"min=v0,max=v1"`
}

type deletedPartition struct {
	Index        int32 `kafka:"min=v0,max=v1"`
	LowWatermark int64 `kafka:"min=v0,max=v1"`
	ErrorCode    int16 `kafka:"min=v0,max=v1"`
}

func (*deleteRecords) ApiKey() protocol.ApiKey  { return protocol.DeleteRecords }
func (*deletedRecords) ApiKey() protocol.ApiKey { return protocol.DeleteRecords }

func init() { protocol.Register(&deleteRecords{}, &deletedRecords{}) }

// trim takes the records below an offset from the journal's topic, as its retention would.
func trim(t *testing.T, cfg Config, offset int64) {
	t.Helper()
	c := newCluster(cfg, hclog.NewNullLogger())
	defer c.close()
	m, err := c.roundTrip(t.Context(), &deleteRecords{TimeoutMs: 1000, Topics: []deleteTopic{{
		Name: TopicName(cfg.Prefix, decode.Who), Partitions: []deletePartition{{0, offset}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if p := m.(*deletedRecords).Topics[0].Partitions[0]; p.ErrorCode != 0 || p.LowWatermark != offset {
		t.Fatalf("trim to %d: %v, starts at %d", offset, kafka.Error(p.ErrorCode), p.LowWatermark)
	}
}
