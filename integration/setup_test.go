//go:build integration

package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"pgwitness/integration/product"
	"pgwitness/integration/servers"
)

// nastyTables are names that try to break out of their quotes, and one of each kind that setup has to tell apart.
var nastyTables = []string{
	`create schema "My ""Schema"""`,
	`create table "My ""Schema"""."x""; drop table users; --" (id int, v text)`,
	`create table "My ""Schema"""."line` + "\n" + `feed \ 'quote' 漢字" (id int)`,
	`create table users (id int primary key, v text)`,
	`create table parts (id int, v text) partition by range (id)`,
	`create table parts_1 partition of parts for values from (0) to (100) partition by range (id)`,
	`create table parts_1_1 partition of parts_1 for values from (0) to (50)`,
	`create unlogged table scratch (id int)`,
}

// command runs pgwitness with this trail's names as a user of the server.
func (tr *trail) command(t *testing.T, url string, args ...string) product.Result {
	t.Helper()
	return product.Run(t, time.Minute, append(tr.names(), "PGWITNESS_SOURCE_URL="+url), args...)
}

func expectEnd(t *testing.T, r product.Result, code int, says ...string) {
	t.Helper()
	if r.Code != code {
		t.Errorf("exit code %d, want %d\n%s%s", r.Code, code, r.Stdout, r.Stderr)
	}
	for _, s := range says {
		if !strings.Contains(r.Stdout+r.Stderr, s) {
			t.Errorf("does not say %q\n%s%s", s, r.Stdout, r.Stderr)
		}
	}
}

