//go:build integration

package integration

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"pgwitness/integration/servers"
)

// A memory is what a subscriber knows of the rows: by table and id, the last image. It forgets what the trail says that
// it no longer knows.
type memory struct {
	rows     map[string]map[string]string
	compared int
	faults   []string
}

func remember(records []*told) *memory {
	m := &memory{rows: map[string]map[string]string{}}
	for _, r := range records {
		at := r.Schema + "." + r.Table
		switch r.Op {
		case "baseline_broken":
			delete(m.rows, at)
			delete(m.rows, r.From.Schema+"."+r.From.Table)
		case "publication":
			delete(m.rows, at)
		case "insert", "update", "delete":
			if m.rows[at] == nil {
				m.rows[at] = map[string]string{}
			}
			m.take(r, m.rows[at])
		}
	}
	return m
}

func (m *memory) take(r *told, rows map[string]string) {
	if r.Before != nil {
		id := idOf(r.Before)
		if known, ok := rows[id]; ok && len(r.Missing) == 0 {
			m.compared++
			if known != string(r.Before) {
				m.faults = append(m.faults, fmt.Sprintf("%s of %s.%s: before %s, the last after %s", r.ID, r.Schema, r.Table, r.Before, known))
			}
		}
		delete(rows, id)
	}
	if r.After != nil {
		rows[idOf(r.After)] = string(r.After)
	}
}

func idOf(image json.RawMessage) string {
	var row struct{ ID json.Number }
	if json.Unmarshal(image, &row) != nil {
		return ""
	}
	return row.ID.String()
}

