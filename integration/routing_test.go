//go:build integration

package integration

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgwitness/integration/ledger"
)

// The tests of this file change where records go between a crash, after which everything comes again, and the next run.
// Under the new routing each change is there once, and the order of each topic holds.

// TestTopicNameChange: topics.names is changed.
func TestTopicNameChange(t *testing.T) {
	t.Parallel()
	tr := newProxiedTrail(t, 18)
	tr.Exec(t, "create table a (id int primary key)", "create table b (id int primary key)")
	tr.setup(t, "public.*")
	var want []string
	both := func(from, to int) func() {
		return func() {
			for i := from; i <= to; i++ {
				tr.Exec(t, fmt.Sprintf("begin; insert into a values (%d); insert into b values (%[1]d); commit", i))
				want = append(want, fmt.Sprintf(`insert public.a - -> {"id":%d}`, i), fmt.Sprintf(`insert public.b - -> {"id":%d}`, i))
			}
		}
	}
	tr.crashUnconfirmed(t, both(1, 5))
	both(6, 8)() // while it is down
	other := tr.prefix + ".public.other"
	tr.settings = []string{"PGWITNESS_TOPICS_NAMES=public.a=" + other}
	tr.crashUnconfirmed(t, both(9, 12))
	tr.expectOnce(t, want)
	tr.catchUp(t, time.Minute)
	tr.expectOnce(t, want)
	both(13, 14)()
	tr.catchUp(t, time.Minute)
	tr.expectOnce(t, want)

	records := tr.records(t)
	in := func(topic string) []ledger.Record {
		return slices.DeleteFunc(slices.Clone(records), func(r ledger.Record) bool { return r.Topic != topic })
	}
	before, after := in(tr.prefix+".public.a"), in(other)
	if len(before) < 5 || len(after) < 2 || len(before)+len(after) != 14 {
		t.Fatalf("%d records under the old name, %d under the new one", len(before), len(after))
	}
	if last, first := before[len(before)-1], after[0]; lsnCompare(t, last.Tx.CommitLSN, first.Tx.CommitLSN) >= 0 {
		t.Errorf("the old topic ends with %s, the new one begins with %s", last.ID, first.ID)
	}
	if string(after[len(after)-1].After) != `{"id":14}` {
		t.Errorf("the new topic ends with %s", after[len(after)-1].After)
	}
}

// TestPartitionedChange: topics.partitioned is changed, there and back.
func TestPartitionedChange(t *testing.T) {
	t.Parallel()
	tr := newProxiedTrail(t, 18)
	tr.Exec(t, "create table m (id int primary key) partition by hash (id)",
		"create table m0 partition of m for values with (modulus 2, remainder 0)",
		"create table m1 partition of m for values with (modulus 2, remainder 1)")
	tr.setup(t, "public.*")
	var want []string
	n := 0
	work := func() {
		for range 6 {
			n++
			tr.Exec(t, fmt.Sprintf("insert into m values (%d)", n))
			leaf := tr.Text(t, "select tableoid::regclass from m where id = $1", n)
			want = append(want, fmt.Sprintf(`insert public.%s - -> {"id":%d}`, leaf, n))
		}
	}
	tr.crashUnconfirmed(t, work)
	for _, routing := range []string{"leaf", "root", "leaf"} {
		work()
		tr.settings = []string{"PGWITNESS_TOPICS_PARTITIONED=" + routing}
		tr.crashUnconfirmed(t, work)
		tr.expectOnce(t, want)
	}
	tr.catchUp(t, time.Minute)
	tr.expectOnce(t, want)
}

