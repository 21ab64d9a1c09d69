//go:build integration

package integration

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"

	"pgwitness/integration/product"
	"pgwitness/integration/servers"
)

// delivered makes a table, delivers some rows of it, and stops in order.
func delivered(t *testing.T, rows int) *trail {
	t.Helper()
	tr := newTrail(t, 18)
	tr.Exec(t, "create table t (id int primary key)")
	tr.setup(t, "public.*")
	tr.insert(t, 1, rows)
	tr.catchUp(t, time.Minute)
	return tr
}

// insert inserts rows, each in a transaction of its own.
func (tr *trail) insert(t *testing.T, from, to int) {
	t.Helper()
	for i := from; i <= to; i++ {
		tr.Exec(t, fmt.Sprintf("insert into t values (%d)", i))
	}
}

func inserts(ids ...int) []string {
	var want []string
	for _, id := range ids {
		want = append(want, fmt.Sprintf(`insert public.t - -> {"id":%d}`, id))
	}
	return want
}

var accept = regexp.MustCompile(`--accept-gap (\S+)`)

// stoppedByGap runs pgwitness, which must end with 3 and name a gap of that reason, and returns the gap's ID.
func (tr *trail) stoppedByGap(t *testing.T, reason string, args ...string) string {
	t.Helper()
	r := tr.run(t, args...).Wait(t, time.Minute)
	id := accept.FindStringSubmatch(r.Stderr)
	if r.Code != 3 || id == nil || !strings.Contains(r.Stderr, "("+reason+")") {
		t.Fatalf("exit code %d, want 3 and a gap (%s)\n%s", r.Code, reason, r.Stderr)
	}
	return id[1]
}

// gapRecords counts the control topic's records of a gap: found, and accepted.
func (tr *trail) gapRecords(t *testing.T, id string) (found, accepted int) {
	t.Helper()
	for _, p := range tr.topics(t) {
		for _, r := range p.Records {
			switch text := string(r.Value); {
			case p.Topic != tr.prefix+".control" || !strings.Contains(text, `"op":"gap"`) || !strings.Contains(text, `"gap":{"id":"`+id+`"`):
			case strings.Contains(text, `"accepted":true`):
				accepted++
			default:
				found++
			}
		}
	}
	return found, accepted
}

// refused runs pgwitness, which must end with 1 and say something.
func (tr *trail) refused(t *testing.T, says string) {
	t.Helper()
	r := tr.run(t).Wait(t, time.Minute)
	if r.Code != 1 || !regexp.MustCompile(says).MatchString(r.Stderr) {
		t.Fatalf("exit code %d, want 1 and %q\n%s", r.Code, says, r.Stderr)
	}
}

// TestSlotMoved: somebody advanced the slot. What was skipped is a gap with both positions; accepted, the trail goes on
// behind it.
func TestSlotMoved(t *testing.T) {
	tr := delivered(t, 3)
	before := tr.confirmed(t)
	tr.insert(t, 4, 5)
	tr.Exec(t, fmt.Sprintf("select pg_replication_slot_advance('%s', pg_current_wal_lsn())", tr.slot))
	after := tr.confirmed(t)
	tr.insert(t, 6, 6)

	id := tr.stoppedByGap(t, "moved")
	if want := fmt.Sprintf("moved-%X-%X", uint64(before), uint64(after)); id != want {
		t.Errorf("the gap is %s, want %s", id, want)
	}
	tr.stoppedByGap(t, "moved") // it does not go away
	tr.stoppedByGap(t, "moved", "--accept-gap", "moved-1-2")
	if found, accepted := tr.gapRecords(t, id); found != 1 || accepted != 0 {
		t.Errorf("the gap is recorded %d times and accepted %d times", found, accepted)
	}
	tr.catchUpWith(t, "--accept-gap", id)
	tr.catchUp(t, time.Minute) // once is enough
	if found, accepted := tr.gapRecords(t, id); found != 1 || accepted != 1 {
		t.Errorf("the gap is recorded %d times and accepted %d times", found, accepted)
	}
	tr.expectOnce(t, inserts(1, 2, 3, 6))
}

func (tr *trail) catchUpWith(t *testing.T, args ...string) {
	t.Helper()
	if r := tr.run(t, append(args, "--until", tr.position(t).String())...).Wait(t, time.Minute); r.Code != 0 {
		t.Fatalf("run %v: exit code %d\n%s", args, r.Code, r.Stderr)
	}
}

