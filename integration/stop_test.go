//go:build integration

package integration

import (
	"syscall"
	"testing"
	"time"

	"pgwitness/integration/ledger"
	"pgwitness/integration/workload"
)

// TestStopUnderLoad: SIGTERM in the middle of a load ends within five seconds, and what was delivered is confirmed. The
// next start goes on where it stood; so it does after SIGKILL, which confirms nothing.
func TestStopUnderLoad(t *testing.T) {
	tr := newTrail(t, 18)
	tr.settings = []string{"PGWITNESS_TOPICS_PARTITIONS=3"}
	if err := workload.Create(t.Context(), tr.Connect(t)); err != nil {
		t.Fatal(err)
	}
	tr.setup(t, "public.*")
	tr.audited(t, workload.Tables...)

	load := workload.Load{Writers: 4, Time: 12 * time.Second, Seed: uint64(time.Now().UnixNano()), Bulk: 50_000}
	t.Logf("seed %d", load.Seed)
	loaded := make(chan error, 1)
	go func() {
		_, err := load.Run(t.Context(), tr.URL())
		loaded <- err
	}()
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL, syscall.SIGTERM, syscall.SIGKILL} {
		run := tr.run(t)
		time.Sleep(2500 * time.Millisecond)
		run.Signal(t, sig)
		r := run.Wait(t, 5*time.Second)
		if sig == syscall.SIGKILL {
			tr.awaitFree(t) // on a busy machine that may take longer than the next start would wait
			continue
		}
		if r.Code != 0 {
			t.Fatalf("SIGTERM: exit code %d\n%s", r.Code, r.Stderr)
		}
		tr.expectConfirmed(t)
		tr.judgeConfirmed(t)
	}
	if err := <-loaded; err != nil {
		t.Fatal(err)
	}
	tr.catchUp(t, time.Minute)
	tr.judge(t)
}

// expectConfirmed expects that the slot has been told of every transaction that is in the topics, but for the one in
// whose middle the reading stopped.
func (tr *trail) expectConfirmed(t *testing.T) {
	t.Helper()
	confirmed := tr.confirmed(t)
	beyond := make(map[uint64]bool)
	for _, r := range tr.records(t) {
		if lsn(t, r.Tx.CommitLSN) >= confirmed {
			beyond[r.Tx.XID] = true
		}
	}
	if len(beyond) > 1 {
		t.Errorf("confirmed up to %s, with %d delivered transactions beyond", confirmed, len(beyond))
	}
}

// judgeConfirmed finds what the slot has been told of and the topics do not hold.
func (tr *trail) judgeConfirmed(t *testing.T) {
	t.Helper()
	confirmed := tr.confirmed(t)
	books, err := ledger.ReadBooks(t.Context(), tr.Connect(t), tr.slot+"_audit")
	if err != nil {
		t.Fatal(err)
	}
	failures, err := ledger.Judge(t.Context(), books, tr.reader, tr.prefix, confirmed)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range failures {
		t.Errorf("at %s: %s", confirmed, f)
	}
}
