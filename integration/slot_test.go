//go:build integration

package integration

import (
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgwitness/integration/servers"
)

// A diaryEntry is what the tests look at in a control record.
type diaryEntry struct {
	Op       string
	Accepted bool
	Gap      struct{ ID, Reason, From, To, Detail string }
}

// diary reads the control topic's records of some kinds.
func (tr *trail) diary(t *testing.T, ops ...string) []diaryEntry {
	t.Helper()
	var entries []diaryEntry
	for _, p := range tr.topics(t) {
		if p.Topic != tr.prefix+".control" {
			continue
		}
		for _, raw := range p.Records {
			var e diaryEntry
			if err := json.Unmarshal(raw.Value, &e); err != nil {
				t.Fatalf("%v in %s", err, raw.Value)
			}
			for _, op := range ops {
				if e.Op == op {
					entries = append(entries, e)
				}
			}
		}
	}
	return entries
}

// expectGap runs pgwitness, which ends with a gap of that reason, and returns the gap's ID. The gap is recorded once.
func (tr *trail) expectGap(t *testing.T, reason string, args ...string) string {
	t.Helper()
	r := tr.run(t, args...).Wait(t, time.Minute)
	last := lastLine(r.Stderr)
	_, id, found := strings.Cut(last, "--accept-gap ")
	if r.Code != 3 || !found || !strings.Contains(last, "("+reason+")") {
		t.Fatalf("exit code %d: %s", r.Code, last)
	}
	gaps := tr.diary(t, "gap")
	if len(gaps) == 0 {
		t.Fatal("no gap is recorded")
	}
	if g := gaps[len(gaps)-1]; g.Gap.ID != id || g.Gap.Reason != reason || g.Accepted {
		t.Errorf("the control topic's last gap is %+v, not %s", g, id)
	}
	for n, g := range gaps[:len(gaps)-1] {
		if g.Gap.ID == id {
			t.Errorf("gap %d is the same: %+v", n, g)
		}
	}
	return id
}

// accepts runs pgwitness up to now with the gap accepted.
func (tr *trail) accepts(t *testing.T, id string) diaryEntry {
	t.Helper()
	if r := tr.run(t, "--accept-gap", id, "--until", tr.position(t).String()).Wait(t, time.Minute); r.Code != 0 {
		t.Fatalf("run --accept-gap %s: exit code %d\n%s", id, r.Code, r.Stderr)
	}
	gaps := tr.diary(t, "gap")
	last := gaps[len(gaps)-1]
	if last.Gap.ID != id || !last.Accepted {
		t.Errorf("the control topic's last gap is %+v, not %s accepted", last, id)
	}
	return last
}

// exhaust writes WAL until the slot's is gone. None of it is for the slot: a walsender that is to end says goodbye, and the
// server waits for it while its socket is full.
func (tr *trail) exhaust(t *testing.T) {
	t.Helper()
	c := tr.Connect(t)
	if _, err := c.Exec(t.Context(), "create schema filler; create table filler.t (body text)"); err != nil {
		t.Fatal(err)
	}
	for range 40 {
		for _, sql := range []string{"insert into filler.t select repeat(md5(n::text), 30) from generate_series(1, 10000) n", "select pg_switch_wal()", "checkpoint"} {
			if _, err := c.Exec(t.Context(), sql); err != nil {
				t.Fatal(err)
			}
		}
		if tr.Text(t, "select wal_status from pg_replication_slots where slot_name = $1", tr.slot) == "lost" {
			return
		}
	}
	t.Fatal("the slot is not lost")
}

// TestSlotLost: an invalidated slot is recorded with what is known of it, by the run that finds it. No run goes on until
// there is another slot and an operator has accepted the gap.
func TestSlotLost(t *testing.T) {
	t.Parallel()
	for _, version := range []int{14, 18} {
		for _, running := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d running %t", version, running), func(t *testing.T) {
				t.Parallel()
				slotLost(t, version, running)
			})
		}
	}
}