// TestSlotMadeAnew: the slot was dropped and made again between two runs.
func TestSlotMadeAnew(t *testing.T) {
	tr := delivered(t, 2)
	tr.insert(t, 3, 4)
	tr.Exec(t, fmt.Sprintf("select pg_drop_replication_slot('%s')", tr.slot))
	tr.Exec(t, fmt.Sprintf("select pg_create_logical_replication_slot('%s', 'pgoutput')", tr.slot))
	tr.insert(t, 5, 5)
	tr.catchUpWith(t, "--accept-gap", tr.stoppedByGap(t, "moved"))
	tr.expectOnce(t, inserts(1, 2, 5))
}

// TestTopicMadeAnew: a topic was deleted, and made again by somebody or by the run.
func TestTopicMadeAnew(t *testing.T) {
	for _, again := range []bool{true, false} {
		t.Run(fmt.Sprintf("made again %t", again), func(t *testing.T) {
			tr := delivered(t, 3)
			topic := tr.prefix + ".public.t"
			if err := tr.reader.Delete(t.Context(), topic); err != nil {
				t.Fatal(err)
			}
			if again {
				tr.eventually(t, func() error { return tr.reader.Create(t.Context(), topic, 1, 1, nil) })
			}
			tr.insert(t, 4, 4)
			tr.catchUpWith(t, "--accept-gap", tr.stoppedByGap(t, "records"))
			tr.expectOnce(t, inserts(4))
			tr.insert(t, 5, 5)
			tr.catchUp(t, time.Minute)
			tr.expectOnce(t, inserts(4, 5))
		})
	}
}

func (tr *trail) eventually(t *testing.T, f func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if err = f(); err == nil {
			return
		}
	}
	t.Fatal(err)
}

// TestRecordsExpired: a topic's records are all gone because of its retention. As long as the last run is younger than
// that, none of what the slot sends again can have been among them; otherwise nobody can tell.
func TestRecordsExpired(t *testing.T) {
	t.Parallel()
	k := servers.StartKafka(t, 1, "log.initial.task.delay.ms=100", "log.retention.check.interval.ms=200", "log.segment.delete.delay.ms=100")
	for _, kept := range []bool{true, false} {
		t.Run(fmt.Sprintf("younger %t", kept), func(t *testing.T) {
			tr := newTrailOn(t, servers.SharedPostgres(t, 18), k)
			tr.Exec(t, "create table t (id int primary key)")
			tr.setup(t, "public.*")
			tr.insert(t, 1, 3)
			tr.catchUp(t, time.Minute)
			topic := tr.prefix + ".public.t"
			tr.retain(t, topic, "1")
			tr.eventually(t, func() error {
				bounds, err := tr.reader.Bounds(t.Context(), topic[:len(topic)-2])
				if err == nil && (len(bounds) != 1 || bounds[0].Start == 0 || bounds[0].Start < bounds[0].End) {
					err = fmt.Errorf("the topic still has records: %+v", bounds)
				}
				return err
			})
			if kept {
				tr.retain(t, topic, "3600000")
			}
			tr.insert(t, 4, 4)
			if kept {
				tr.catchUp(t, time.Minute)
				tr.expectOnce(t, inserts(4))
				return
			}
			id := tr.stoppedByGap(t, "expired")
			tr.retain(t, topic, "-1") // so that there is something to see
			tr.catchUpWith(t, "--accept-gap", id)
			tr.expectOnce(t, inserts(4))
		})
	}
}