// matches compares what is known with the tables.
func (m *memory) matches(t *testing.T, c *pgx.Conn) {
	t.Helper()
	if _, err := c.Exec(t.Context(), "set search_path = ''"); err != nil {
		t.Fatal(err)
	}
	for at, rows := range m.rows {
		schema, table, _ := strings.Cut(at, ".")
		list, err := c.Query(t.Context(), "select r.id::text, pg_catalog.row_to_json(r)::text from "+pgx.Identifier{schema, table}.Sanitize()+" r")
		if err != nil {
			t.Fatal(err)
		}
		var id, row string
		if _, err := pgx.ForEachRow(list, []any{&id, &row}, func() error {
			if known, ok := rows[id]; ok {
				m.compared++
				if known != row {
					m.faults = append(m.faults, fmt.Sprintf("%s: row %s, the last after %s", at, row, known))
				}
				delete(rows, id)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		for id := range rows {
			m.faults = append(m.faults, fmt.Sprintf("%s: the row with id %s is gone without a record", at, id))
		}
	}
}

// A walker changes tables and rows at random.
type walker struct {
	*rand.Rand
	t           *testing.T
	c           *pgx.Conn
	publication string
	tables      []string // names with their schema; those of today
	names       int
	labels      [2]string // of the enum
}

func (w *walker) exec(format string, args ...any) {
	w.t.Helper()
	if _, err := w.c.Exec(w.t.Context(), fmt.Sprintf(format, args...)); err != nil {
		w.t.Fatalf("%v\nin %s", err, fmt.Sprintf(format, args...))
	}
}

func (w *walker) name() string {
	w.names++
	return fmt.Sprintf("n%d", w.names)
}

// column picks one of the table's that is not its key, or none.
func (w *walker) column(table, kind string) string {
	var name *string
	err := w.c.QueryRow(w.t.Context(), `select (array_agg(attname::text order by attnum))[1 + $3 % count(*)::int] from pg_attribute
		where attrelid = $1::text::regclass and attnum > 0 and not attisdropped and attname <> 'id' and ($2 = '' or atttypid = to_regtype($2))`,
		table, kind, w.IntN(100)).Scan(&name)
	if err != nil && !strings.Contains(err.Error(), "division by zero") {
		w.t.Fatal(err)
	}
	if name == nil {
		return ""
	}
	return *name
}

// step does one thing to a random table.
func (w *walker) step() {
	i := w.IntN(len(w.tables))
	t := w.tables[i]
	schema, bare, _ := strings.Cut(t, ".")
	switch w.IntN(30) {
	default:
		w.exec("insert into %s select coalesce(max(id), 0) + 1 from %[1]s", t)
	case 0, 1, 2, 3, 4, 5:
		if column := w.column(t, "text"); column != "" {
			w.exec("update %s set %s = md5(random()::text) where id %% 3 = %d", t, column, w.IntN(3))
		}
	case 6:
		w.exec("delete from %s where id = (select min(id) from %[1]s)", t)
	case 7:
		w.exec("alter table %s add column %s text", t, w.name())
	case 8:
		w.exec("alter table %s add column %s int default %d", t, w.name(), w.IntN(9))
	case 9:
		w.exec("alter table %s add column %s float default random()", t, w.name())
	case 10:
		w.exec("alter table %s add column %s mood[] default array['%s']::mood[], add column %s pair default row('%[3]s', 1)", t, w.name(), w.labels[0], w.name())
		w.exec("alter table %s alter id set default 1", t)
	case 11:
		if column := w.column(t, ""); column != "" {
			w.exec("begin; update %s set id = id; alter table %[1]s drop column %[2]s; update %[1]s set id = id; commit", t, column)
		}
	case 12:
		if column := w.column(t, ""); column != "" {
			w.exec("alter table %s rename %s to %s", t, column, w.name())
		}
	case 13:
		if column := w.column(t, "integer"); column != "" {
			w.exec("begin; savepoint s; alter table %s alter %s type text using %[2]s || '!'; release s; update %[1]s set id = id; commit", t, column)
		}
	case 14:
		w.tables[i] = schema + "." + w.name()
		w.exec("alter table %s rename to %s", t, strings.TrimPrefix(w.tables[i], schema+"."))
	case 15:
		w.tables[i] = map[string]string{"public": "s", "s": "public"}[schema] + "." + bare
		w.exec("alter table %s set schema %s", t, strings.TrimSuffix(w.tables[i], "."+bare))
	case 16:
		w.exec("alter table %s replica identity %s", t, []string{"default", "full", "full"}[w.IntN(3)])
	case 17:
		w.exec("begin; alter publication %s drop table %s; update %[2]s set id = id + 1000 where id = 1; alter publication %[1]s add table %[2]s; commit", w.publication, t)
	case 18:
		w.labels[0], w.labels[1] = w.labels[1], w.labels[0]
		w.exec("begin; alter type mood rename value '%s' to 'tmp'; alter type mood rename value '%s' to '%[1]s'; alter type mood rename value 'tmp' to '%[2]s'; commit", w.labels[0], w.labels[1])
	case 19:
		w.exec("begin; alter type pair add attribute %s int; rollback; create index on %s (id); comment on table %[2]s is 'x'; analyze %[2]s", w.name(), t)
		w.exec("vacuum full %s", t)
	case 20:
		w.exec("do $$ begin alter type pair rename attribute y to tmp; alter type pair rename attribute tmp to z; alter type pair rename attribute z to y; end $$")
	}
}

// TestBaselineWalk: under random changes of tables and rows, each row's before is what it was left as, and what is left
// is what the tables hold, unless the trail has said that it does not know. PGWITNESS_TEST_SEED repeats a walk.
func TestBaselineWalk(t *testing.T) {
	for _, version := range []int{14, 18} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			seed := uint64(time.Now().UnixNano())
			if text := os.Getenv("PGWITNESS_TEST_SEED"); text != "" {
				var err error
				if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
					t.Fatal(err)
				}
			}
			t.Logf("PGWITNESS_TEST_SEED=%d", seed)
			tr := newTrail(t, version)
			tr.Exec(t, "create schema s", "create type mood as enum ('a', 'b')", "create type pair as (x mood, y int)",
				"create table a (id int primary key, v text)", "create table b (id int primary key, v text)", "create table c (id int primary key, v text)")
			tr.setup(t, "public.*")
			w := &walker{Rand: rand.New(rand.NewPCG(seed, 0)), t: t, c: tr.Connect(t), publication: tr.slot,
				tables: []string{"public.a", "public.b", "public.c"}, labels: [2]string{"a", "b"}}
			w.exec("set search_path = public")
			for range 3 {
				for range 150 {
					w.step()
				}
				tr.catchUp(t, time.Minute)
			}
			m := remember(tr.story(t))
			m.matches(t, w.c)
			for _, fault := range m.faults[:min(len(m.faults), 10)] {
				t.Error(fault)
			}
			if m.compared < 30 {
				t.Errorf("only %d rows could be compared", m.compared)
			}
			t.Logf("%d comparisons, %d faults", m.compared, len(m.faults))
		})
	}
}