// TestPartitionCountChange: topics.partitions is changed. Topics that exist keep their partitions, new ones get as many as it
// says.
func TestPartitionCountChange(t *testing.T) {
	t.Parallel()
	tr := newProxiedTrail(t, 18)
	tr.Exec(t, "create table a (id int primary key)", "create table b (id int primary key)")
	tr.setup(t, "public.a")
	var want []string
	n := 0
	work := func(tables ...string) func() {
		return func() {
			for range 6 {
				n++
				for _, table := range tables {
					tr.Exec(t, fmt.Sprintf("insert into %s values (%d)", table, n))
					want = append(want, fmt.Sprintf(`insert public.%s - -> {"id":%d}`, table, n))
				}
			}
		}
	}
	tr.settings = []string{"PGWITNESS_TOPICS_PARTITIONS=2"}
	tr.crashUnconfirmed(t, work("a"))
	work("a")()
	tr.setup(t, "public.*")
	for _, partitions := range []string{"5", "1"} {
		work("a", "b")()
		tr.settings = []string{"PGWITNESS_TOPICS_PARTITIONS=" + partitions}
		tr.crashUnconfirmed(t, work("a", "b"))
		tr.expectOnce(t, want)
	}
	tr.catchUp(t, time.Minute)
	tr.expectOnce(t, want)
	widths := make(map[string]int)
	bounds, err := tr.reader.Bounds(t.Context(), tr.prefix)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range bounds {
		widths[p.Topic]++
	}
	if a, b := widths[tr.prefix+".public.a"], widths[tr.prefix+".public.b"]; a != 2 || b != 5 {
		t.Errorf("the topics have %d and %d partitions", a, b)
	}
}

// TestPrimaryKeyChange: another primary key under a full replica identity moves the rows to other partitions.
func TestPrimaryKeyChange(t *testing.T) {
	t.Parallel()
	tr := newProxiedTrail(t, 18)
	tr.settings = []string{"PGWITNESS_TOPICS_PARTITIONS=5"}
	tr.Exec(t, "create table k (id int primary key, code text not null, n int)")
	tr.setup(t, "public.*")
	var want []string
	n := 0
	work := func() {
		for range 8 {
			n++
			tr.Exec(t, fmt.Sprintf("insert into k values (%d, 'c%[1]d', 0)", n), fmt.Sprintf("update k set n = 1 where id = %d", n))
			row := func(m int) string { return fmt.Sprintf(`{"id":%d,"code":"c%[1]d","n":%d}`, n, m) }
			want = append(want, "insert public.k - -> "+row(0), "update public.k "+row(0)+" -> "+row(1))
		}
	}
	tr.crashUnconfirmed(t, work)
	for _, key := range []string{"code", "id, code", "id"} {
		work() // while it is down, by the old key
		tr.Exec(t, "alter table k drop constraint k_pkey", fmt.Sprintf("alter table k add primary key (%s)", key))
		work() // by the new one
		tr.crashUnconfirmed(t, work)
		tr.expectOnce(t, want)
	}
	tr.catchUp(t, time.Minute)
	tr.expectOnce(t, want)
}

// TestPublicationChange: a table leaves the publication and another one joins it while pgwitness is down. What was
// committed before counts by what was published then.
func TestPublicationChange(t *testing.T) {
	t.Parallel()
	tr := newProxiedTrail(t, 18)
	tr.Exec(t, "create table a (id int primary key)", "create table b (id int primary key)")
	tr.setup(t, "public.*")
	tr.Exec(t, "create table c (id int primary key)", "alter table c replica identity full")
	var want []string
	insert := func(table string, id int, published bool) {
		tr.Exec(t, fmt.Sprintf("insert into %s values (%d)", table, id))
		if published {
			want = append(want, fmt.Sprintf(`insert public.%s - -> {"id":%d}`, table, id))
		}
	}
	tr.crashUnconfirmed(t, func() { insert("a", 1, true); insert("b", 1, true); insert("c", 1, false) })
	insert("a", 2, true)
	tr.Exec(t, fmt.Sprintf("alter publication %s drop table a", tr.slot), fmt.Sprintf("alter publication %s add table only c", tr.slot))
	insert("a", 3, false)
	insert("b", 2, true)
	insert("c", 2, true)
	tr.crashUnconfirmed(t, func() { insert("a", 4, false); insert("b", 3, true); insert("c", 3, true) })
	tr.expectOnce(t, want)
	tr.Exec(t, fmt.Sprintf("alter publication %s add table only a", tr.slot))
	insert("a", 5, true)
	insert("c", 4, true)
	tr.catchUp(t, time.Minute)
	tr.expectOnce(t, want)
}
