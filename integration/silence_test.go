//go:build integration

package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgwitness/integration/servers"
)

// TestNoRowInLogs: whatever goes well or wrong, no value of a row, of a key, of a message or of a context stands in what
// pgwitness prints, at any level.
func TestNoRowInLogs(t *testing.T) {
	t.Parallel()
	const planted = "planted7f3a91"
	kafka := servers.StartKafka(t, 1)
	tr := newTrailOn(t, servers.StartPostgres(t, 18), kafka)
	tr.Exec(t, "create domain word as text", "create type pair as (a int, b text)",
		"create table t (id text primary key, v word, j jsonb, b bytea, p pair)", "create table wide (id text primary key, v text)")
	tr.setup(t, "public.*")
	run := tr.run(t, "--log-level", "trace")
	work := func(n int) {
		t.Helper()
		key := fmt.Sprintf("%s-%d", planted, n)
		tr.Exec(t,
			fmt.Sprintf(`insert into t values ('%s', '%[1]s', '{"%[1]s": "%[1]s"}', '%[1]s', (1, '%[1]s'))`, key),
			fmt.Sprintf("update t set v = v || '%s', id = id || 'x' where id = '%s'", planted, key),
			fmt.Sprintf("select pg_logical_emit_message(true, 'application', '%s'), pg_logical_emit_message(false, 'pgwitness', '%[1]s')", planted),
			fmt.Sprintf(`begin; select pgwitness.set_actor('{"user_id": "%s"}'); delete from t where id = '%s'; commit`, planted, key+"x"))
	}
	work(1)
	tr.awaitConfirmed(t, time.Minute)
	tr.Exec(t, "alter table t add column late text default '"+planted+"'", "insert into wide values ('"+planted+"', repeat('"+planted+"', 1000000))")
	kafka.Brokers[0].Kill(t)
	work(2)
	time.Sleep(3 * time.Second)
	kafka.Brokers[0].Start(t)
	tr.Server.Restart(t, servers.Immediate)
	work(3)
	tr.awaitConfirmedBy(t, run.Running, time.Minute)
	tr.Exec(t, "truncate t", "drop table t", "insert into wide values ('"+planted+"2', repeat('"+planted+"', 1000000))")
	tr.awaitConfirmedBy(t, run.Running, time.Minute)
	said := run.Stop(t, 10*time.Second)

	tr.Exec(t, "insert into wide values ('"+planted+"3', repeat('"+planted+"', 1000000))")
	tr.settings = append(tr.settings, "PGWITNESS_TOPICS_OVERSIZE=stop")
	stopped := tr.run(t, "--log-level", "trace").Wait(t, time.Minute)
	if stopped.Code != 1 {
		t.Errorf("a record that is too large: exit code %d", stopped.Code)
	}
	for _, r := range []string{said.Stderr, stopped.Stderr, tr.command(t, tr.URL(), "check").Stdout, tr.command(t, tr.URL(), "status").Stdout} {
		for line := range strings.Lines(r) {
			if strings.Contains(line, planted) {
				t.Errorf("it says: %s", line)
			}
		}
	}
	found := 0
	for _, r := range tr.records(t) {
		if strings.Contains(string(r.After)+string(r.Before), planted) {
			found++
		}
	}
	if found < 6 {
		t.Errorf("%d records hold what was planted", found)
	}
}
