//go:build integration

package integration

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"pgwitness/integration/servers"
)

// standing says of each table how it stands in the trail: "schema.table identity member".
func (tr *trail) standing(t *testing.T) []string {
	t.Helper()
	return strings.Split(tr.Text(t, `select string_agg(concat_ws(' ', n.nspname || '.' || c.relname, c.relreplident,
		case when exists (select from pg_publication_tables p where p.pubname = $1 and p.schemaname = n.nspname and p.tablename = c.relname) then 'in' else 'out' end),
		',' order by n.nspname, c.relname)
		from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where c.relkind = 'r' and n.nspname in ('public', 'chosen', 'other', 'later')`, tr.slot), ",")
}

// TestFollow: tables that come into the schemas that are followed are in the trail from their first row on, whoever makes
// them and in whatever way; all others stay as they are, and no statement fails.
func TestFollow(t *testing.T) {
	for _, version := range []int{14, 18} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			server, developer := servers.SharedPostgres(t, version), servers.Unique("d")
			t.Cleanup(func() { dropRole(t, server, developer) }) // after the database with its tables is gone
			newTrailOn(t, server, servers.SharedKafka(t)).followed(t, developer)
		})
	}
}

func (tr *trail) followed(t *testing.T, developer string) {
	t.Helper()
	tr.Exec(t, "create schema chosen", "create schema other", "create role "+developer+" login password '"+rolePassword+"'",
		"grant create, usage on schema public, chosen, other to "+developer,
		"create table old (id int primary key)", "create table taken_out (id int)", "create table root (id int, v text) partition by range (id)",
		"create table other.moved (id int, v text)", "create unlogged table logged_later (id int)", "insert into other.moved values (1, 'before')")
	tr.setup(t, "public.old,public.taken_out,public.root")
	printed := tr.command(t, tr.URL(), "setup", "--role", tr.slot, "--follow=public,chosen,later")
	expectEnd(t, printed, 0, "create event trigger pgwitness_follow")
	runScript(t, tr.Connect(t), printed.Stdout)
	again := []string{"setup", "--role", tr.slot, "--apply"}
	expectEnd(t, tr.command(t, tr.URL(), again...), 0, "nothing to do")
	expectEnd(t, tr.command(t, tr.URL(), append(again, "--follow=later,chosen,public")...), 0, "nothing to do")
	run := tr.run(t)

	admin := tr.Connect(t)
	mustExec(t, admin, "alter publication "+tr.slot+" drop table only taken_out", "alter table taken_out add column w int",
		"alter table other.moved set schema chosen", "alter table logged_later set logged",
		"create unlogged table public.plugins (id int)", "alter extension plpgsql add table plugins", "alter table plugins set logged",
		"set session_replication_role = replica", "create table replayed (id int)", "reset session_replication_role")
	c := connectAs(t, tr, developer)
	mustExec(t, c,
		"create table plain (id int, v text)", "insert into plain values (1, 'a')", "update plain set v = 'b'", "delete from plain",
		"create table made as select 1 as id, 'a' as v", "update made set v = 'b'",
		"select 1 as id, 'a'::text as v into chosen.selected", "update chosen.selected set v = 'b'",
		"begin", "create table one_transaction (id int, v text)", "insert into one_transaction values (1, 'a')", "update one_transaction set v = 'b'", "commit",
		"create table chosen.parts (id int, v text) partition by range (id)", "create table other.parts_1 partition of chosen.parts for values from (0) to (10)",
		"insert into chosen.parts values (1, 'a')", "update chosen.parts set v = 'b'",
		"create table other.attached (id int, v text)", "alter table chosen.parts attach partition other.attached for values from (10) to (20)",
		"insert into chosen.parts values (11, 'a')", "update chosen.parts set v = 'b' where id = 11",
		"create table other.alone (id int)", "create temp table passing (id int)", "create unlogged table scratch (id int)",
		`create table "Strange ""Name" (id int)`, `insert into "Strange ""Name" values (1)`, `update "Strange ""Name" set id = 2`)
	mustExec(t, admin, "create schema later create table born (id int)", "update chosen.moved set v = 'after'")
	want := []string{`chosen.moved f in`, `chosen.selected f in`, `later.born f in`, `other.alone d out`, `other.attached f in`, `other.parts_1 f in`,
		`public.Strange "Name f in`, `public.logged_later f in`, `public.made f in`, `public.old f in`, `public.one_transaction f in`,
		`public.plain f in`, `public.plugins d out`, `public.replayed f in`, `public.scratch d out`, `public.taken_out f out`}
	if got := tr.standing(t); !slices.Equal(slices.Sorted(slices.Values(got)), want) {
		t.Errorf("tables stand\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	tr.failsNothing(t)

	tr.awaitConfirmed(t, time.Minute)
	var rows []string
	for _, r := range tr.records(t) {
		rows = append(rows, summary(r))
	}
	for _, row := range []string{
		`insert public.plain - -> {"id":1,"v":"a"}`, `update public.plain {"id":1,"v":"a"} -> {"id":1,"v":"b"}`, `delete public.plain {"id":1,"v":"b"} -> -`,
		`update public.made {"id":1,"v":"a"} -> {"id":1,"v":"b"}`, `update chosen.selected {"id":1,"v":"a"} -> {"id":1,"v":"b"}`,
		`insert public.one_transaction - -> {"id":1,"v":"a"}`, `update public.one_transaction {"id":1,"v":"a"} -> {"id":1,"v":"b"}`,
		`update other.parts_1 {"id":1,"v":"a"} -> {"id":1,"v":"b"}`, `update other.attached {"id":11,"v":"a"} -> {"id":11,"v":"b"}`,
		`update public.Strange "Name {"id":1} -> {"id":2}`, `update chosen.moved {"id":1,"v":"before"} -> {"id":1,"v":"after"}`,
	} {
		if !slices.Contains(rows, row) {
			t.Errorf("no record: %s in\n%s", row, strings.Join(rows, "\n"))
		}
	}
	tr.tellsOfJoining(t, "plain", "made", "selected", "one_transaction", "moved", "logged_later", "replayed")
	expectEnd(t, run.Stop(t, 10*time.Second), 0)

	tr.Exec(t, "alter publication "+tr.slot+" drop table only plain")
	all := findings(t, tr.environment())
	expectFinding(t, all, "follow", "warning", "public.plain")
	tr.Exec(t, "alter event trigger pgwitness_follow disable")
	expectFinding(t, findings(t, tr.environment()), "follow", "warning", "missing, disabled")
	expectEnd(t, tr.command(t, tr.URL(), again...), 0, "done     event trigger for new tables")
	expectEnd(t, tr.command(t, tr.URL(), append(again, "--follow")...), 0, "done     event trigger for new tables") // in all schemas
	tr.Exec(t, "create table other.late (id int)")
	if got := tr.standing(t); !slices.Contains(got, "other.late f in") || !slices.Contains(got, "other.alone d out") {
		t.Errorf("tables stand\n%s", strings.Join(got, "\n"))
	}
	expectEnd(t, tr.command(t, tr.URL(), "teardown", "--apply"), 0, "done     event trigger for new tables", "teardown is complete")
	if got := tr.Text(t, "select concat((select count(*) from pg_event_trigger), ' ', (select count(*) from pg_namespace where nspname = 'pgwitness'))"); got != "0 0" {
		t.Errorf("teardown left %s", got)
	}
	tr.Exec(t, "create table afterwards (id int)")
}

// TestFollowWholePublications: where a publication has all tables, or a schema's, new ones get their identity and are not
// listed; and a publication that another transaction holds makes no statement fail.
func TestFollowWholePublications(t *testing.T) {
	for version, publishes := range map[int]string{14: "all tables", 18: "tables in schema chosen"} {
		t.Run(publishes, func(t *testing.T) {
			tr := newTrail(t, version)
			tr.Exec(t, "create schema chosen", "create table chosen.old (id int primary key)", "create publication "+tr.slot+" for "+publishes)
			tr.setup(t, "chosen.*", "--follow=chosen")
			tr.Exec(t, "create table chosen.keyless (id int)", "insert into chosen.keyless values (1)", "update chosen.keyless set id = 2")
			if got := tr.standing(t); !slices.Equal(got, []string{"chosen.keyless f in", "chosen.old f in"}) {
				t.Errorf("tables stand %q", got)
			}
			if got := tr.Text(t, "select count(*) from pg_publication_rel"); got != "0" {
				t.Errorf("%s tables are listed", got)
			}
			tr.catchUp(t, time.Minute)
			if n := len(tr.records(t)); n != 2 {
				t.Errorf("%d records", n)
			}
		})
	}
	t.Run("held", func(t *testing.T) {
		tr := newTrail(t, 18)
		tr.Exec(t, "create table old (id int primary key)")
		tr.setup(t, "public.*", "--follow=public")
		first, second := tr.Connect(t), tr.Connect(t)
		mustExec(t, first, "begin", "create table a (id int)")
		mustExec(t, second, "create table b (id int)", "insert into b values (1)", "update b set id = 2")
		mustExec(t, first, "commit")
		if got := tr.standing(t); !slices.Equal(got, []string{"public.a f in", "public.b d out", "public.old f in"}) {
			t.Errorf("tables stand %q", got)
		}
		expectFinding(t, findings(t, tr.environment()), "follow", "warning", "nobody witnesses (1): public.b")
		tr.setup(t, "public.b")
		expectFinding(t, findings(t, tr.environment()), "follow", "ok", "new tables of schema public are taken up")
	})
}

// connectAs opens a session as a role.
func connectAs(t *testing.T, tr *trail, role string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), tr.URLAs(role, rolePassword))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(t.Context()) })
	return c
}

