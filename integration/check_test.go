//go:build integration

package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"pgwitness/integration/product"
	"pgwitness/integration/servers"
)

// A finding is an object of check --json.
type finding struct{ Name, Subject, State, Message, Mend string }

// findings runs check --json.
func findings(t *testing.T, environment []string) []finding {
	t.Helper()
	r := product.Run(t, time.Minute, environment, "check", "--json")
	var all []finding
	if err := json.Unmarshal([]byte(r.Stdout), &all); err != nil {
		t.Fatalf("%v: exit code %d\n%s%s", err, r.Code, r.Stdout, r.Stderr)
	}
	wrong := false
	for _, f := range all {
		wrong = wrong || f.State == "wrong"
		if (f.State == "wrong" || f.State == "warning") && f.Mend == "" {
			t.Errorf("nothing mends %+v", f)
		}
	}
	if wrong != (r.Code == 1) || !wrong && r.Code != 0 {
		t.Errorf("exit code %d\n%s", r.Code, r.Stdout)
	}
	return all
}

// expectFinding looks for one and returns it.
func expectFinding(t *testing.T, all []finding, name, state, says string) finding {
	t.Helper()
	for _, f := range all {
		if f.Name == name && f.State == state && strings.Contains(f.Message, says) {
			return f
		}
	}
	var have []string
	for _, f := range all {
		if f.Name == name {
			have = append(have, fmt.Sprintf("%+v", f))
		}
	}
	t.Errorf("no %s %s that says %q, but %s", name, state, says, strings.Join(have, "\n"))
	return finding{}
}

// TestCheckFindings: what is wrong with a source is found under its name, and the command that is printed mends it.
func TestCheckFindings(t *testing.T) {
	for _, version := range []int{14, 18} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			t.Parallel()
			tr := newTrail(t, version)
			tr.Exec(t, "create table a (id int primary key, v text)", "create table b (id int)", "create unlogged table scratch (id int)")
			tr.setup(t, "public.a,public.b")
			all := findings(t, tr.environment())
			for _, name := range []string{"server-clock", "role", "role-sees-sessions", "role-excess", "slots", "walsenders", "slot-log", "old-transactions",
				"publication-verbs", "publication-root", "publication-scope", "row-filters", "column-lists", "replica-identity", "unpublished-tables",
				"foreign-tables", "large-objects", "rewrites", "event-triggers", "own-schema", "logical-messages", "set-actor", "broker-requests",
				"broker-settings", "transactional-id", "topic-creation"} {
				expectFinding(t, all, name, "ok", "")
			}
			expectFinding(t, all, "unlogged-tables", "note", "public.scratch")

			admin := tr.Connect(t)
			mustExec(t, admin, "alter table b replica identity nothing", "create table c (id int)", "grant select on a to "+tr.slot, "select lo_create(0)",
				"alter role "+tr.slot+" createdb", "grant execute on function pg_logical_emit_message(boolean, text, text"+map[bool]string{true: ", boolean"}[version >= 17]+") to "+tr.slot)
			rewriting := tr.Connect(t)
			mustExec(t, rewriting, "begin", "alter table a add column w int default 1")
			all = findings(t, tr.environment())
			expectFinding(t, all, "unpublished-tables", "note", "public.c")
			expectFinding(t, all, "large-objects", "note", "1 are in use")
			if f := expectFinding(t, all, "rewrites", "note", "public.a is held"); f.Subject != "public.a" {
				t.Errorf("subject %q", f.Subject)
			}
			mustExec(t, rewriting, "rollback")
			expectFinding(t, all, "role-excess", "warning", "CREATEDB")
			expectFinding(t, all, "role-excess", "warning", "may read tables: public.a")
			expectFinding(t, all, "logical-messages", "warning", tr.slot)
			expectFinding(t, all, "replica-identity", "wrong", "public.b has none")
			for _, f := range all {
				if f.Name == "role-excess" || f.Name == "logical-messages" && f.State == "warning" || f.State == "wrong" {
					mend, _, _ := strings.Cut(f.Mend, "  --")
					mustExec(t, admin, mend)
				}
			}
			all = findings(t, tr.environment())
			for _, name := range []string{"role-excess", "logical-messages", "replica-identity", "rewrites"} {
				expectFinding(t, all, name, "ok", "")
			}
			expectFinding(t, findings(t, append(tr.names(), "PGWITNESS_SOURCE_URL="+tr.URL())), "role-excess", "warning", "is a superuser")
		})
	}
}

