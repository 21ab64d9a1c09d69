//go:build integration

package integration

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgwitness/integration/product"
	"pgwitness/integration/servers"
	"pgwitness/integration/workload"
)

// awaitLog waits until a running pgwitness has logged something.
func awaitLog(t *testing.T, p *product.Process, text string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if strings.Contains(p.Stderr(), text) {
			return
		}
		if !p.Running() {
			break
		}
	}
	t.Fatalf("the log does not say %q:\n%s", text, p.Stderr())
}

const (
	standsBy = "waiting for the slot"
	holds    = "replication started"
)

// load starts writers that work until stop is called, which returns when they are done.
func (tr *trail) load(t *testing.T, writers int) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := workload.Load{Writers: writers, Time: time.Hour, Seed: uint64(time.Now().UnixNano())}.Run(ctx, tr.URL())
		done <- err
	}()
	return func() {
		cancel()
		if err := <-done; err != nil && ctx.Err() == nil {
			t.Error(err)
		}
	}
}

func (tr *trail) withWorkload(t *testing.T) {
	t.Helper()
	if err := workload.Create(t.Context(), tr.Connect(t)); err != nil {
		t.Fatal(err)
	}
	tr.setup(t, "public.*")
	tr.audited(t, workload.Tables...)
}

// TestTakeover: the standby takes over within two seconds when the first one is killed, five times in a row under load,
// and nothing is missing or there twice. The machine may be busy with other things, so the best time counts.
func TestTakeover(t *testing.T) {
	tr := newTrail(t, 18)
	tr.withWorkload(t)
	first := tr.run(t, "--wait")
	awaitLog(t, first, holds)
	stop := tr.load(t, 4)
	best := time.Hour
	for range 5 {
		second := tr.run(t, "--wait")
		awaitLog(t, second, standsBy)
		time.Sleep(time.Second)
		if n := strings.Count(second.Stderr(), standsBy); n != 1 {
			t.Errorf("it says %d times that it waits", n)
		}
		first.Kill(t)
		began := time.Now()
		awaitLog(t, second, holds)
		tr.awaitConfirmed(t, time.Minute)
		took := time.Since(began)
		t.Logf("what was committed at the death is confirmed after %s", took.Round(time.Millisecond))
		best = min(best, took)
		first = second
	}
	stop()
	tr.awaitConfirmed(t, time.Minute)
	if r := first.Stop(t, 10*time.Second); r.Code != 0 {
		t.Errorf("SIGTERM: exit code %d", r.Code)
	}
	if best > 2*time.Second {
		t.Errorf("the quickest of five takeovers took %s", best)
	}
	tr.judge(t)
}

// TestZombie: a holder that hangs under load is ended by the standby. When it goes on later it makes nothing twice and
// ends with an error that says why, without pushing its successor aside: wherever it was stopped.
func TestZombie(t *testing.T) {
	t.Parallel()
	t.Run("under load", func(t *testing.T) { t.Parallel(); zombie(t, true) })
	t.Run("in its start", func(t *testing.T) { t.Parallel(); zombie(t, false) })
}