func slotLost(t *testing.T, version int, running bool) {
	postgres := servers.StartPostgres(t, version, "max_slot_wal_keep_size=16MB", "max_wal_size=64MB", "min_wal_size=32MB")
	tr := newTrailOn(t, postgres, servers.SharedKafka(t))
	tr.Exec(t, "create table t (id int primary key)")
	tr.setup(t, "public.*")
	run := tr.run(t)
	awaitLog(t, run, holds)
	tr.Exec(t, "insert into t values (1)")
	tr.awaitConfirmed(t, time.Minute)
	var id string
	if running { // a pgwitness that hangs meanwhile finds out by itself
		run.Signal(t, syscall.SIGSTOP)
		tr.exhaust(t)
		run.Signal(t, syscall.SIGCONT)
		r := run.Wait(t, time.Minute)
		if r.Code != 3 {
			t.Errorf("exit code %d: %s", r.Code, lastLine(r.Stderr))
		}
		_, id, _ = strings.Cut(lastLine(r.Stderr), "--accept-gap ")
	} else {
		if r := run.Stop(t, 10*time.Second); r.Code != 0 {
			t.Fatalf("exit code %d\n%s", r.Code, r.Stderr)
		}
		tr.Exec(t, "insert into t values (2)")
		tr.exhaust(t)
		id = tr.expectGap(t, "lost")
	}
	if again := tr.expectGap(t, "lost", "--accept-gap", id); again != id { // not while the slot is what it is
		t.Errorf("the gap is %s, and then %s", id, again)
	}
	confirmed := tr.confirmed(t)
	tr.Exec(t, fmt.Sprintf("select pg_drop_replication_slot('%s')", tr.slot))
	tr.setup(t, "public.*")
	tr.Exec(t, "insert into t values (3)")
	start := tr.confirmed(t)
	if again := tr.expectGap(t, "lost"); again != id {
		t.Errorf("the gap is %s, and then %s", id, again)
	}
	accepted := tr.accepts(t, id)
	if accepted.Gap.From != confirmed.String() || accepted.Gap.To != start.String() {
		t.Errorf("from %s to %s, want %s to %s", accepted.Gap.From, accepted.Gap.To, confirmed, start)
	}
	tr.Exec(t, "insert into t values (4)")
	tr.catchUp(t, time.Minute)
	want := []string{`insert public.t - -> {"id":1}`, `insert public.t - -> {"id":3}`, `insert public.t - -> {"id":4}`}
	tr.expect(t, "after all", want)
}

// TestSlotDropped: a run that finds the slot of its trail gone records it; then it does not matter how near the new one
// is to the old one's place.
func TestSlotDropped(t *testing.T) {
	tr := newTrail(t, 17)
	tr.Exec(t, "create table t (id int primary key)")
	tr.setup(t, "public.*")
	run := tr.run(t)
	tr.Exec(t, "insert into t values (1)")
	tr.awaitConfirmed(t, time.Minute)
	run.Kill(t) // the bound is far ahead
	tr.Exec(t, "insert into t values (2)")
	tr.awaitReleased(t)
	tr.Exec(t, fmt.Sprintf("select pg_drop_replication_slot('%s')", tr.slot))

	id := tr.expectGap(t, "lost")
	tr.setup(t, "public.*")
	tr.Exec(t, "insert into t values (3)")
	if again := tr.expectGap(t, "lost", "--accept-gap", "moved-1-2"); again != id {
		t.Errorf("the gap is %s, and then %s", id, again)
	}
	tr.accepts(t, id)
	tr.expect(t, "after all", []string{`insert public.t - -> {"id":1}`, `insert public.t - -> {"id":3}`})
}

// awaitReleased waits until the server has noticed that a killed pgwitness is gone.
func (tr *trail) awaitReleased(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if tr.Text(t, "select active from pg_replication_slots where slot_name = $1", tr.slot) == "false" {
			return
		}
	}
	t.Fatal("the slot stays in use")
}

// TestSlotMovedTwice: a gap that is not accepted is not forgotten for a later one; each is accepted by itself.
func TestSlotMovedTwice(t *testing.T) {
	tr := newTrail(t, 16)
	tr.Exec(t, "create table t (id int primary key)")
	tr.setup(t, "public.*")
	tr.Exec(t, "insert into t values (1)")
	tr.catchUp(t, time.Minute)
	tr.Exec(t, "insert into t values (2)", fmt.Sprintf("select pg_replication_slot_advance('%s', pg_current_wal_lsn())", tr.slot),
		"insert into t values (3)")

	first := tr.expectGap(t, "moved")
	if again := tr.expectGap(t, "moved"); again != first {
		t.Errorf("the gap is %s, and then %s", first, again)
	}
	tr.Exec(t, fmt.Sprintf("select pg_replication_slot_advance('%s', pg_current_wal_lsn())", tr.slot), "insert into t values (4)")
	if again := tr.expectGap(t, "moved"); again != first {
		t.Errorf("the first gap is forgotten for %s", again)
	}
	second := tr.expectGap(t, "moved", "--accept-gap", first)
	if second == first {
		t.Error("the second move is taken for the first")
	}
	tr.accepts(t, second)
	tr.expect(t, "after all", []string{`insert public.t - -> {"id":1}`, `insert public.t - -> {"id":4}`})
}

// TestPrefixInUse: a run with somebody else's prefix is refused and does not disturb its owner.
func TestPrefixInUse(t *testing.T) {
	tr := newTrail(t, 15)
	tr.Exec(t, "create table t (id int primary key)")
	tr.setup(t, "public.*")
	owner := tr.run(t)
	tr.Exec(t, "insert into t values (1)")
	tr.awaitConfirmed(t, time.Minute)

	other := newTrailOn(t, tr.Server, tr.kafka)
	other.Exec(t, "create table t (id int primary key)")
	other.setup(t, "public.*")
	other.prefix = tr.prefix
	if r := other.run(t).Wait(t, time.Minute); r.Code != 1 || !strings.Contains(lastLine(r.Stderr), "belongs to slot "+tr.slot) {
		t.Errorf("exit code %d: %s", r.Code, lastLine(r.Stderr))
	}
	tr.Exec(t, "insert into t values (2)")
	tr.awaitConfirmed(t, time.Minute)
	if r := owner.Stop(t, 10*time.Second); r.Code != 0 {
		t.Errorf("the owner ended with %d", r.Code)
	}
}
