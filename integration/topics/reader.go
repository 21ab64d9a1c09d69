package topics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
)

// A Record is a Kafka record.
type Record struct {
	Topic     string
	Partition int
	Offset    int64
	Time      time.Time
	Key       []byte // nil for a null key
	Value     []byte
	Headers   []kafka.Header
}

// Header returns the value of the first header of that name, or "".
func (r *Record) Header(name string) string {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

// A Partition is one partition as it was when it was read.
type Partition struct {
	Topic      string
	ID         int
	Start, End int64 // the first offset, and the one after the last
	Records    []Record
}

// A Reader reads from a cluster.
type Reader struct {
	// Patience is how long it asks again when an answer may heal by itself: a partition has no leader for a moment, or a
	// broker does not know of it yet. The context bounds it as well.
	Patience time.Duration

	client *kafka.Client
}

// NewReader returns a reader for the cluster behind these addresses. Close ends its connections.
func NewReader(brokers []string) *Reader {
	return &Reader{Patience: time.Minute, client: &kafka.Client{
		Addr:    kafka.TCP(brokers...),
		Timeout: time.Minute,
		// The time to live is the time-out of a question as well (transport.go, discover), which a busy machine needs.
		Transport: &kafka.Transport{MetadataTTL: 20 * time.Second, DialTimeout: 5 * time.Second},
	}}
}

// Close ends the connections.
func (r *Reader) Close() { r.client.Transport.(*kafka.Transport).CloseIdleConnections() }

// ReadAll reads every partition of the topics whose names begin with prefix and a dot, in the order of topic and
// partition.
func (r *Reader) ReadAll(ctx context.Context, prefix string) ([]Partition, error) {
	bounds, err := r.Bounds(ctx, prefix)
	if err != nil {
		return nil, err
	}
	for i := range bounds {
		p := &bounds[i]
		err := r.Each(ctx, p.Topic, p.ID, p.Start, p.End, func(rec Record) error {
			p.Records = append(p.Records, rec)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return bounds, nil
}

// Each calls f with each record of a partition from the offset start up to the offset end, exclusively.
func (r *Reader) Each(ctx context.Context, topic string, partition int, start, end int64, f func(Record) error) error {
	for next := start; next < end; {
		err := r.patiently(ctx, func() (err error) {
			next, err = r.fetch(ctx, topic, partition, next, end, f)
			return err
		})
		if err != nil {
			return fmt.Errorf("read %s/%d at %d: %w", topic, partition, next, err)
		}
	}
	return nil
}

// patiently asks again while the answer may heal.
func (r *Reader) patiently(ctx context.Context, ask func() error) error {
	for deadline := time.Now().Add(r.Patience); ; {
		err := ask()
		var code kafka.Error
		if err == nil || !errors.As(err, &code) || !code.Temporary() || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(100 * time.Millisecond):
		}
		r.Close() // what is known of the leaders is old
	}
}

// fetch asks once, and returns the offset to go on with, also with an error.
func (r *Reader) fetch(ctx context.Context, topic string, partition int, from, end int64, f func(Record) error) (int64, error) {
	res, err := r.client.Fetch(ctx, &kafka.FetchRequest{
		Topic: topic, Partition: partition, Offset: from,
		MinBytes: 1, MaxBytes: 4 << 20, MaxWait: 500 * time.Millisecond,
	})
	if err != nil {
		return from, err
	}
	if res.Error != nil {
		return from, res.Error
	}
	next := from
	for _, batch := range batches(res.Records) {
		_, control := batch.(*protocol.ControlBatch)
		for {
			rec, err := batch.ReadRecord()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return next, err
			}
			if rec.Offset < next || rec.Offset >= end { // a batch may begin before what was asked for
				continue
			}
			next = rec.Offset + 1
			if control {
				continue
			}
			out, err := keep(topic, partition, rec)
			if err != nil {
				return next, err
			}
			if err := f(out); err != nil {
				return next, err
			}
		}
	}
	return next, nil
}

// batches takes a response apart: kafka-go's RecordStream would hide the control batches and with them their offsets.
func batches(records protocol.RecordReader) []protocol.RecordReader {
	if s, ok := records.(*protocol.RecordStream); ok {
		return s.Records
	}
	return []protocol.RecordReader{records}
}

func keep(topic string, partition int, rec *protocol.Record) (Record, error) {
	key, err1 := readAll(rec.Key)
	value, err2 := readAll(rec.Value)
	return Record{
		Topic: topic, Partition: partition, Offset: rec.Offset, Time: rec.Time,
		Key: key, Value: value, Headers: rec.Headers,
	}, errors.Join(err1, err2)
}

func readAll(b protocol.Bytes) ([]byte, error) {
	if b == nil {
		return nil, nil
	}
	defer b.Close()
	return protocol.ReadAll(b)
}