func zombie(t *testing.T, started bool) {
	tr := newTrail(t, 18)
	tr.withWorkload(t)
	first := tr.run(t)
	awaitLog(t, first, holds)
	if !started {
		first.Signal(t, syscall.SIGSTOP)
	}
	second := tr.run(t, "--wait", "--takeover-after", "15s")
	awaitLog(t, second, standsBy)
	stop := tr.load(t, 4)
	if started {
		tr.awaitConfirmed(t, time.Minute)
	}
	first.Signal(t, syscall.SIGSTOP)
	began := time.Now()
	awaitLog(t, second, holds)
	t.Logf("took over after %s", time.Since(began).Round(time.Millisecond))
	if took := time.Since(began); took < 14*time.Second || !strings.Contains(second.Stderr(), "ended the slot's holder") {
		t.Errorf("after %s", took)
	}
	tr.awaitConfirmed(t, time.Minute)
	first.Signal(t, syscall.SIGCONT)
	r := first.Wait(t, 30*time.Second)
	t.Logf("the zombie: %s", r.Stderr[max(0, len(r.Stderr)-400):])
	last := lastLine(r.Stderr)
	if r.Code != 1 || !strings.HasPrefix(last, "pgwitness: ") || started && !strings.Contains(last, "took over") {
		t.Errorf("the zombie ended with %d: %s", r.Code, last)
	}
	stop()
	tr.awaitConfirmed(t, time.Minute)
	if r := second.Stop(t, 10*time.Second); r.Code != 0 {
		t.Errorf("SIGTERM: exit code %d", r.Code)
	}
	tr.judge(t)
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// TestLivingHolderIsLeftAlone: neither an idle holder nor one whose Kafka is away is taken for dead, and a standby ends
// by SIGTERM as any run does.
func TestLivingHolderIsLeftAlone(t *testing.T) {
	t.Parallel()
	kafka := servers.StartKafka(t, 1)
	tr := newTrailOn(t, servers.SharedPostgres(t, 14), kafka)
	tr.Exec(t, "create table t (id int primary key, body text)")
	tr.setup(t, "public.*")
	first := tr.run(t)
	awaitLog(t, first, holds)
	tr.awaitConfirmed(t, time.Minute)
	second := tr.run(t, "--wait", "--takeover-after", "15s")
	awaitLog(t, second, standsBy)
	time.Sleep(20 * time.Second)
	kafka.Brokers[0].Stop(t)
	tr.Exec(t, "insert into t select n, repeat(md5(n::text), 100) from generate_series(1, 20000) n") // 64 MB, above the buffer
	time.Sleep(20 * time.Second)
	if strings.Contains(second.Stderr(), holds) || !first.Running() {
		t.Fatalf("taken over:\n%s", second.Stderr())
	}
	kafka.Brokers[0].Start(t)
	tr.awaitConfirmed(t, time.Minute)
	if r := second.Stop(t, 5*time.Second); r.Code != 0 {
		t.Errorf("the standby ended with %d\n%s", r.Code, r.Stderr)
	}
	if r := first.Stop(t, 10*time.Second); r.Code != 0 {
		t.Errorf("the first ended with %d\n%s", r.Code, r.Stderr)
	}
	if n := len(tr.records(t)); n != 20000 {
		t.Errorf("%d records", n)
	}
}

// TestStandbyIsPatient: neither a restart of the server nor brokers that are away end a standby. A server that is shut
// down in the smart way does not wait for it.
func TestStandbyIsPatient(t *testing.T) {
	t.Parallel()
	postgres, kafka := servers.StartPostgres(t, 18), servers.StartKafka(t, 1)
	tr := newTrailOn(t, postgres, kafka)
	tr.Exec(t, "create table t (id int primary key)")
	tr.setup(t, "public.*")
	first := tr.run(t)
	awaitLog(t, first, holds)
	second := tr.run(t, "--wait")
	awaitLog(t, second, standsBy)

	postgres.Stop(t, servers.StopMode(syscall.SIGTERM)) // smart: waits for ordinary sessions to end
	first.Kill(t)
	kafka.Brokers[0].Stop(t)
	awaitLog(t, second, "the server is not there")
	time.Sleep(3 * time.Second)
	postgres.Start(t)
	awaitLog(t, second, holds)
	tr.Exec(t, "insert into t values (1)")
	time.Sleep(15 * time.Second) // more than the time for a first contact
	kafka.Brokers[0].Start(t)
	tr.awaitConfirmed(t, time.Minute)
	if r := second.Stop(t, 10*time.Second); r.Code != 0 {
		t.Errorf("SIGTERM: exit code %d", r.Code)
	}
	tr.expect(t, "after all", []string{`insert public.t - -> {"id":1}`})
}

// TestTakeoverNeedsToSee: without the right to see whether the holder lives, the operator is told at once.
func TestTakeoverNeedsToSee(t *testing.T) {
	t.Parallel()
	tr := newTrail(t, 15)
	tr.Exec(t, "create table t (id int primary key)")
	tr.setup(t, "public.*")
	first := tr.run(t)
	awaitLog(t, first, holds)
	role := tr.URLAs(tr.slot, rolePassword)
	expectEnd(t, tr.command(t, role, "check"), 0, "ok      takeover: ", "if it is of the same role")
	expectEnd(t, tr.command(t, tr.URL(), "check"), 0, "ok      takeover: ", "whatever its role")
	tr.Exec(t, "revoke pg_read_all_stats from "+tr.slot)
	expectEnd(t, tr.command(t, role, "check"), 0, "note    takeover: ", "cannot see")
	r := tr.run(t, "--wait", "--takeover-after", "15s").Wait(t, time.Minute)
	if last := lastLine(r.Stderr); r.Code != 1 || !strings.Contains(last, "GRANT pg_read_all_stats TO") {
		t.Errorf("%d: %s", r.Code, last)
	}
	if r := first.Stop(t, 10*time.Second); r.Code != 0 {
		t.Errorf("the first ended with %d", r.Code)
	}
}
