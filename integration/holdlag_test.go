//go:build integration

package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"pgwitness/integration/proxy"
	"pgwitness/integration/servers"
	"pgwitness/integration/topics"
)

// TestHoldFarBehind: the rows cannot be delivered while the witness goes on. What it has said of commits long ago comes
// from the who topic then, and memory stays flat. PGWITNESS_TEST_COMMITS is how many commits lie between.
func TestHoldFarBehind(t *testing.T) {
	t.Parallel()
	commits := 100_000
	if text := os.Getenv("PGWITNESS_TEST_COMMITS"); text != "" {
		var err error
		if commits, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	kafka := servers.StartKafka(t, 3)
	tr := proxied(t, newTrailOn(t, servers.StartPostgres(t, 18, "max_wal_size=20GB"), kafka))
	tr.Exec(t, logins()...)
	topic := tr.prefix + ".public.held"
	tr.place(t, tr.prefix+".control", kafka.Brokers[0].ID)
	tr.place(t, tr.prefix+".who", kafka.Brokers[0].ID)
	tr.place(t, topic, kafka.Brokers[1].ID)
	tr.setup(t, "public.*", "--hold")
	run := tr.run(t, "--hold")
	tr.hold(t)
	write := func() {
		t.Helper()
		crowd{clients: 2, time: 200 * time.Millisecond, seed: uint64(time.Now().UnixNano())}.work(t, tr.trail)
	}
	write()
	tr.awaitConfirmed(t, time.Minute)
	tr.brokers[1].Set(proxy.Silent)
	rounds := 10
	for range rounds {
		write()
		// In the log, and nobody waits for it.
		tr.Exec(t, fmt.Sprintf(`do $$ begin
			perform set_config('synchronous_commit', 'local', false);
			for i in 1..%d loop insert into held (application) values ('unheld'); commit; end loop; end $$`, commits/rounds))
	}
	write()
	start := time.Now()
	tr.brokers[1].Set(proxy.Through)
	tr.awaitConfirmed(t, 2*time.Minute+time.Duration(commits)*200*time.Microsecond)
	most := memoryOf(t, run.PID(), "VmHWM")
	t.Logf("%d commits behind, made good in %s, at most %d MiB", commits, time.Since(start).Round(time.Second), most>>20)
	if most > 160<<20 {
		t.Errorf("resident memory was up to %d MiB", most>>20)
	}
	tr.end(t, run)
	named, unheld := 0, 0
	bounds, err := tr.reader.Bounds(t.Context(), tr.prefix)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range bounds {
		if b.Topic != topic {
			continue
		}
		err := tr.reader.Each(t.Context(), b.Topic, b.ID, b.Start, b.End, func(raw topics.Record) error {
			var r attributed
			if err := json.Unmarshal(raw.Value, &r); err != nil {
				return err
			}
			switch a := r.Actor; {
			case r.After.Application == "unheld": // seen by chance, or not
				unheld++
			case a.Evidence == "hold" && a.User == r.After.Role && a.PID == r.After.PID:
				named++
			default:
				t.Errorf("wrong: %+v", r)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d changes of held sessions are attributed, %d others are there", named, unheld)
	if named < 100 || unheld != commits {
		t.Errorf("want more of the first and %d of the others", commits)
	}
}

// place makes a topic whose one partition is on the broker.
func (tr *trail) place(t *testing.T, topic string, broker int) {
	t.Helper()
	c := &kafka.Client{Addr: kafka.TCP(tr.kafka.Bootstrap()...), Transport: &kafka.Transport{}}
	defer c.Transport.(*kafka.Transport).CloseIdleConnections()
	res, err := c.CreateTopics(t.Context(), &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{
		Topic: topic, NumPartitions: -1, ReplicationFactor: -1,
		ReplicaAssignments: []kafka.ReplicaAssignment{{Partition: 0, Replicas: []int{broker}}},
	}}})
	if err == nil {
		err = res.Errors[topic]
	}
	if err != nil {
		t.Fatal(err)
	}
}
