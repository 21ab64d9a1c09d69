package publish

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/metadata"
)

// Times. The transport's metadata time-to-live is its metadata time-out as well (kafka-go transport.go, discover).
const (
	metadataTTL    = 5 * time.Second
	requestTimeout = 10 * time.Second
	firstContact   = 10 * time.Second
	leastBackoff   = 20 * time.Millisecond
	mostBackoff    = 2 * time.Second
)

// producer is our identity for idempotence: InitProducerID's answer.
type producer struct {
	id    int64
	epoch int16
}

// cluster speaks to the brokers. Everything in it but produce and fetch is rare.
type cluster struct {
	transport *kafka.Transport
	client    *kafka.Client
	addr      net.Addr
	brokers   []string
	patient   bool
	log       hclog.Logger
}

func newCluster(cfg Config, log hclog.Logger) *cluster {
	t := &kafka.Transport{
		ClientID:    "pgwitness",
		TLS:         cfg.TLS,
		SASL:        cfg.SASL,
		MetadataTTL: metadataTTL,
		IdleTimeout: 9 * time.Minute, // below the brokers' connections.max.idle.ms of 10 minutes
	}
	addr := kafka.TCP(cfg.Brokers...)
	return &cluster{
		transport: t,
		client:    &kafka.Client{Addr: addr, Transport: t},
		addr:      addr,
		brokers:   cfg.Brokers,
		patient:   cfg.Patient,
		log:       log,
	}
}

// refresh forgets what is known of the cluster's layout. The transport has no call for it: without idle connections it
// starts from the bootstrap addresses.
func (c *cluster) refresh() { c.transport.CloseIdleConnections() }

func (c *cluster) close() { c.transport.CloseIdleConnections() }

// roundTrip sends one request with a bound on the time for its answer. A hung request's connection is closed.
func (c *cluster) roundTrip(ctx context.Context, req protocol.Message) (protocol.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout+2*time.Second)
	defer cancel()
	return c.transport.RoundTrip(ctx, c.addr, req)
}

// retry repeats a step of the start-up until it succeeds. A refusal ends it; everything else can heal.
func (c *cluster) retry(ctx context.Context, step string, f func(context.Context) error) error {
	backoff := leastBackoff
	for try := 1; ; try++ {
		bounded, cancel := context.WithTimeout(ctx, requestTimeout)
		err := f(bounded)
		cancel()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("%s: %w", step, context.Cause(ctx))
		case judge(err) == fenced:
			return fmt.Errorf("%s: %w", step, ErrFenced)
		case refused(err):
			return fmt.Errorf("%s: %w", step, cause(err))
		}
		if try%10 == 0 {
			c.log.Warn("Kafka does not let us go on yet", "step", step, "tries", try, "error", cause(err))
		}
		if judgeLayout(err) {
			c.refresh()
		}
		sleep(ctx, backoff)
		backoff = min(2*backoff, mostBackoff)
	}
}

// judgeLayout reports whether an error may come from a stale view of the cluster.
func judgeLayout(err error) bool {
	var code kafka.Error
	if !errors.As(err, &code) {
		return true
	}
	switch code {
	case kafka.NotLeaderForPartition, kafka.LeaderNotAvailable, kafka.UnknownTopicOrPartition, kafka.BrokerNotAvailable,
		kafka.FencedLeaderEpoch, kafka.UnknownLeaderEpoch, kafka.ReplicaNotAvailable, kafka.NotController:
		return true
	}
	return false
}

// anybody stands for "whoever it is now" in takeOver.
var anybody = producer{-1, -1}

// takeOver makes us the producer of the transactional id, as the successor of the one that is named. Before each try it
// asks whether we still have a right to it: we may have been stopped for long.
func (c *cluster) takeOver(ctx context.Context, transactionalID string, old producer, held func(context.Context) error) (producer, error) {
	var p producer
	var late error
	err := c.retry(ctx, "take over transactional id "+transactionalID, func(ctx context.Context) error {
		if held != nil {
			if late = held(ctx); late != nil {
				return nil
			}
		}
		r, err := c.client.InitProducerID(ctx, &kafka.InitProducerIDRequest{
			TransactionalID:      transactionalID,
			TransactionTimeoutMs: int(time.Minute / time.Millisecond),
			ProducerID:           int(old.id),
			ProducerEpoch:        int(old.epoch),
		})
		if err != nil {
			return err
		}
		if r.Error != nil {
			return r.Error
		}
		p = producer{int64(r.Producer.ProducerID), int16(r.Producer.ProducerEpoch)}
		return nil
	})
	return p, cmp.Or(err, late)
}

// layout is the cluster as the transport knows it: leaders by topic and partition.
type layout struct {
	brokers int
	topics  map[string][]int32 // leader of each partition, -1 when there is none
}

func (c *cluster) layout(ctx context.Context) (layout, error) {
	m, err := c.roundTrip(ctx, &metadata.Request{})
	if err != nil {
		return layout{}, fmt.Errorf("read cluster metadata: %w", cause(err))
	}
	res := m.(*metadata.Response)
	l := layout{brokers: len(res.Brokers), topics: make(map[string][]int32, len(res.Topics))}
	for _, t := range res.Topics {
		if t.ErrorCode != 0 {
			continue
		}
		leaders := make([]int32, len(t.Partitions))
		for _, p := range t.Partitions {
			if int(p.PartitionIndex) < len(leaders) {
				leaders[p.PartitionIndex] = p.LeaderID
			}
		}
		l.topics[t.Name] = leaders
	}
	return l, nil
}

// cause strips the names of kafka-go's functions from the front of an error.
func cause(err error) error {
	for strings.HasPrefix(err.Error(), "kafka.(*Client)") {
		inner := errors.Unwrap(err)
		if inner == nil {
			break
		}
		err = inner
	}
	return err
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
