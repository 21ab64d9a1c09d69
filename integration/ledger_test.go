//go:build integration

package integration

import (
	"fmt"
	"testing"
	"time"

	"pgwitness/integration/workload"
)

// TestLedger: eight writers for twenty seconds, while pgwitness runs; afterwards every committed change is in its topic
// exactly once, in commit order, with its true images.
func TestLedger(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	for _, version := range []int{18, 15} {
		for _, partitions := range []int{1, 5} {
			t.Run(fmt.Sprintf("%d with %d partitions", version, partitions), func(t *testing.T) {
				t.Parallel()
				tr := newTrail(t, version)
				tr.settings = []string{fmt.Sprintf("PGWITNESS_TOPICS_PARTITIONS=%d", partitions)}
				tr.ledger(t, workload.Load{Writers: 8, Time: 12 * time.Second / time.Duration(partitions), Seed: seed, Bulk: 100_000})
			})
		}
	}
}

func (tr *trail) ledger(t *testing.T, load workload.Load) {
	t.Logf("seed %d", load.Seed)
	c := tr.Connect(t)
	if err := workload.Create(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	tr.setup(t, "public.*")
	tr.audited(t, workload.Tables...)

	run := tr.run(t)
	commits, err := load.Run(t.Context(), tr.URL())
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	tr.awaitConfirmed(t, 2*time.Minute)
	t.Logf("%d transactions; delivered %s after the last", commits, time.Since(start).Round(time.Millisecond))
	if r := run.Stop(t, 5*time.Second); r.Code != 0 {
		t.Fatalf("SIGTERM: exit code %d\n%s", r.Code, r.Stderr)
	}
	tr.judge(t)
}
