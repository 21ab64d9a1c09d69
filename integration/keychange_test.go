//go:build integration

package integration

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"pgwitness/integration/rebuild"
)

// TestKeyChanges: with several partitions a change of the key is told to both keys, each copy under the key of its
// partition; a truncate is told to every partition; rows without a key are in one.
func TestKeyChanges(t *testing.T) {
	const width = 5
	tr := newTrail(t, 18)
	tr.settings = []string{fmt.Sprintf("PGWITNESS_TOPICS_PARTITIONS=%d", width)}
	tr.Exec(t, "create table one (id int primary key, v text)", `create table two (a text, b numeric, "c ""é" int, primary key (b, a))`,
		"create table short (id int primary key, v text)", "create table by_index (id int primary key, u text not null)", "create unique index u on by_index (u)",
		"create table keyless (v text)", "create table stored (id text primary key, n int)", "alter table stored alter id set storage external")
	tr.setup(t, "public.*")
	tr.watched(t)
	tr.Exec(t, "alter table short replica identity default", "alter table by_index replica identity using index u", "alter table stored replica identity default")
	for _, table := range []string{"one", "short"} {
		tr.Exec(t, fmt.Sprintf("insert into %s select n, 'v' || n from generate_series(1, 40) n", table),
			fmt.Sprintf("update %s set id = id + 100 where id <= 20", table), fmt.Sprintf("update %s set v = v || '!' where id > 100", table),
			fmt.Sprintf("begin; update %[1]s set id = -1 where id = 30; update %[1]s set id = 30 where id = 31; update %[1]s set id = 31 where id = -1; commit", table),
			fmt.Sprintf("delete from %s where id %% 2 = 0", table))
	}
	tr.Exec(t, "insert into two select 'a' || n, n / 2.0, n from generate_series(1, 20) n", "update two set a = a || chr(233), b = b + 0.10", "update two set b = 1.00 where b = 1.10", "delete from two",
		"insert into by_index select n, 'u' || n from generate_series(1, 20) n", "update by_index set u = u || '\"x'", "update by_index set id = -id", "delete from by_index where id > -10",
		"insert into keyless select 'v' || n from generate_series(1, 10) n", "update keyless set v = v || '!'", "truncate keyless, two, short",
		"insert into stored select repeat(n::text, 2600), n from generate_series(1, 9) n", "update stored set n = n + 1", "update stored set id = id || 'x', n = 0", "delete from stored")
	tr.catchUp(t, time.Minute)
	entries := tr.entries(t)
	tr.compareWithAudit(t, entries)
	moved := 0
	for _, e := range entries {
		want := copiesOf(t, e, width)
		slices.SortFunc(e.copies, func(a, b copyOf) int { return a.partition - b.partition })
		if !slices.Equal(e.copies, want) && !(len(want) == 0 && len(e.copies) == 1 && e.copies[0].recordKey == "") {
			t.Errorf("%s\n got %v\nwant %v", line(e), e.copies, want)
		}
		if e.Op == "update" && len(want) > 1 {
			moved++
		}
	}
	if moved < 40 {
		t.Errorf("%d changes of a key are in two partitions", moved)
	}
	tr.rebuild(t, none)
}

// TestKeyInPartitions: the partitions of a table may have their columns in different orders; a key is the same in each.
func TestKeyInPartitions(t *testing.T) {
	tr := newTrail(t, 18)
	tr.settings = []string{"PGWITNESS_TOPICS_PARTITIONS=7"}
	tr.Exec(t, "create table root (id int, at date, region text, v text, primary key (region, at, id)) partition by list (region)",
		"create table a partition of root for values in ('a')", "create table b (v text, at date not null, region text not null, id int not null)")
	tr.setup(t, "public.*")
	tr.watched(t)
	tr.Exec(t, "insert into root select n, '2026-01-01', 'a', 'in a' from generate_series(1, 9) n")
	tr.catchUp(t, time.Minute)
	tr.Exec(t, "alter table root detach partition a", "alter table root attach partition b for values in ('a')",
		"insert into root select n, '2026-01-01', 'a', 'in b' from generate_series(1, 9) n", "update root set v = v || '!'")
	tr.catchUp(t, time.Minute)
	found := 0
	keys := make(map[string]int)
	for _, e := range tr.entries(t) {
		found++
		if partition, ok := keys[string(e.Key)]; ok && partition != e.Partition || e.RecordKey != string(e.Key) {
			t.Errorf("in partitions %d and %d: %s", partition, e.Partition, line(e))
		}
		keys[string(e.Key)] = e.Partition
	}
	if found != 27 || keys[`{"at":"2026-01-01","id":1,"region":"a"}`] != partitionFor(`{"at":"2026-01-01","id":1,"region":"a"}`, 7) || len(keys) != 9 {
		t.Errorf("%d records of %d keys", found, len(keys))
	}
}

// copiesOf says where a record belongs, nil for one partition of any number.
func copiesOf(t *testing.T, e *entry, width int) []copyOf {
	t.Helper()
	var copies []copyOf
	switch {
	case e.Op == "truncate":
		for id := range width {
			copies = append(copies, copyOf{id, "", "null"})
		}
	case string(e.Key) != "null":
		for _, image := range [][]byte{e.Before, e.After} {
			if key := keyOf(t, e.Key, image); key != "" {
				c := copyOf{partitionFor(key, width), key, key}
				if !slices.ContainsFunc(copies, func(other copyOf) bool { return other.partition == c.partition }) {
					copies = append(copies, c)
				}
			}
		}
		slices.SortFunc(copies, func(a, b copyOf) int { return a.partition - b.partition })
	}
	return copies
}

// keyOf picks the key's columns from an image, "" without one.
func keyOf(t *testing.T, key, image []byte) string {
	t.Helper()
	if image == nil {
		return ""
	}
	row, err1 := rebuild.ParseRow(string(image))
	columns, err2 := rebuild.ParseRow(string(key))
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	for i := range columns {
		value, ok := row.Get(columns[i].Name)
		if !ok {
			t.Fatalf("%s lacks the key %s", image, key)
		}
		columns[i].Value = value
	}
	return columns.String()
}

// partitionFor is the Java client's choice.
func partitionFor(key string, width int) int {
	ids := make([]int, width)
	for i := range ids {
		ids[i] = i
	}
	return kafka.Murmur2Balancer{Consistent: true}.Balance(kafka.Message{Key: []byte(key)}, ids...)
}
