//go:build integration

package integration

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgwitness/integration/servers"
)

const isAway = "the server, or the way to it, is gone"

// after is the rest of the line that has a text.
func after(all, text string) string {
	_, rest, _ := strings.Cut(all, text)
	line, _, _ := strings.Cut(rest, "\n")
	return line
}

// TestServerComesBack: whatever ends the sessions of a run, the run goes on when the server is there again, and has
// everything once.
func TestServerComesBack(t *testing.T) {
	t.Parallel()
	for _, version := range []int{14, 18} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			t.Parallel()
			tr := proxied(t, newTrailOn(t, servers.StartPostgres(t, version), servers.SharedKafka(t)))
			tr.Exec(t, "create table t (id int primary key)", "create table other (id int primary key)")
			tr.setup(t, "public.*")
			run := tr.run(t, "--listen", "127.0.0.1:0")
			tr.insert(t, 1, 3)
			tr.awaitConfirmed(t, time.Minute)
			n := 3
			for _, end := range []struct {
				name string
				do   func()
			}{
				{"a fast restart", func() { tr.Server.Restart(t, servers.Fast) }},
				{"an immediate restart", func() { tr.Server.Restart(t, servers.Immediate) }},
				{"kill -9 of the server", func() { tr.Server.Kill(t); time.Sleep(3 * time.Second); tr.Server.Start(t) }},
				{"a backend that crashes", func() { tr.crashBackend(t); tr.Server.Await(t) }},
				{"its walsender ended", func() {
					tr.Exec(t, "select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = '"+tr.slot+"'")
				}},
				{"a cut", func() { tr.source.Cut() }},
			} {
				t.Log(end.name)
				tr.insert(t, n+1, n+1)
				end.do()
				tr.insert(t, n+2, n+2)
				n += 2
				tr.awaitConfirmedBy(t, run.Running, time.Minute)
			}
			var all []int
			for i := range n {
				all = append(all, i+1)
			}
			tr.expectOnce(t, inserts(all...))
			if sessions := metricsOf(t, run)["sessions_total"]; sessions < 7 {
				t.Errorf("%v sessions", sessions)
			}
			if r := run.Stop(t, 10*time.Second); r.Code != 0 {
				t.Errorf("SIGTERM: exit code %d\n%s", r.Code, r.Stderr)
			}
		})
	}
}

// crashBackend kills a server process, after which the postmaster ends all others and recovers.
func (tr *trail) crashBackend(t *testing.T) {
	t.Helper()
	var pid int
	if _, err := fmt.Sscan(tr.Text(t, "select pid from pg_stat_activity where backend_type = 'walwriter'"), &pid); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond)
}

// TestOwnFormerSession: a server that has not heard of a session's end still holds the slot for it. The next session of
// the same run ends it, long before wal_sender_timeout does.
func TestOwnFormerSession(t *testing.T) {
	t.Parallel()
	tr := proxied(t, newTrailOn(t, servers.StartPostgres(t, 18, "wal_sender_timeout=10min"), servers.SharedKafka(t)))
	tr.Exec(t, "create table t (id int primary key)")
	tr.setup(t, "public.*")
	run := tr.run(t)
	tr.insert(t, 1, 1)
	tr.awaitConfirmed(t, time.Minute)
	tr.source.Orphan() // our side is closed, the server's is not
	tr.insert(t, 2, 2)
	start := time.Now()
	tr.awaitConfirmedBy(t, run.Running, time.Minute)
	t.Logf("mended after %s", time.Since(start).Round(time.Millisecond))
	if !strings.Contains(run.Stderr(), "our own former session") {
		t.Errorf("it says:\n%s", run.Stderr())
	}
	tr.expectOnce(t, inserts(1, 2))
}

// TestServerNeverThere: an address where there is no server ends the first start at once, and with --wait is waited for.
// What only a person can mend ends a run at any time.
func TestServerNeverThere(t *testing.T) {
	t.Parallel()
	postgres := servers.StartPostgres(t, 18)
	tr := newTrailOn(t, postgres, servers.SharedKafka(t))
	tr.Exec(t, "create table t (id int primary key)")
	tr.setup(t, "public.*")
	postgres.Stop(t, servers.Fast)
	if r := tr.run(t).Wait(t, time.Minute); r.Code != 1 || !strings.Contains(lastLine(r.Stderr), "is the server running") {
		t.Errorf("exit code %d\n%s", r.Code, r.Stderr)
	}
	patient := tr.run(t, "--wait")
	awaitLog(t, patient, isAway)
	if r := patient.Stop(t, 10*time.Second); r.Code != 0 {
		t.Errorf("SIGTERM: exit code %d\n%s", r.Code, r.Stderr)
	}
	patient = tr.run(t, "--wait")
	awaitLog(t, patient, isAway)
	postgres.Start(t)
	tr.insert(t, 1, 1)
	tr.awaitConfirmedBy(t, patient.Running, time.Minute)

	tr.Exec(t, fmt.Sprintf("alter role %s password 'another'", tr.slot))
	postgres.Restart(t, servers.Fast)
	if r := patient.Wait(t, time.Minute); r.Code != 1 || !strings.Contains(lastLine(r.Stderr), "PGPASSWORD") {
		t.Errorf("exit code %d\n%s", r.Code, r.Stderr)
	}
	tr.expectOnce(t, inserts(1))
}

// TestHoldServerComesBack: a server that restarts, and a way to it that breaks or falls silent, cost no name: the witness
// is back with the run, and who waits goes on waiting.
func TestHoldServerComesBack(t *testing.T) {
	t.Parallel()
	for _, version := range []int{14, 18} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			t.Parallel()
			tr := proxied(t, newTrailOn(t, servers.StartPostgres(t, version, "wal_sender_timeout=10min"), servers.SharedKafka(t)))
			tr.Exec(t, logins()...)
			tr.settings = append(tr.settings, "PGWITNESS_HOLD_MAX_WAIT=0")
			tr.setup(t, "public.*", "--hold")
			run := tr.run(t, "--hold")
			tr.hold(t)
			work := func(name string) {
				t.Log(name)
				crowd{clients: 4, time: time.Second, seed: uint64(time.Now().UnixNano())}.work(t, tr.trail)
				tr.awaitConfirmedBy(t, run.Running, time.Minute)
			}
			work("at first")
			tr.Server.Restart(t, servers.Fast)
			work("a fast restart")
			tr.crashBackend(t)
			tr.Server.Await(t)
			work("a backend that crashed")
			tr.source.Cut()
			work("a cut")
			tr.source.Orphan()
			work("sessions that the server takes for alive")
			tr.end(t, run)
			if named, reasons := tr.judgeWho(t); named == 0 || len(reasons) > 0 {
				t.Errorf("%d are attributed, %v not", named, reasons)
			}
		})
	}
}
