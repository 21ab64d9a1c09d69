//go:build integration

package integration

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"pgwitness/integration/product"
	"pgwitness/integration/servers"
)

// TestBadInput: what an operator gets wrong is one clear line and an exit code, nothing is written and the slot stays
// where it is.
func TestBadInput(t *testing.T) {
	tr := newTrail(t, 18)
	tr.Exec(t, "create table t (id int primary key)")
	tr.setup(t, "public.*")
	tr.Exec(t, "insert into t values (1)") // what must not be delivered by any of them
	slotState := func() string {
		return tr.Text(t, `select row(active, restart_lsn, confirmed_flush_lsn, catalog_xmin) from pg_replication_slots
			where slot_name = $1`, tr.slot)
	}
	before := slotState()

	powerless := servers.Unique("r")
	tr.Exec(t, "create role "+powerless+" login password '"+rolePassword+"'")
	t.Cleanup(func() { dropRole(t, tr.Server, powerless) })
	file := filepath.Join(t.TempDir(), "pgwitness.yaml")
	if err := os.WriteFile(file, []byte("source:\n  slot: "+tr.slot+"\nkafka:\n  borkers: [a]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name string
		set  []string // environment
		args []string
		code int
		says []string // regular expressions
	}{
		{"unreachable server", []string{"PGWITNESS_SOURCE_URL=postgres://u:p@127.0.0.1:1/d"}, nil, 1, []string{`127\.0\.0\.1`, `refused`}},
		{"wrong password", []string{"PGWITNESS_SOURCE_URL=" + tr.URLAs(tr.slot, "secret-wrong")}, nil, 1, []string{`password`, tr.slot}},
		{"missing database", []string{"PGWITNESS_SOURCE_URL=" + tr.Server.URLAs(tr.slot, rolePassword, "absent")}, nil, 1, []string{`"absent"`}},
		{"missing slot", nil, []string{"--slot", "absent"}, 1, []string{`slot "?absent`, `setup`}},
		{"missing publication", nil, []string{"--publication", "absent"}, 1, []string{`publication "?absent`, `setup`}},
		{"not enough privilege", []string{"PGWITNESS_SOURCE_URL=" + tr.URLAs(powerless, rolePassword)}, nil, 1, []string{powerless, `(?i)replication`}},
		{"unreachable broker", nil, []string{"--brokers", "127.0.0.1:1"}, 1, []string{`127\.0\.0\.1:1`}},
		{"topic that cannot be created", []string{"PGWITNESS_TOPICS_REPLICATION=3"}, nil, 1, []string{tr.prefix, `(?i)replication`}},
		{"unknown key in the file", nil, []string{"--config", file}, 2, []string{regexp.QuoteMeta(file) + `:4`, `borkers`}},
		{"unknown flag", nil, []string{"--borkers", "a"}, 2, []string{`borkers`}},
		{"no position", nil, []string{"--until", "yesterday"}, 2, []string{`yesterday`}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			args := append([]string{"run", "--log-level", "error"}, c.args...)
			r := product.Run(t, time.Minute, append(tr.environment(), c.set...), args...)
			expectLine(t, r, c.code, c.says)
			if after := slotState(); after != before {
				t.Errorf("the slot was %s and is %s", before, after)
			}
			if names, err := tr.reader.List(t.Context(), tr.prefix); err != nil || len(names) > 0 {
				t.Errorf("topics %v, %v", names, err)
			}
		})
	}
}

// expectLine expects an end with one line on stderr and none on stdout, free of the secrets.
func expectLine(t *testing.T, r product.Result, code int, says []string) {
	t.Helper()
	t.Logf("%d: %s", r.Code, r.Stderr)
	if r.Code != code {
		t.Errorf("exit code %d, want %d", r.Code, code)
	}
	if lines := strings.Split(strings.TrimSuffix(r.Stderr, "\n"), "\n"); len(lines) != 1 || r.Stdout != "" {
		t.Errorf("not one line: %q %q", r.Stdout, r.Stderr)
	}
	for _, pattern := range says {
		if !regexp.MustCompile(pattern).MatchString(r.Stderr) {
			t.Errorf("does not say %s", pattern)
		}
	}
	if strings.Contains(r.Stderr, "secret") {
		t.Error("shows a secret")
	}
}

// TestSlotInUse: the second one says who holds the slot, and the first is not disturbed.
func TestSlotInUse(t *testing.T) {
	tr := newTrail(t, 18)
	tr.Exec(t, "create table t (id int primary key)")
	tr.setup(t, "public.*")
	first := tr.run(t)
	tr.Exec(t, "insert into t values (0)")
	tr.awaitConfirmed(t, 30*time.Second)
	pid := tr.Text(t, "select active_pid from pg_replication_slots where slot_name = $1", tr.slot)
	application := tr.Text(t, "select application_name from pg_stat_activity where pid = "+pid)

	expectLine(t, tr.run(t, "--log-level", "error").Wait(t, time.Minute), 1, []string{tr.slot, pid, application})
	tr.Exec(t, "insert into t values (1)")
	tr.awaitConfirmed(t, 30*time.Second)
	if r := first.Stop(t, 5*time.Second); r.Code != 0 {
		t.Errorf("the first ended with %d\n%s", r.Code, r.Stderr)
	}
	tr.expect(t, "after all", []string{`insert public.t - -> {"id":0}`, `insert public.t - -> {"id":1}`})
}

// TestServerWithoutLogicalDecoding needs a server of its own: the level cannot be changed without a restart.
func TestServerWithoutLogicalDecoding(t *testing.T) {
	tr := newTrailOn(t, servers.StartPostgres(t, 18, "wal_level=replica"), servers.SharedKafka(t))
	for _, args := range [][]string{{"run"}, {"setup", "--apply", "--all-tables"}} {
		r := product.Run(t, time.Minute, append(tr.names(), "PGWITNESS_SOURCE_URL="+tr.URL()), append(args, "--log-level", "error")...)
		if r.Code != 1 || !strings.Contains(r.Stderr, "wal_level") || !strings.Contains(r.Stderr, "logical") {
			t.Errorf("%s: %d: %s", args[0], r.Code, r.Stderr)
		}
	}
}
