//go:build integration

package integration

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgwitness/integration/proxy"
)

// A failpoint is a request to Kafka.
type failpoint struct {
	name string
	key  int16
	skip []int // so many requests of the kind are let pass before
}

// failpoints are the steps from the start to the confirmation. At each of them pgwitness is killed: before Kafka has
// the request, and after Kafka has done what was asked and before the answer is known.
var failpoints = []failpoint{
	{"take over the producer id", proxy.InitProducerID, []int{0}},
	{"find the coordinator", proxy.FindCoordinator, []int{0}},
	{"create topics", proxy.CreateTopics, []int{0}},
	{"read the topics' settings", proxy.DescribeConfigs, []int{0, 1}},
	{"note the ends", proxy.ListOffsets, []int{0, 1}},
	{"open the fence's transaction", proxy.AddPartitionsToTxn, []int{0, 1}},
	{"abort it", proxy.EndTxn, []int{0, 1}},
	{"read the tails", proxy.Fetch, []int{0, 1, 2}},
	{"send", proxy.Produce, []int{0, 1, 2, 3, 5, 8}},
}

// TestFailpoints kills pgwitness at each step between reading and confirming, one after the other on the same trail,
// with new work and a new table each time.
func TestFailpoints(t *testing.T) {
	tr := newProxiedTrail(t, 18)
	tr.settings = []string{"PGWITNESS_TOPICS_PARTITIONS=3", "PGWITNESS_KAFKA_BATCH_BYTES=2000"}
	count := 0
	for _, f := range failpoints {
		count += 2 * len(f.skip)
	}
	tr.Exec(t, "create sequence fresh start 1000000")
	names := make([]string, count+1)
	for i := range names {
		names[i] = fmt.Sprintf("public.t%d", i)
		tr.Exec(t, fmt.Sprintf("create table %s (id int primary key, n int, word text)", names[i]))
	}
	tr.setup(t, "public.*")
	tr.audited(t, names...)
	n := 0
	work := func() {
		for _, table := range []string{names[n], names[n/2], names[0]} {
			tr.Exec(t,
				fmt.Sprintf("insert into %s select i, i, 'round %d' from generate_series(%d, %d) i on conflict (id) do update set n = excluded.n", table, n, n, n+30),
				fmt.Sprintf("update %s set id = nextval('fresh') where id = %d", table, n+1),
				fmt.Sprintf("delete from %s where id = %d", table, n+2))
		}
		n++
	}
	for _, f := range failpoints {
		for _, skip := range f.skip {
			work()
			tr.killAt(t, proxy.CatchRequest(tr.brokers, f.key, skip), fmt.Sprintf("%s, request %d", f.name, skip))
			work()
			tr.killAt(t, proxy.CatchAnswer(tr.brokers, f.key, skip), fmt.Sprintf("%s, answer %d", f.name, skip))
		}
	}
	tr.crashUnconfirmed(t, work) // after the acknowledgements, before the status
	tr.catchUp(t, time.Minute)
	tr.judge(t)
}

func (p *proxiedTrail) killAt(t *testing.T, c *proxy.Catch, where string) {
	t.Helper()
	run := p.run(t)
	select {
	case <-c.Caught():
	case <-run.Ended():
		t.Fatalf("%s: it ended: %s", where, run.Stderr())
	case <-time.After(30 * time.Second):
		t.Fatalf("%s: it does not come there", where)
	}
	run.Kill(t)
	c.Forward()
	p.awaitFree(t)
}

// TestSilentAnswers: the answer to any request of the start, and of the first records, never comes, as on a connection
// whose other end is gone. The same process asks again and gets on.
func TestSilentAnswers(t *testing.T) {
	t.Parallel()
	steps := append(slices.Clone(failpoints), failpoint{"learn of the brokers", proxy.Metadata, []int{1}})
	for _, f := range steps {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			tr := newProxiedTrail(t, 18)
			tr.Exec(t, "create table t (id int primary key)")
			tr.setup(t, "public.*")
			for n, skip := range f.skip[:min(3, len(f.skip))] {
				c := proxy.CatchAnswer(tr.brokers, f.key, skip)
				run := tr.run(t)
				tr.insert(t, n, n)
				tr.awaitConfirmedBy(t, run.Running, 2*time.Minute)
				select {
				case <-c.Caught():
				default:
					t.Errorf("answer %d was never on its way", skip)
				}
				c.Lose()
				if r := run.Stop(t, 15*time.Second); r.Code != 0 {
					t.Errorf("answer %d: exit code %d\n%s", skip, r.Code, r.Stderr)
				}
				tr.awaitFree(t)
			}
			tr.expectOnce(t, inserts(0, 1, 2)[:min(3, len(f.skip))])
		})
	}
}