// runScript runs a script as psql would, but for its own commands, which begin with a backslash.
func runScript(t *testing.T, c *pgx.Conn, script string) {
	t.Helper()
	var statement strings.Builder
	body := false // of a function, between quotes
	for line := range strings.Lines(script) {
		if !body && (strings.HasPrefix(line, `\`) || strings.HasPrefix(line, "--")) {
			continue
		}
		if strings.Contains(line, "$pgwitness$") {
			body = !body
		}
		statement.WriteString(line)
		if !body && strings.HasSuffix(line, ";\n") {
			if _, err := c.Exec(t.Context(), statement.String()); err != nil {
				t.Fatalf("%v\nin %s", err, statement.String())
			}
			statement.Reset()
		}
	}
	if rest := strings.TrimSpace(statement.String()); rest != "" {
		t.Errorf("the script ends within a statement: %s", rest)
	}
}

// TestSetup: what setup prints is what --apply does; either needs to be done once; afterwards the application works as
// before, and teardown leaves nothing.
func TestSetup(t *testing.T) {
	for _, version := range []int{14, 15, 18} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			tr := newTrail(t, version)
			tr.Exec(t, nastyTables...)
			catalogue := func() string {
				return tr.Text(t, `select concat_ws(' ', (select count(*) from pg_roles where rolname = $1),
					(select count(*) from pg_publication), (select count(*) from pg_replication_slots where database = current_database()),
					(select count(*) from pg_class where relreplident = 'f'),
					(select count(*) from pg_publication_rel))`, tr.slot)
			}
			setup := []string{"setup", "--all-tables", "--role", tr.slot}
			teardown := []string{"teardown", "--role", tr.slot, "--drop-role", "--reset-identity"}

			printed := tr.command(t, tr.URL(), setup...)
			expectEnd(t, printed, 0, "create role", "left out: public.scratch: unlogged")
			if got := catalogue(); got != "0 0 0 0 0" {
				t.Fatalf("printing changed the source: %s", got)
			}
			if strings.ContainsFunc(printed.Stdout, func(r rune) bool { return r < ' ' && r != '\n' }) {
				t.Errorf("control characters in the script: %q", printed.Stdout)
			}
			runScript(t, tr.Connect(t), printed.Stdout)
			const made = "1 1 1 6 6"
			if got := catalogue(); got != made {
				t.Errorf("the script made %s, want %s", got, made)
			}
			powers := tr.Text(t, `select concat_ws(' ', rolcanlogin, rolreplication, rolsuper, rolcreaterole, rolcreatedb, rolbypassrls,
				pg_has_role(rolname, 'pg_read_all_stats', 'usage'), (select count(*) from pg_auth_members where member = r.oid),
				(select count(*) from pg_class where relnamespace::regnamespace::text !~ '^(pg_|information_schema)' and has_table_privilege(r.oid, oid, 'select')))
				from pg_roles r where rolname = $1`, tr.slot)
			if powers != "t t f f f f t 1 0" {
				t.Errorf("the role may %s", powers)
			}
			expectEnd(t, tr.command(t, tr.URL(), append(setup, "--apply")...), 0, "nothing to do")
			expectEnd(t, tr.command(t, tr.URL(), "setup", "--role", tr.slot), 0, "Nothing is left to do")

			tr.Exec(t, `insert into parts values (1, 'a')`, `update parts set v = 'b'`, `delete from parts`, `truncate users`,
				`insert into "My ""Schema"""."x""; drop table users; --" values (1, 'a')`,
				`update "My ""Schema"""."x""; drop table users; --" set v = 'b'`)

			expectEnd(t, tr.command(t, tr.URL(), teardown...), 0, "pg_drop_replication_slot")
			if got := catalogue(); got != made {
				t.Errorf("printing changed the source: %s", got)
			}
			expectEnd(t, tr.command(t, tr.URL(), append(teardown, "--apply")...), 0, "teardown is complete and verified")
			if got := catalogue(); got != "0 0 0 0 0" {
				t.Errorf("teardown left %s", got)
			}
			expectEnd(t, tr.command(t, tr.URL(), append(teardown, "--apply")...), 0, "nothing to do")

			expectEnd(t, tr.command(t, tr.URL(), append(setup, "--apply")...), 0, "setup is complete and verified")
			if got := catalogue(); got != made {
				t.Errorf("--apply made %s, want %s", got, made)
			}
		})
	}
}

// TestSetupWithoutSuperuser: what the role may do is done, the rest is named with who may do it, and a superuser can run
// just that.
func TestSetupWithoutSuperuser(t *testing.T) {
	for _, version := range []int{15, 18} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			server, owner := servers.SharedPostgres(t, version), servers.Unique("o")
			t.Cleanup(func() { dropRole(t, server, owner) }) // after the database that it owns is gone
			tr := newTrailOn(t, server, servers.SharedKafka(t))
			tr.Exec(t,
				"create role "+owner+" login createrole password '"+rolePassword+"'",
				"alter database "+tr.Name+" owner to "+owner,
				"create table foreign_to_me (id int)",
				"create schema mine authorization "+owner,
				"create table mine.t (id int)", "alter table mine.t owner to "+owner)
			setup := []string{"setup", "--tables", "*.*", "--role", tr.slot, "--apply"}

			r := tr.command(t, tr.URLAs(owner, rolePassword), setup...)
			expectEnd(t, r, 1, "done     publication of mine.t", "failed   role "+tr.slot, "skipped  membership",
				"failed   replica identity of public.foreign_to_me", "skipped  publication of public.foreign_to_me",
				"failed   slot "+tr.slot, "setup is not complete, 5 statements are left")
			_, left, _ := strings.Cut(r.Stdout, "-- What is left")
			tr.Exec(t, "select pgwitness.set_actor('u')") // it is there, and a superuser's after the script
			runScript(t, tr.Connect(t), "--"+left)
			if got := tr.Text(t, `select bool_and(rolsuper) from pg_roles where oid in
				(select proowner from pg_proc where pronamespace = 'pgwitness'::regnamespace union select nspowner from pg_namespace where nspname = 'pgwitness')`); got != "true" {
				t.Error("not all of schema pgwitness is a superuser's")
			}
			expectEnd(t, tr.command(t, tr.URLAs(owner, rolePassword), setup...), 0, "nothing to do")
		})
	}
}

// TestSetupGeneratedColumns: PostgreSQL 18 refuses updates of tables with generated columns under the wrong identity or
// publication. After setup none fails.
func TestSetupGeneratedColumns(t *testing.T) {
	tr := newTrail(t, 18)
	tr.Exec(t,
		"create table stored (id int, a int, g int generated always as (a * 2) stored)",
		"create table virtual (id int primary key, a int, g int generated always as (a * 2) virtual)",
		"create table keyless (a int, g int generated always as (a * 2) virtual)",
		"create table elsewhere (id int primary key, a int, g int generated always as (a * 2) stored)",
		"create publication other for table elsewhere")
	r := tr.command(t, tr.URL(), "setup", "--all-tables", "--role", tr.slot, "--apply")
	expectEnd(t, r, 0, "public.virtual has a virtual generated column", "left out: public.keyless", "left out: public.elsewhere")
	for _, table := range []string{"stored", "virtual", "elsewhere"} {
		tr.Exec(t, "insert into "+table+" (id, a) values (1, 1)", "update "+table+" set a = 2", "delete from "+table)
	}
	tr.Exec(t, "insert into keyless values (1)", "update keyless set a = 2", "delete from keyless")
	expectEnd(t, tr.command(t, tr.URL(), "setup", "--all-tables", "--role", tr.slot, "--apply"), 0, "nothing to do")
}

// TestSetupRefuses: an existing publication or slot that would make the trail incomplete is named with what mends it,
// and nothing is changed.
func TestSetupRefuses(t *testing.T) {
	tr := newTrail(t, 18)
	tr.Exec(t,
		"create table a (id int primary key, v text)", "create table b (id int primary key, v text)",
		"create publication "+tr.slot+" for table a where (id > 5), b (id) with (publish = 'insert', publish_via_partition_root)",
		"select pg_create_physical_replication_slot('"+tr.slot+"_p')")
	defer tr.Exec(t, "select pg_drop_replication_slot('"+tr.slot+"_p')")
	r := tr.command(t, tr.URL(), "setup", "--all-tables", "--role", tr.slot, "--slot", tr.slot+"_p", "--apply")
	expectEnd(t, r, 1, "leaves verbs out: it publishes insert", "publish_via_partition_root", "row filter on public.a",
		"column list on public.b", "is a physical one", "5 things have to be mended first; nothing was changed")
	if got := tr.Text(t, "select count(*) from pg_roles where rolname = $1", tr.slot); got != "0" {
		t.Error("a role was made")
	}
	r = tr.command(t, tr.URL(), "check", "--slot", tr.slot+"_p")
	expectEnd(t, r, 1, "leaves verbs out", "publish_via_partition_root", "row filter on public.a", "column list on public.b", "is a physical one")
	for line := range strings.Lines(r.Stdout) {
		if mend, ok := strings.CutPrefix(strings.TrimSpace(line), "mend: "); ok && strings.Contains(mend, "alter publication") {
			runScript(t, tr.Connect(t), strings.ReplaceAll(mend, "; ", ";\n")+"\n")
		}
	}
	expectEnd(t, tr.command(t, tr.URL(), "setup", "--all-tables", "--role", tr.slot, "--apply"), 0, "setup is complete and verified")
}

// TestNothingWaitsForAStandby: the server waits for a standby that is not there, and none of our sessions does.
func TestNothingWaitsForAStandby(t *testing.T) {
	t.Parallel()
	tr := newTrailOn(t, servers.StartPostgres(t, 18), servers.SharedKafka(t))
	tr.Exec(t, "create table t (id int primary key)", "alter system set synchronous_standby_names = 'absent'", "select pg_reload_conf()")
	local := "set synchronous_commit = local"
	tr.eventually(t, func() error {
		if got := tr.Text(t, "select current_setting('synchronous_standby_names')"); got != "absent" {
			return fmt.Errorf("synchronous_standby_names is %q", got)
		}
		return nil
	})
	tr.setup(t, "public.*")
	run := tr.run(t)
	tr.Exec(t, local, "insert into t values (1)")
	tr.awaitConfirmed(t, time.Minute)
	expectEnd(t, tr.command(t, tr.URLAs(tr.slot, rolePassword), "check"), 0)
	if r := run.Stop(t, 10*time.Second); r.Code != 0 {
		t.Errorf("exit code %d\n%s", r.Code, r.Stderr)
	}
	expectEnd(t, tr.command(t, tr.URL(), "teardown", "--role", tr.slot, "--reset-identity", "--drop-role", "--apply"), 0, "teardown is complete")
	tr.Exec(t, "alter system reset synchronous_standby_names", "select pg_reload_conf()") // for whoever cleans up
}