// failsNothing: what cannot be taken up is a warning that says what to do, and the statement goes on.
func (tr *trail) failsNothing(t *testing.T) {
	t.Helper()
	cc, err := pgx.ParseConfig(tr.URL())
	if err != nil {
		t.Fatal(err)
	}
	var notices []string
	cc.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		notices = append(notices, n.Severity+": "+n.Message+" "+n.Hint)
	}
	c, err := pgx.ConnectConfig(t.Context(), cc)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	mustExec(t, c, "begin", "alter publication "+tr.slot+" rename to elsewhere", "create table unseen (id int)", "insert into unseen values (1)", "rollback")
	says := func(what string) {
		t.Helper()
		if text := strings.Join(notices, "\n"); !strings.Contains(text, what) {
			t.Errorf("the server said %s, not %s", text, what)
		}
	}
	says("WARNING: pgwitness does not witness table public.unseen: publication ")
	says("pgwitness setup --apply")
	if tr.Text(t, "select current_setting('server_version_num')::int >= 180000") == "true" { // updates under the full identity would fail
		mustExec(t, c, "create table keyless (a int, g int generated always as (a * 2) virtual)", "insert into keyless values (1)", "update keyless set a = 2")
		says("WARNING: pgwitness does not witness table public.keyless: it has a virtual generated column and no primary key")
		mustExec(t, c, "create table stored (a int, g int generated always as (a * 2) stored)", "insert into stored values (1)", "update stored set a = 2")
	}
}

// tellsOfJoining looks in the control topic for the tables that have joined the publication.
func (tr *trail) tellsOfJoining(t *testing.T, tables ...string) {
	t.Helper()
	joined := map[string]bool{}
	for _, p := range tr.topics(t) {
		for _, raw := range p.Records {
			var r struct {
				Op, Table   string
				Publication struct{ Change string }
				TX          struct{ XID int64 }
			}
			if p.Topic == tr.prefix+".control" && json.Unmarshal(raw.Value, &r) == nil && r.Op == "publication" && r.TX.XID > 0 {
				joined[r.Table] = joined[r.Table] || r.Publication.Change == "joined"
			}
		}
	}
	for _, table := range tables {
		if !joined[table] {
			t.Errorf("the trail does not tell that %s has joined: %v", table, joined)
		}
	}
}