// TestBaselineUnseen: without a superuser setup does the rest and says what stays unseen, check warns, and a changed
// table is not told; when a superuser has run setup, it is.
func TestBaselineUnseen(t *testing.T) {
	server, owner := servers.SharedPostgres(t, 18), servers.Unique("o")
	t.Cleanup(func() { dropRole(t, server, owner) }) // after the database that it owns is gone
	tr := newTrailOn(t, server, servers.SharedKafka(t))
	tr.Exec(t,
		"create role "+owner+" login createrole replication password '"+rolePassword+"'",
		"grant pg_read_all_stats to "+owner+" with admin option",
		"alter database "+tr.Name+" owner to "+owner, "grant create on schema public to "+owner,
		"create table t (id int primary key)", "alter table t owner to "+owner, "insert into t values (1)")
	setup := []string{"setup", "--tables", "public.t", "--role", tr.slot, "--apply"}

	const unseen = "note: without the event triggers: the trail is not told when a statement changes what rows read as"
	for range 2 {
		expectEnd(t, tr.command(t, tr.URLAs(owner, rolePassword), setup...), 0, unseen,
			"failed   event triggers: permission denied to create event trigger", "setup is complete and verified but for what is above",
			"note: without the revocation of logical messages: everybody can write messages that look like those of the event triggers")
	}
	if got := tr.Text(t, "select string_agg(distinct proname, ' ') from pg_proc where pronamespace = 'pgwitness'::regnamespace"); got != "set_actor" {
		t.Errorf("setup left %s", got)
	}
	tr.Exec(t, "alter role "+tr.slot+" password '"+rolePassword+"'")
	check := func(says ...string) { // there is more to warn of on this server
		t.Helper()
		r := tr.command(t, tr.URLAs(tr.slot, rolePassword), "check")
		expectEnd(t, r, r.Code, says...)
	}
	check("warning event-triggers: none: rewritten tables", "warning logical-messages: PUBLIC may call")

	tr.Exec(t, "update t set id = 2", "alter table t add column v int default 1", "update t set id = 3")
	tr.catchUp(t, time.Minute)
	tr.tells(t, []string{"update", "update"})
	if m := remember(tr.story(t)); len(m.faults) != 1 {
		t.Errorf("a table was changed unseen, and the test found %q", m.faults)
	}

	expectEnd(t, tr.command(t, tr.URL(), setup...), 1, "schema pgwitness (owner ", "mend it: alter schema pgwitness owner to current_user")
	tr.Exec(t, "alter schema pgwitness owner to current_user", "alter function pgwitness.set_actor(jsonb) owner to current_user",
		"alter function pgwitness.set_actor(text, text, text, text, text) owner to current_user")
	expectEnd(t, tr.command(t, tr.URL(), setup...), 0, "done     event triggers", "done     revocation of logical messages", "setup is complete and verified\n")
	expectEnd(t, tr.command(t, tr.URLAs(owner, rolePassword), setup...), 0, "nothing to do")
	check("ok      event-triggers: rewritten tables and changed definitions are told", "ok      logical-messages: nobody but superusers may write them")
	tr.Exec(t, "alter table t add column w int")
	tr.catchUp(t, time.Minute)
	tr.tells(t, []string{"update", "update", "privilege public=false", `baseline_broken public.t columns added ["w"]`})

	tr.Exec(t, "alter event trigger pgwitness_ddl enable", "alter event trigger pgwitness_drop disable", "drop event trigger pgwitness_rewrite")
	check("warning event-triggers: pgwitness_rewrite is missing", "warning event-triggers: pgwitness_ddl is disabled, or not enabled always",
		"mend: alter event trigger pgwitness_drop enable always;")
	expectEnd(t, tr.command(t, tr.URL(), setup...), 0, "done     event triggers", "setup is complete and verified\n")
	tr.Exec(t, "alter database "+tr.Name+" set event_triggers = off")
	check("warning event-triggers: event_triggers is off")
	tr.Exec(t, "alter database "+tr.Name+" reset event_triggers")

	tr.Exec(t, "grant create on schema pgwitness to "+owner)
	expectEnd(t, tr.command(t, tr.URL(), setup...), 1, "schema pgwitness (owner ", "can be changed by others")
	tr.Exec(t, "revoke create on schema pgwitness from "+owner)

	another := append(setup, "--publication", `an"other$list$`, "--slot", tr.slot+"_2")
	expectEnd(t, tr.command(t, tr.URL(), another...), 0, "done     event triggers")
	tr.Exec(t, "alter table t add column x int")
	expectEnd(t, tr.command(t, tr.URL(), another...), 0, "nothing to do")
	expectEnd(t, tr.command(t, tr.URL(), "teardown", "--apply", "--publication", `an"other$list$`, "--slot", tr.slot+"_2"), 0, "done     event triggers' publication")
	tr.Exec(t, "alter table t drop column x")
	tr.catchUp(t, time.Minute)
	expectEnd(t, tr.command(t, tr.URL(), "teardown", "--apply", "--role", tr.slot), 0, "done     event triggers", "done     schema pgwitness", "complete and verified")
	if got := tr.Text(t, "select (select count(*) from pg_event_trigger) + (select count(*) from pg_proc where proname = 'on_ddl')"); got != "0" {
		t.Errorf("teardown left %s", got)
	}
}
