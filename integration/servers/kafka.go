//go:build integration

package servers

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
)

const kafkaRelease = "4.3.0" // as in kafka.pom.xml

// A Kafka is an Apache Kafka cluster in KRaft mode, each of whose nodes is broker and controller.
type Kafka struct {
	Brokers []*Broker
}

// A Broker is one node of a Kafka.
type Broker struct {
	ID      int
	Address string

	instance instance // nil where it is not ours to stop
}

// StartKafka starts a cluster of one or three brokers for this test alone, which may stop, kill and pause them.
// Properties are lines of server.properties, "name=value".
func StartKafka(t testing.TB, brokers int, properties ...string) *Kafka {
	t.Helper()
	k, err := launchKafka(brokers, properties, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, b := range k.Brokers {
			if t.Failed() {
				t.Logf("Kafka's broker %d said last:\n%s", b.ID, b.instance.output())
			}
		}
		k.remove()
	})
	return k
}

// SharedKafka returns the one broker that the tests of a package share. Each takes a topic prefix of its own (Unique);
// none stops the broker.
func SharedKafka(t testing.TB) *Kafka {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.kafka != nil {
		return shared.kafka
	}
	// On a busy machine the broker's own controller must not hold it for dead: it would lose its leaderships for a moment.
	k, err := launchKafka(1, []string{"broker.session.timeout.ms=60000"}, true)
	if err != nil {
		t.Fatal(err)
	}
	running.add(k.remove)
	shared.kafka = k
	return k
}

func launchKafka(brokers int, properties []string, shareable bool) (*Kafka, error) {
	if brokers != 1 && brokers != 3 {
		return nil, fmt.Errorf("a Kafka of %d brokers: want 1 or 3", brokers)
	}
	from := map[source]func() (*Kafka, error){
		docker: func() (*Kafka, error) { return dockerKafka(brokers, properties) },
		local:  func() (*Kafka, error) { return localKafka(brokers, properties) },
	}
	if shareable {
		from[env] = envKafka
	}
	k, s, err := first("Kafka", from)
	if err != nil {
		return nil, err
	}
	announce("Kafka", s)
	return k, nil
}

// commonProperties are those of every cluster: as small and as quick to notice a death as a test needs it.
func commonProperties(brokers int) []string {
	insync := 1 + brokers/3
	return []string{
		"broker.session.timeout.ms=3000", "broker.heartbeat.interval.ms=500",
		"controller.quorum.election.timeout.ms=500", "controller.quorum.fetch.timeout.ms=1000",
		"offsets.topic.num.partitions=1", "transaction.state.log.num.partitions=1",
		"share.coordinator.state.topic.num.partitions=1",
		fmt.Sprintf("offsets.topic.replication.factor=%d", brokers),
		fmt.Sprintf("transaction.state.log.replication.factor=%d", brokers),
		fmt.Sprintf("transaction.state.log.min.isr=%d", insync),
		fmt.Sprintf("share.coordinator.state.topic.replication.factor=%d", brokers),
		fmt.Sprintf("share.coordinator.state.topic.min.isr=%d", insync),
		"auto.create.topics.enable=false", "group.initial.rebalance.delay.ms=0",
	}
}

// Bootstrap lists the brokers' addresses.
func (k *Kafka) Bootstrap() []string {
	addresses := make([]string, len(k.Brokers))
	for i, b := range k.Brokers {
		addresses[i] = b.Address
	}
	return addresses
}

// ready waits until every broker answers and knows all of them.
func (k *Kafka) ready() error {
	for _, b := range k.Brokers {
		if err := k.await(b); err != nil {
			return err
		}
	}
	return nil
}

func (k *Kafka) await(b *Broker) error {
	var ended error
	err := until(startTime, func() error {
		if c, ok := b.instance.(*child); ok && !c.running() {
			ended = errors.New("it ended")
			return nil
		}
		return k.ask(b)
	})
	if err = errors.Join(err, ended); err != nil {
		return fmt.Errorf("broker %d does not answer: %w\n%s", b.ID, err, b.instance.output())
	}
	return nil
}

func (k *Kafka) ask(b *Broker) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	c := &kafka.Client{Addr: kafka.TCP(b.Address), Transport: &kafka.Transport{MetadataTTL: 5 * time.Second}}
	defer c.Transport.(*kafka.Transport).CloseIdleConnections()
	m, err := c.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{}})
	if err != nil {
		return err
	}
	alive := 0
	for _, other := range k.Brokers {
		if o, ok := other.instance.(*child); !ok || o.running() {
			alive++
		}
	}
	if len(m.Brokers) < alive {
		return fmt.Errorf("it knows %d brokers of %d", len(m.Brokers), alive)
	}
	return nil
}

func (k *Kafka) remove() {
	for _, b := range k.Brokers {
		if b.instance != nil {
			b.instance.remove()
		}
	}
}

// Start starts a broker that was stopped or killed, and waits until it answers.
func (b *Broker) Start(t testing.TB) {
	t.Helper()
	err := b.instance.start()
	if err == nil {
		err = (&Kafka{Brokers: []*Broker{b}}).ready()
	}
	if err != nil {
		t.Fatalf("start broker %d: %v", b.ID, err)
	}
}

// Start starts the brokers that do not run, together, and waits until all answer.
func (k *Kafka) Start(t testing.TB) {
	t.Helper()
	if err := k.start(); err != nil {
		t.Fatalf("start the brokers: %v", err)
	}
}

// start starts the brokers that do not run. Brokers that cannot agree in time, on a busy machine, give up by themselves;
// they are started again, a few times.
func (k *Kafka) start() error {
	var err error
	for range 5 {
		err = nil
		for _, b := range k.Brokers {
			if c, ok := b.instance.(*child); !ok || !c.running() {
				err = errors.Join(err, b.instance.start())
			}
		}
		if err == nil {
			err = k.ready()
		}
		if err == nil {
			return nil
		}
	}
	return err
}

// Stop shuts the broker down in order.
func (b *Broker) Stop(t testing.TB) { b.end(t, syscall.SIGTERM) }

// Kill ends the broker by SIGKILL.
func (b *Broker) Kill(t testing.TB) { b.end(t, syscall.SIGKILL) }

func (b *Broker) end(t testing.TB, sig syscall.Signal) {
	t.Helper()
	if err := end(b.instance, sig, time.Minute); err != nil {
		t.Fatalf("end broker %d: %v", b.ID, err)
	}
}

// Pause stops the broker where it stands, until Resume.
func (b *Broker) Pause(t testing.TB) {
	t.Helper()
	if err := b.instance.freeze(); err != nil {
		t.Fatalf("pause broker %d: %v", b.ID, err)
	}
}

// Resume lets a paused broker go on.
func (b *Broker) Resume(t testing.TB) {
	t.Helper()
	if err := b.instance.thaw(); err != nil {
		t.Fatalf("resume broker %d: %v", b.ID, err)
	}
}
