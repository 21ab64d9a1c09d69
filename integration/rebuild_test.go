//go:build integration

package integration

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestRebuild changes many tables of every type at random, their definitions too, while pgwitness runs. Afterwards the
// tables are made again from nothing but the records. PGWITNESS_TEST_SEED repeats a load's choices,
// PGWITNESS_TEST_REBUILD sets how long each takes, such as 10m.
func TestRebuild(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("PGWITNESS_TEST_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	length, err := time.ParseDuration(cmp.Or(os.Getenv("PGWITNESS_TEST_REBUILD"), "8s"))
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []int{14, 18} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			t.Parallel()
			randomLoad(t, version, seed, length)
		})
	}
}

const (
	randomTables  = 110
	randomWriters = 2
)

func randomLoad(t *testing.T, version int, seed uint64, length time.Duration) {
	t.Logf("seed %d", seed)
	tr := newTrail(t, version)
	tr.Exec(t, slices.Concat(preparation, morePreparation, []string{"create schema r"})...)
	types := slices.DeleteFunc(slices.Concat(valueTypes, moreTypes), func(v valueType) bool { return version < v.since })
	writers := make([]*randomWriter, randomWriters)
	for i := range writers {
		writers[i] = &randomWriter{random: rand.New(rand.NewPCG(seed, uint64(i))), types: types, number: i}
	}
	for i := range randomTables {
		w := writers[i%len(writers)]
		table := w.newTable(types[i*3%len(types)], types[(i*3+1)%len(types)], types[(i*3+2)%len(types)])
		tr.Exec(t, table.create())
		w.tables = append(w.tables, table)
	}
	tr.setup(t, "r.*")
	tr.watched(t)
	for _, w := range writers {
		for _, table := range w.tables {
			if !table.full {
				tr.Exec(t, "alter table r."+table.name+" replica identity default")
			}
		}
	}

	run := tr.run(t)
	over := time.Now().Add(length)
	var wg sync.WaitGroup
	for _, w := range writers {
		wg.Go(func() {
			if err := w.work(t.Context(), tr.URL(), over); err != nil {
				t.Errorf("writer %d (seed %d): %v", w.number, seed, err)
			}
		})
	}
	wg.Wait()
	if !run.Running() {
		t.Fatalf("it has ended\n%s", run.Stderr())
	}
	tr.awaitConfirmed(t, 2*time.Minute)
	if r := run.Stop(t, 10*time.Second); r.Code != 0 {
		t.Fatalf("SIGTERM: exit code %d\n%s", r.Code, r.Stderr)
	}
	ended := make(map[string]int)
	for _, w := range writers {
		for what, n := range w.done {
			ended[what] += n
		}
	}
	t.Logf("%v", ended)
	everything := tr.everything(t)
	checkLast(t, everything)
	entries := slices.DeleteFunc(everything, (*entry).ofControl)
	tr.compareWithAudit(t, entries)
	tr.rebuild(t, none)
}

// A randomTable is a table as its writer knows it.
type randomTable struct {
	name    string
	full    bool // replica identity; otherwise by the primary key
	keyed   bool
	columns []randomColumn // beside id
}

type randomColumn struct {
	name string
	kind valueType
}

func (t *randomTable) clone() *randomTable {
	c := *t
	c.columns = slices.Clone(t.columns)
	return &c
}

func (t *randomTable) create() string {
	var b strings.Builder
	fmt.Fprintf(&b, "create table r.%s (id int", t.name)
	if t.keyed {
		b.WriteString(" primary key")
	}
	for _, c := range t.columns {
		fmt.Fprintf(&b, ", %s %s", c.name, c.kind.kind)
	}
	b.WriteString(")")
	return b.String()
}

// newTable makes a table with columns of these types; one in four without a key, and one in three of the others with
// no more than the key in its old rows.
func (w *randomWriter) newTable(types ...valueType) *randomTable {
	t := &randomTable{name: w.fresh("t"), keyed: w.random.IntN(4) > 0}
	t.full = !t.keyed || w.random.IntN(3) > 0
	for _, v := range types {
		t.columns = append(t.columns, randomColumn{w.fresh("c"), v})
	}
	return t
}

func (w *randomWriter) fresh(prefix string) string {
	w.names++
	return fmt.Sprintf("%s%d_%d", prefix, w.number, w.names)
}
