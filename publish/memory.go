package publish

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/rawproduce"
)

// Brokers forget. Two of their memories carry our promise, and both have an end:
//
//   - The coordinator forgets a transactional id that is not used for transactional.id.expiration.ms (7 days). The next
//     run would get another producer id, which fences nobody. So the id is renewed well before, by InitProducerID.
//   - A partition forgets a producer's last sequence numbers when the newest *record timestamp* is older than
//     producer.id.expiration.ms (24 hours; ProducerStateManager.java, isProducerExpired; KAFKA-9144). Our timestamps are
//     commit times: in a backlog of days a broker may forget a batch that it has just written, and would write it a
//     second time. So a batch that old, whose first try may have arrived, is not sent again: the run ends, and the next
//     one reads from the tails what has arrived.
type memory struct {
	transactionalID time.Duration
	producer        time.Duration
}

// ErrUnsure ends a run that cannot tell whether a batch has arrived, and must not ask by sending it again.
var ErrUnsure = errors.New("a batch may have arrived, and the brokers may have forgotten its sequence number; start again")

// expirations asks a broker for its settings. Who may not ask, or gets no answer, takes Kafka's defaults.
func (c *cluster) expirations(ctx context.Context) memory {
	m := memory{transactionalID: 7 * 24 * time.Hour, producer: 24 * time.Hour}
	bounded, cancel := context.WithTimeout(ctx, 3*requestTimeout)
	defer cancel()
	err := c.retry(bounded, "ask for the brokers' expirations", func(ctx context.Context) error {
		res, err := c.client.Metadata(ctx, &kafka.MetadataRequest{})
		if err != nil {
			return err
		}
		if len(res.Brokers) == 0 {
			return kafka.BrokerNotAvailable
		}
		answer, err := c.client.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{
			Resources: []kafka.DescribeConfigRequestResource{{
				ResourceType: kafka.ResourceTypeBroker,
				ResourceName: strconv.Itoa(res.Brokers[0].ID),
				ConfigNames:  []string{"transactional.id.expiration.ms", "producer.id.expiration.ms"},
			}},
		})
		if err != nil {
			return err
		}
		for _, r := range answer.Resources {
			if r.Error != nil {
				return r.Error
			}
			for _, e := range r.ConfigEntries {
				ms, err := strconv.ParseInt(e.ConfigValue, 10, 64)
				if err != nil {
					continue
				}
				switch d := time.Duration(ms) * time.Millisecond; e.ConfigName {
				case "transactional.id.expiration.ms":
					m.transactionalID = d
				case "producer.id.expiration.ms":
					m.producer = d
				}
			}
		}
		return nil
	})
	if err != nil && ctx.Err() == nil {
		c.log.Warn("brokers do not tell their expirations; using Kafka's defaults", "error", err)
	}
	return m
}

// forgotten reports whether a broker may have forgotten a batch that it wrote.
func (m memory) forgotten(b *batch) bool {
	return time.Since(time.UnixMilli(b.newest)) > m.producer/2
}

// arrived reports whether a batch may be in the log although the answer is an error, or none.
func arrived(err error) bool {
	var code kafka.Error
	if errors.As(err, &code) {
		return code == kafka.RequestTimedOut || code == kafka.NotEnoughReplicasAfterAppend || code == kafka.NetworkException
	}
	var unrouted *rawproduce.Error
	var dial *net.OpError
	return !errors.As(err, &unrouted) && !(errors.As(err, &dial) && dial.Op == "dial")
}

// renew keeps the transactional id known to the coordinator, until ctx ends.
func (d *delivery) renew(ctx context.Context) {
	for {
		sleep(ctx, d.memory.transactionalID/3)
		if ctx.Err() != nil {
			return
		}
		if err := d.renewOnce(ctx); err != nil {
			d.mu.Lock()
			d.fail(fmt.Errorf("renew transactional id: %w", err))
			d.mu.Unlock()
			return
		}
	}
}

// renewOnce takes a new epoch at a moment when no batch is under way: sequence numbers begin anew with it. Our own
// producer id and epoch go with the request (KIP-360), so whoever took over since is not pushed out.
func (d *delivery) renewOnce(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.holding = true
	defer func() {
		d.holding = false
		d.dispatch()
	}()
	idle := func() bool {
		for _, p := range d.active {
			if p.busy {
				return false
			}
		}
		return !d.grounded
	}
	if err := d.wait(ctx, idle); err != nil {
		return nil // the run has ended by itself
	}
	old := d.producer
	d.mu.Unlock()
	p, err := d.cluster.takeOver(ctx, d.transactionalID, old, nil)
	d.mu.Lock()
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	d.producer = p
	for _, p := range d.fenced {
		p.sequence = 0
	}
	return nil
}