// TestListedRights: setup and teardown run as the owner of a database, the rest as the role of the run, with exactly the
// rights that docs/security.md lists, and both twice.
func TestListedRights(t *testing.T) {
	for _, version := range []int{14, 18} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			server, owner := servers.SharedPostgres(t, version), servers.Unique("o")
			t.Cleanup(func() { dropRole(t, server, owner) }) // after the database that it owns is gone
			tr := newTrailOn(t, server, servers.SharedKafka(t))
			page, err := os.ReadFile("../docs/security.md")
			if err != nil {
				t.Fatal(err)
			}
			_, listed, _ := strings.Cut(string(page), "```sql\n")
			listed, _, _ = strings.Cut(listed, "```")
			for line := range strings.Lines(listed) {
				byRole := strings.Contains(line, "role pgwitness") || strings.Contains(line, "grant pgwitness")
				if version >= 16 && byRole {
					continue
				}
				line = strings.NewReplacer("shop_owner", owner, "pgwitness", tr.slot, "shop", tr.Name).Replace(line)
				tr.Exec(t, strings.TrimSpace(line))
			}
			tr.Exec(t, "alter role "+owner+" password '"+rolePassword+"'", "create table t (id int primary key)", "alter table t owner to "+owner,
				"create table p (id int) partition by range (id)", "create table p1 partition of p for values from (0) to (9)", "alter table p owner to "+owner, "alter table p1 owner to "+owner)
			mine := func(code int, says string, args ...string) {
				t.Helper()
				expectEnd(t, tr.command(t, tr.URLAs(owner, rolePassword), append(args, "--role", tr.slot, "--apply")...), code, says)
			}
			mine(0, "setup is complete and verified but for what is above", "setup", "--all-tables")
			mine(0, "setup is complete and verified but for what is above", "setup", "--all-tables")
			tr.Exec(t, "alter role "+tr.slot+" password '"+rolePassword+"'", "insert into t values (1)", "insert into p values (1)", "update p set id = 2", "delete from t")
			tr.catchUp(t, time.Minute)
			if n := len(tr.records(t)); n != 4 {
				t.Errorf("%d records", n)
			}
			all := findings(t, tr.environment())
			for _, name := range []string{"role", "role-sees-sessions", "role-excess", "replication", "slot", "replica-identity"} {
				expectFinding(t, all, name, "ok", "")
			}
			expectEnd(t, tr.command(t, tr.URLAs(tr.slot, rolePassword), "status"), 0, "nobody reads it")
			mine(0, "teardown is complete and verified", "teardown", "--drop-role", "--reset-identity")
			mine(0, "nothing to do", "teardown", "--drop-role", "--reset-identity")
			if got := tr.Text(t, `select concat_ws(' ', (select count(*) from pg_roles where rolname = $1), (select count(*) from pg_publication),
				(select count(*) from pg_replication_slots where database = current_database()), (select count(*) from pg_class where relreplident = 'f'),
				(select count(*) from pg_namespace where nspname = 'pgwitness'))`, tr.slot); got != "0 0 0 0 0" {
				t.Errorf("teardown left %s", got)
			}
		})
	}
}

// TestCheckRights: rights that are missing at the brokers are found by trying, without disturbing a run, and the
// command that is printed gives them.
func TestCheckRights(t *testing.T) {
	t.Parallel()
	s := newSecured(t)
	environment := s.through(t, "scram-sha-512", "scram-secret")
	all := findings(t, environment)
	expectFinding(t, all, "topic-creation", "ok", "the brokers would create what is missing (3)")
	expectFinding(t, all, "transactional-id", "ok", "")
	expectFinding(t, all, "broker-settings", "ok", "")
	run := product.Start(t, environment, "run")
	s.insert(t, 1, 1)
	s.awaitConfirmedBy(t, run.Running, time.Minute)
	all = findings(t, environment)
	for _, name := range []string{"topic-read", "topic-write", "topic-alter", "topic-cleanup", "topic-retention", "topic-copies", "topic-election",
		"topic-record-size", "topic-timestamps", "topic-partitions"} {
		expectFinding(t, all, name, "ok", "")
	}
	s.insert(t, 2, 2) // the run is not fenced
	s.awaitConfirmedBy(t, run.Running, time.Minute)
	expectEnd(t, run.Stop(t, 10*time.Second), 0)

	remove := []string{"--remove", "--force", "--allow-principal", "User:pgwitness"}
	topics := []string{"--operation", "Read", "--operation", "Write", "--operation", "DescribeConfigs", "--topic", s.prefix + ".", "--resource-pattern-type", "prefixed"}
	id := []string{"--operation", "Write", "--transactional-id", "pgwitness." + s.prefix, "--resource-pattern-type", "prefixed"}
	s.kafka.ACLs(t, append(remove, topics...)...)
	for name, denied := range map[string]finding{
		"topic-write": {}, "topic-read": {}, "topics": {},
	} {
		denied = expectFinding(t, findings(t, environment), name, "wrong", "")
		_, arguments, _ := strings.Cut(denied.Mend, "--add ")
		s.kafka.ACLs(t, append([]string{"--add"}, strings.Fields(arguments)...)...)
	}
	s.kafka.ACLs(t, append(remove, id...)...)
	denied := expectFinding(t, findings(t, environment), "transactional-id", "wrong", "pgwitness."+s.prefix+" may not be used")
	_, arguments, _ := strings.Cut(denied.Mend, "--add ")
	s.kafka.ACLs(t, append([]string{"--add"}, strings.Fields(arguments)...)...)
	all = findings(t, environment)
	for _, name := range []string{"topic-read", "topic-write", "topics", "transactional-id"} {
		expectFinding(t, all, name, "ok", "")
	}
	s.insert(t, 3, 3)
	s.carries(t, "after all", environment)
	s.expectOnce(t, inserts(1, 2, 3))
}

