//go:build integration

package integration

import (
	"regexp"
	"strconv"
	"testing"
	"time"

	"pgwitness/integration/product"
)

// TestAllocationsARecord holds a run to what it allocates for each record, and for each batch: their number is the
// machine's. Objects are counted, so that a busy machine changes nothing.
func TestAllocationsARecord(t *testing.T) {
	t.Parallel()
	const rows, mostRecord, mostBatch = 200_000, 0.05, 150
	tr := newTrail(t, 18)
	tr.Exec(t, `create table wide (id bigint primary key, customer int, status text, amount numeric(12, 2), placed timestamptz,
		paid boolean, note text, code uuid)`)
	tr.setup(t, "public.*")
	run := tr.run(t, "--listen", "127.0.0.1:0")
	tr.Exec(t, "insert into wide (id) values (0)")
	tr.awaitConfirmed(t, time.Minute)
	before, batches := mallocs(t, run), metricsOf(t, run)["batches_total"]
	tr.Exec(t, `do $$ begin for batch in 0 .. `+strconv.Itoa(rows/1000-1)+` loop
		insert into wide select batch * 1000 + i, i, 'pending', i * 1.25, now(), true, 'some words about it', gen_random_uuid() from generate_series(1, 1000) i;
		commit; end loop; end $$`)
	tr.awaitConfirmed(t, 2*time.Minute)
	got, most := mallocs(t, run)-before, rows*mostRecord+(metricsOf(t, run)["batches_total"]-batches)*mostBatch
	t.Logf("%.3f allocations a record", got/rows)
	if got > most {
		t.Errorf("%.0f allocations for %d records, want at most %.0f", got, rows, most)
	}
	tr.end(t, run)
}

var mallocsTotal = regexp.MustCompile(`(?m)^go_memstats_mallocs_total (\S+)$`)

// mallocs is how many objects a run with --listen has allocated.
func mallocs(t *testing.T, run *product.Process) float64 {
	t.Helper()
	_, text := ask(t, run, "/metrics")
	found := mallocsTotal.FindStringSubmatch(text)
	if found == nil {
		t.Fatalf("nothing about allocations:\n%s", text)
	}
	n, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
