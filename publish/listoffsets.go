package publish

import (
	"context"
	"fmt"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/listoffsets"
)

// offsetsRequest is ListOffsets for many partitions of one leader. kafka-go's own request is split into one a
// partition before it is sent (protocol/listoffsets, Split); with hundreds of partitions that is most of a start.
type offsetsRequest struct {
	ReplicaID      int32          `kafka:"min=v1,max=v5"`
	IsolationLevel int8           `kafka:"min=v2,max=v5"`
	Topics         []offsetsTopic `kafka:"min=v1,max=v5"`
}

type offsetsTopic struct {
	Topic      string             `kafka:"min=v1,max=v5"`
	Partitions []offsetsPartition `kafka:"min=v1,max=v5"`
}

type offsetsPartition struct {
	Partition          int32 `kafka:"min=v1,max=v5"`
	CurrentLeaderEpoch int32 `kafka:"min=v4,max=v5"`
	Timestamp          int64 `kafka:"min=v1,max=v5"`
}

const manyOffsets protocol.OverrideTypeKey = 1

func init() { protocol.RegisterOverride(&offsetsRequest{}, &listoffsets.Response{}, manyOffsets) }

func (*offsetsRequest) ApiKey() protocol.ApiKey           { return protocol.ListOffsets }
func (*offsetsRequest) TypeKey() protocol.OverrideTypeKey { return manyOffsets }

// Broker is the leader of the first partition; the caller sees to it that the others have the same.
func (r *offsetsRequest) Broker(c protocol.Cluster) (protocol.Broker, error) {
	t := r.Topics[0]
	p, ok := c.Topics[t.Topic].Partitions[t.Partitions[0].Partition]
	b, alive := c.Brokers[p.Leader]
	if !ok || !alive {
		return protocol.Broker{ID: -1}, fmt.Errorf("%s/%d: %w", t.Topic, t.Partitions[0].Partition, kafka.LeaderNotAvailable)
	}
	return b, nil
}

// ListOffsets' special timestamps (ListOffsetsRequest.java).
const (
	latest   = -1
	earliest = -2
)

// offsets asks one leader for the first or the next offset of its partitions and passes each to set.
func (c *cluster) offsets(ctx context.Context, parts []*partition, timestamp int64, set func(*partition, int64)) error {
	req := &offsetsRequest{ReplicaID: -1}
	byName := make(map[string]map[int32]*partition)
	for _, p := range parts {
		part := offsetsPartition{Partition: p.index, CurrentLeaderEpoch: -1, Timestamp: timestamp}
		if byName[p.topic.name] == nil {
			byName[p.topic.name] = make(map[int32]*partition)
			req.Topics = append(req.Topics, offsetsTopic{Topic: p.topic.name})
		}
		byName[p.topic.name][p.index] = p
		for i := range req.Topics {
			if req.Topics[i].Topic == p.topic.name {
				req.Topics[i].Partitions = append(req.Topics[i].Partitions, part)
			}
		}
	}
	m, err := c.roundTrip(ctx, req)
	if err != nil {
		return err
	}
	seen := 0
	for _, t := range m.(*listoffsets.Response).Topics {
		for _, a := range t.Partitions {
			p := byName[t.Topic][a.Partition]
			if a.ErrorCode != 0 {
				return fmt.Errorf("%s/%d: %w", t.Topic, a.Partition, kafka.Error(a.ErrorCode))
			}
			if p != nil {
				set(p, a.Offset)
				seen++
			}
		}
	}
	if seen != len(parts) {
		return fmt.Errorf("the broker tells the offsets of %d partitions of %d", seen, len(parts))
	}
	return nil
}