// TestAllow: what weakens the trail is refused before anything is made, unless it is allowed.
func TestAllow(t *testing.T) {
	t.Parallel()
	tr := newTrailOn(t, servers.SharedPostgres(t, 18), servers.StartKafka(t, 3))
	tr.Exec(t, "create table t (id int primary key)")
	tr.setup(t, "public.*")
	tr.Exec(t, "insert into t values (1)")
	weak := append(tr.environment(), "PGWITNESS_TOPICS_REPLICATION=1")
	until := []string{"run", "--until", tr.position(t).String()}
	expectEnd(t, product.Run(t, time.Minute, weak, until...), 2, "PGWITNESS_TOPICS_REPLICATION: topics.replication: \"1\": there are 3 brokers", "allow: [fewer-copies]")
	expectFinding(t, findings(t, weak), "replication-factor", "wrong", "1 copies are wanted, and there are 3 brokers")
	expectFinding(t, findings(t, weak), "topics", "ok", "0 of 3 exist")
	expectEnd(t, product.Run(t, time.Minute, append(tr.environment(), "PGWITNESS_TOPICS_RETENTION=1h"), until...), 2, "the trail would expire")

	allowed := append(weak, "PGWITNESS_TOPICS_RETENTION=1h", "PGWITNESS_ALLOW=fewer-copies,short-retention")
	expectEnd(t, product.Run(t, time.Minute, allowed, until...), 0)
	all := findings(t, allowed)
	expectFinding(t, all, "allowed", "note", "fewer-copies, short-retention")
	expectFinding(t, all, "topic-retention", "ok", "")
	expectFinding(t, findings(t, tr.environment()), "topic-retention", "warning", "retention.ms is 3600000, topics.retention says -1")
}

// TestFewerOperations: a publication leaves operations out only where that is allowed, and then setup leaves it so.
func TestFewerOperations(t *testing.T) {
	t.Parallel()
	tr := newTrail(t, 18)
	tr.Exec(t, "create table t (id int primary key)")
	setup := func(environment []string, args ...string) product.Result {
		return product.Run(t, time.Minute, environment, append([]string{"setup", "--source", tr.URL(), "--tables", "public.*", "--role", tr.slot, "--apply"}, args...)...)
	}
	allowed := append(tr.names(), "PGWITNESS_ALLOW=fewer-operations")
	expectEnd(t, setup(tr.names(), "--operations", "delete,insert"), 2, "allow: [fewer-operations]")
	expectEnd(t, setup(allowed, "--operations", "delete,insert"), 0)
	tr.Exec(t, "alter role "+tr.slot+" password '"+rolePassword+"'", "insert into t values (1)", "update t set id = 2", "delete from t")
	tr.catchUp(t, time.Minute)
	if n := len(tr.records(t)); n != 2 {
		t.Errorf("%d records, want those of the insert and the delete", n)
	}
	expectEnd(t, setup(allowed), 0, "leaves verbs out, as is allowed: it publishes insert, delete")
	expectEnd(t, setup(tr.names()), 1, "leaves verbs out: it publishes insert, delete")
	expectFinding(t, findings(t, tr.environment()), "publication-verbs", "wrong", "it publishes insert, delete")
	expectFinding(t, findings(t, append(tr.environment(), "PGWITNESS_ALLOW=fewer-operations")), "publication-verbs", "note", "it publishes insert, delete")
}
