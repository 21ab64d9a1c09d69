package publish

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/fetch"
)

// A cursor reads on in one partition: every record and marker from an offset on is shown to it, in order. Records of a
// batch that reaches over the offset from below are left out.
type cursor struct {
	partition *partition
	at        int64 // the next offset
	bytes     int32 // to fetch at most at once, fetchPartitionBytes when 0
	expired   bool  // at was below the first offset that is kept, and has been set to that
	record    func(*stored) error
	marker    func(*protocol.ControlBatch)
}

// stored is a record as it lies in a partition.
type stored struct {
	offset int64
	millis int64 // its timestamp
	id     string
	value  []byte
}

// A fetch asks for at most this much, of all and of each partition. A first batch that is larger comes whole
// (KIP-74).
const (
	fetchBytes          = 16 << 20
	fetchPartitionBytes = 2 << 20
)

// fetch reads on in the partitions of one leader, with one request.
func (c *cluster) fetch(ctx context.Context, cursors []*cursor) error {
	req := &fetch.Request{ReplicaID: -1, MaxWaitTime: 100, MinBytes: 1, MaxBytes: fetchBytes, SessionEpoch: -1}
	type place struct {
		topic string
		index int32
	}
	places := make(map[place]*cursor, len(cursors))
	for _, cu := range cursors {
		p := cu.partition
		places[place{p.topic.name, p.index}] = cu
		part := fetch.RequestPartition{
			Partition:          p.index,
			CurrentLeaderEpoch: -1,
			FetchOffset:        cu.at,
			LogStartOffset:     -1,
			PartitionMaxBytes:  cmp.Or(cu.bytes, fetchPartitionBytes),
		}
		if n := len(req.Topics); n > 0 && req.Topics[n-1].Topic == p.topic.name {
			req.Topics[n-1].Partitions = append(req.Topics[n-1].Partitions, part)
		} else {
			req.Topics = append(req.Topics, fetch.RequestTopic{Topic: p.topic.name, Partitions: []fetch.RequestPartition{part}})
		}
	}
	m, err := c.roundTrip(ctx, req)
	if err != nil {
		return err
	}
	res := m.(*fetch.Response)
	if res.ErrorCode != 0 {
		return kafka.Error(res.ErrorCode)
	}
	for _, t := range res.Topics {
		for i := range t.Partitions {
			cu := places[place{t.Topic, t.Partitions[i].Partition}]
			if cu == nil {
				continue
			}
			if err := c.take(ctx, cu, &t.Partitions[i]); err != nil {
				return fmt.Errorf("%s: %w", cu.partition, err)
			}
		}
	}
	return nil
}

// take shows one partition's part of an answer to its cursor.
func (c *cluster) take(ctx context.Context, cu *cursor, a *fetch.ResponsePartition) error {
	if kafka.Error(a.ErrorCode) == kafka.OffsetOutOfRange {
		return c.offsets(ctx, []*partition{cu.partition}, earliest, func(_ *partition, first int64) {
			cu.expired = cu.at < first
			cu.at = first
		})
	}
	if a.ErrorCode != 0 {
		return kafka.Error(a.ErrorCode)
	}
	stream, ok := a.RecordSet.Records.(*protocol.RecordStream)
	if !ok {
		return nil // nothing there yet
	}
	for _, batch := range stream.Records {
		if b, ok := batch.(*protocol.ControlBatch); ok {
			cu.at = b.BaseOffset + 1 // a marker is a batch of one record (EndTransactionMarker.java)
			cu.marker(b)
		}
		if err := cu.read(batch); err != nil {
			return err
		}
	}
	return nil
}

// read goes through one batch; a control batch only has its pages given back.
func (cu *cursor) read(batch protocol.RecordReader) error {
	_, control := batch.(*protocol.ControlBatch)
	for {
		r, err := batch.ReadRecord()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read a batch after offset %d: %w", cu.at, err)
		}
		value, err := protocol.ReadAll(r.Value)
		if err != nil {
			return fmt.Errorf("read the record at offset %d: %w", r.Offset, err)
		}
		if r.Key != nil {
			r.Key.Close()
		}
		if r.Value != nil {
			r.Value.Close()
		}
		if control || r.Offset < cu.at {
			continue
		}
		cu.at = r.Offset + 1
		found := stored{offset: r.Offset, millis: r.Time.UnixMilli(), value: value}
		for _, h := range r.Headers {
			if h.Key == idHeader {
				found.id = string(h.Value)
			}
		}
		if err := cu.record(&found); err != nil {
			return err
		}
	}
}
