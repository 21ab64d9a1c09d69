//go:build integration

package topics

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"

	"pgwitness/integration/servers"
)

func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }

// TestReadAll writes batches with an aborted transaction between them, whose control record must not be delivered.
func TestReadAll(t *testing.T) {
	k := servers.SharedKafka(t)
	r := NewReader(k.Bootstrap())
	defer r.Close()
	prefix := servers.Unique("p")
	topic := prefix + ".t"
	if err := r.Create(t.Context(), topic, 2, 1, map[string]string{"cleanup.policy": "delete"}); err != nil {
		t.Fatal(err)
	}
	produce := func(partition, n int) {
		t.Helper()
		retry(t, "produce", func() error {
			res, err := r.client.Produce(t.Context(), &kafka.ProduceRequest{
				Topic: topic, Partition: partition, RequiredAcks: kafka.RequireAll,
				Records: protocol.NewRecordReader(protocol.Record{
					Key: protocol.NewBytes([]byte("k")), Value: protocol.NewBytes(fmt.Append(nil, n)),
					Headers: []protocol.Header{{Key: "id", Value: []byte("x")}},
				}, protocol.Record{Value: protocol.NewBytes(fmt.Append(nil, n+1))}),
			})
			if err == nil {
				err = res.Error
			}
			return err
		})
	}
	produce(0, 0)
	abort(t, r.client, topic)
	produce(0, 2)
	produce(1, 4)

	all, err := r.ReadAll(t.Context(), prefix)
	if err != nil {
		t.Fatal(err)
	}
	var got string
	for _, p := range all {
		for _, rec := range p.Records {
			got += fmt.Sprintf("%d/%d=%s:%s:%s ", rec.Partition, rec.Offset, rec.Key, rec.Value, rec.Header("id"))
		}
	}
	if want := "0/0=k:0:x 0/1=:1: 0/3=k:2:x 0/4=:3: 1/0=k:4:x 1/1=:5: "; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if names, err := r.List(t.Context(), prefix); err != nil || len(names) != 1 || names[0] != topic {
		t.Errorf("List = %v, %v", names, err)
	}
	if err := r.Delete(t.Context(), topic); err != nil {
		t.Error(err)
	}
}

// abort writes a control record to partition 0: a transaction that is given up.
func abort(t *testing.T, c *kafka.Client, topic string) {
	t.Helper()
	id := servers.Unique("tx")
	var producer *kafka.InitProducerIDResponse
	retry(t, "init producer id", func() (err error) {
		producer, err = c.InitProducerID(t.Context(), &kafka.InitProducerIDRequest{
			TransactionalID: id, TransactionTimeoutMs: 10000, ProducerID: -1, ProducerEpoch: -1,
		})
		if err == nil {
			err = producer.Error
		}
		return err
	})
	retry(t, "add partition", func() error {
		res, err := c.AddPartitionsToTxn(t.Context(), &kafka.AddPartitionsToTxnRequest{
			TransactionalID: id, ProducerID: producer.Producer.ProducerID, ProducerEpoch: producer.Producer.ProducerEpoch,
			Topics: map[string][]kafka.AddPartitionToTxn{topic: {{Partition: 0}}},
		})
		if err == nil {
			err = res.Topics[topic][0].Error
		}
		return err
	})
	retry(t, "end transaction", func() error {
		res, err := c.EndTxn(t.Context(), &kafka.EndTxnRequest{
			TransactionalID: id, ProducerID: producer.Producer.ProducerID, ProducerEpoch: producer.Producer.ProducerEpoch,
		})
		if err == nil {
			err = res.Error
		}
		return err
	})
	// The answer comes before the marker is written.
	r := &Reader{client: c}
	retry(t, "await the marker", func() error {
		bounds, err := r.Bounds(t.Context(), topic[:len(topic)-2])
		if err == nil && bounds[0].End < 3 {
			err = fmt.Errorf("the partition ends at %d", bounds[0].End)
		}
		return err
	})
}

// retry repeats what a broker may refuse for a while: that its coordinator is still loading, or that a topic which was
// just made has no leader yet.
func retry(t *testing.T, what string, f func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if err = f(); err == nil {
			return
		}
	}
	t.Fatalf("%s: %v", what, err)
}