// retain sets a topic's retention, in milliseconds.
func (tr *trail) retain(t *testing.T, topic, millis string) {
	t.Helper()
	c := &kafka.Client{Addr: kafka.TCP(tr.kafka.Bootstrap()...), Transport: &kafka.Transport{}}
	defer c.Transport.(*kafka.Transport).CloseIdleConnections()
	res, err := c.IncrementalAlterConfigs(t.Context(), &kafka.IncrementalAlterConfigsRequest{
		Resources: []kafka.IncrementalAlterConfigsRequestResource{{
			ResourceType: kafka.ResourceTypeTopic, ResourceName: topic,
			Configs: []kafka.IncrementalAlterConfigsRequestConfig{{
				Name: "retention.ms", Value: millis, ConfigOperation: kafka.ConfigOperationSet,
			}},
		}},
	})
	if err == nil {
		err = res.Resources[0].Error
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestControlTopicDeleted: routing and bound are unknown; nothing is delivered on a guess.
func TestControlTopicDeleted(t *testing.T) {
	t.Parallel()
	tr := delivered(t, 3)
	if err := tr.reader.Delete(t.Context(), tr.prefix+".control"); err != nil {
		t.Fatal(err)
	}
	tr.insert(t, 4, 4)
	tr.eventually(t, func() error {
		names, err := tr.reader.List(t.Context(), tr.prefix)
		if err == nil && len(names) != 1 {
			err = fmt.Errorf("topics %v", names)
		}
		return err
	})
	id := tr.stoppedByGap(t, "unknown")
	tr.expectOnce(t, inserts(1, 2, 3))
	tr.catchUpWith(t, "--accept-gap", id)
	tr.expectOnce(t, inserts(1, 2, 3, 4))
}

// TestForeignRecord: somebody else writes to the topics.
func TestForeignRecord(t *testing.T) {
	for _, topic := range []string{"public.t", "control"} {
		t.Run(topic, func(t *testing.T) {
			tr := delivered(t, 2)
			tr.write(t, tr.prefix+"."+topic, "foreign")
			tr.insert(t, 3, 3)
			tr.refused(t, regexp.QuoteMeta(tr.prefix+"."+topic)+`.* not .*pgwitness.*prefix`)
		})
	}
	t.Run("while it runs", func(t *testing.T) {
		tr := delivered(t, 2)
		run := tr.run(t)
		tr.awaitConfirmed(t, time.Minute)
		tr.insert(t, 3, 3)
		tr.awaitConfirmed(t, time.Minute)
		tr.write(t, tr.prefix+".public.t", "foreign")
		tr.insert(t, 4, 4)
		if r := run.Wait(t, time.Minute); r.Code != 1 || !strings.Contains(r.Stderr, "somebody else writes") {
			t.Errorf("exit code %d\n%s", r.Code, r.Stderr)
		}
	})
}

// write writes a record as somebody else.
func (tr *trail) write(t *testing.T, topic, value string) {
	t.Helper()
	c := &kafka.Client{Addr: kafka.TCP(tr.kafka.Bootstrap()...), Transport: &kafka.Transport{}}
	defer c.Transport.(*kafka.Transport).CloseIdleConnections()
	res, err := c.Produce(t.Context(), &kafka.ProduceRequest{
		Topic: topic, RequiredAcks: kafka.RequireAll,
		Records: protocol.NewRecordReader(protocol.Record{Value: protocol.NewBytes([]byte(value))}),
	})
	if err == nil {
		err = res.Error
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestPartitionsAdded: somebody gives a topic more partitions, so that keys move. The table gets a new topic.
func TestPartitionsAdded(t *testing.T) {
	tr := delivered(t, 3)
	c := &kafka.Client{Addr: kafka.TCP(tr.kafka.Bootstrap()...), Transport: &kafka.Transport{}}
	defer c.Transport.(*kafka.Transport).CloseIdleConnections()
	topic := tr.prefix + ".public.t"
	res, err := c.CreatePartitions(t.Context(), &kafka.CreatePartitionsRequest{
		Topics: []kafka.TopicPartitionsConfig{{Name: topic, Count: 3}},
	})
	if err == nil {
		err = res.Errors[topic]
	}
	if err != nil {
		t.Fatal(err)
	}
	tr.insert(t, 4, 4)
	tr.eventually(t, func() error {
		bounds, err := tr.reader.Bounds(t.Context(), topic[:len(topic)-2])
		if err == nil && len(bounds) != 3 {
			err = fmt.Errorf("%d partitions", len(bounds))
		}
		return err
	})
	tr.refused(t, `has 3 partitions.* sent to 1.*topics\.names`)
	tr.expectOnce(t, inserts(1, 2, 3))
	tr.settings = []string{"PGWITNESS_TOPICS_NAMES=public.t=" + tr.prefix + ".public.t2"}
	tr.catchUp(t, time.Minute)
	tr.expectOnce(t, inserts(1, 2, 3, 4))
}

// TestPrefixOfAnotherSlot: a prefix belongs to one slot of one database.
func TestPrefixOfAnotherSlot(t *testing.T) {
	tr := delivered(t, 2)
	second := servers.Unique("w")
	tr.Exec(t, fmt.Sprintf("select pg_create_logical_replication_slot('%s', 'pgoutput')", second))
	r := product.Run(t, time.Minute, tr.environment(), "run", "--slot", second)
	if r.Code != 1 || !strings.Contains(r.Stderr, tr.slot) || !strings.Contains(r.Stderr, "prefix") {
		t.Errorf("exit code %d\n%s", r.Code, r.Stderr)
	}
	tr.expectOnce(t, inserts(1, 2))
}

// TestTopicOfAnotherDatabase: a table is given a topic that has another database's records.
func TestTopicOfAnotherDatabase(t *testing.T) {
	first, second := delivered(t, 2), newTrail(t, 18)
	second.Exec(t, "create table t (id int primary key)")
	second.setup(t, "public.*")
	second.insert(t, 1, 1)
	second.settings = []string{"PGWITNESS_TOPICS_NAMES=public.t=" + first.prefix + ".public.t"}
	second.refused(t, regexp.QuoteMeta(first.prefix+".public.t")+`.* holds record .* of another database`)
	first.insert(t, 3, 3)
	first.catchUp(t, time.Minute)
	first.expectOnce(t, inserts(1, 2, 3))
}
