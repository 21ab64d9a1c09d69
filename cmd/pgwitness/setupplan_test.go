package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// shop is a source with one of everything that setup has to tell apart.
func shop(version int) *survey {
	s := &survey{
		version:     version,
		versionText: fmt.Sprintf("%d.1", version/10000),
		database:    "shop",
		walLevel:    "logical",
		anyConnect:  true,
		me:          roleState{name: "postgres", superuser: true, login: true, replication: true},
		tables: []*table{
			{oid: 1, schema: "My Schema", name: "evil\"; drop table x; --\n\x1b[2J", kind: "r", persistence: "p", identity: "d"},
			{oid: 2, schema: "billing", name: "invoice", kind: "r", persistence: "p", identity: "d", primaryKey: true},
			{oid: 3, schema: "pgwitness", name: "ours", kind: "r", persistence: "p", identity: "d"},
			{oid: 4, schema: "public", name: "events", kind: "p", persistence: "p", identity: "d"},
			{oid: 5, parent: 4, schema: "public", name: "events_1", kind: "r", persistence: "p", identity: "d"},
			{oid: 6, parent: 4, schema: "public", name: "events_far", kind: "f", persistence: "p", identity: "d"},
			{oid: 7, schema: "public", name: "full_already", kind: "r", persistence: "p", identity: "f"},
			{oid: 8, schema: "public", name: "remote", kind: "f", persistence: "p", identity: "d"},
			{oid: 9, schema: "public", name: "scratch", kind: "r", persistence: "u", identity: "d"},
			{oid: 10, schema: "public", name: "totals", kind: "m", persistence: "p", identity: "d"},
			{oid: 11, schema: "public", name: "view", kind: "v", persistence: "p", identity: "n"},
		},
		triggers: watching("pgwitness"),
		actor:    installed(),
		hold:     holdState{name: "pgwitness_witness"},
		named:    map[string]bool{"app": true, "batch": true},
	}
	s.link()
	return s
}

// watching is the state of a source whose event triggers are there and watch publications.
func watching(publications ...string) triggerState {
	t := triggerState{owner: "postgres", ours: true, trusted: true, publications: publications,
		functions: map[string]string{}, triggers: map[string]string{}, enabled: map[string]bool{}}
	for _, f := range sqlFunctions {
		t.functions[f.name] = f.head + f.body
	}
	for _, e := range eventTriggers {
		t.triggers[e.name], t.enabled[e.name] = e.does, true
	}
	return t
}

// installed is the state of a source that has set_actor.
func installed() actorState {
	a := actorState{functions: map[string]string{}, owner: "postgres", trusted: true, able: true}
	for _, f := range actorFunctions {
		a.functions[f.arguments] = f.head + f.body
	}
	return a
}

func wish(tables string) setupWish {
	w := setupWish{slot: "pgwitness", publication: "pgwitness", role: "pgwitness", allTables: tables == "", operations: allOperations}
	if tables != "" {
		patterns, err := parseTablePatterns(tables)
		if err != nil {
			panic(err)
		}
		w.patterns = patterns
	}
	return w
}

// script is the whole output of setup: notes, problems, statements.
func script(t *testing.T, s *survey, w setupWish) string {
	t.Helper()
	p, err := planSetup(s, w)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, n := range p.notes {
		fmt.Fprintf(&b, "note: %s\n", n)
	}
	for _, problem := range p.problems {
		fmt.Fprintf(&b, "wrong: %s\n  mend: %s\n", problem.what, problem.mend)
	}
	p.writeScript(&b, "setup", s, 5*time.Second)
	return b.String()
}

func TestSetupScripts(t *testing.T) {
	generated := func(version int) *survey {
		s := shop(version)
		s.tables = append(s.tables,
			&table{oid: 20, schema: "public", name: "stored", kind: "r", persistence: "p", identity: "d", primaryKey: true, stored: []string{"g"}},
			&table{oid: 21, schema: "public", name: "virtual", kind: "r", persistence: "p", identity: "f", primaryKey: true, virtual: []string{"g"}},
			&table{oid: 22, schema: "public", name: "virtual_keyless", kind: "r", persistence: "p", identity: "d", virtual: []string{"g"}},
			&table{oid: 23, schema: "public", name: "elsewhere", kind: "r", persistence: "p", identity: "d", primaryKey: true, stored: []string{"g"}, publishedElsewhere: "reporting"},
		)
		return s
	}
	for _, tt := range []struct {
		name   string
		survey *survey
		wish   setupWish
	}{
		{"all-tables", shop(150000), wish("")},
		{"patterns", shop(150000), wish(`public.events, billing.*`)},
		{"generated-columns-18", generated(180000), wish("")},
		{"generated-columns-15", func() *survey {
			s := shop(150000)
			s.tables = append(s.tables, &table{oid: 20, schema: "public", name: "stored", kind: "r", persistence: "p", identity: "d", stored: []string{"g"}})
			return s
		}(), wish("public.stored")},
		{"publication-of-18-without-generated-columns", func() *survey {
			s := generated(180000)
			s.publication = &publication{insert: true, update: true, delete: true, truncate: true}
			return s
		}(), wish("public.stored")},
		{"fewer-operations", shop(170000), func() setupWish {
			w := wish("billing.invoice")
			w.operations, w.fewerOperations = "insert, delete", true
			return w
		}()},
		{"fewer-operations-there", func() *survey {
			s := shop(170000)
			s.publication = &publication{insert: true, delete: true}
			return s
		}(), func() setupWish { w := wish("billing.invoice"); w.fewerOperations = true; return w }()},
		{"failover", shop(170000), func() setupWish { w := wish("billing.invoice"); w.failover = true; return w }()},
		{"half-there", func() *survey {
			s := shop(150000)
			s.role = &roleState{name: "pgwitness", login: true}
			s.publication = &publication{insert: true, update: true, delete: true, truncate: true}
			s.tables[1].listed, s.tables[1].published, s.tables[1].identity = true, true, "f"
			return s
		}(), wish("billing.*, public.full_already")},
		{"event-triggers", func() *survey {
			s := shop(180000)
			s.triggers, s.actor = triggerState{trusted: true, forgeable: true}, actorState{}
			return s
		}(), wish("billing.invoice")},
		{"event-triggers-half-there", func() *survey {
			s := shop(140000)
			s.triggers = watching("it's \"another\"")
			s.triggers.enabled["pgwitness_rewrite"] = false
			s.triggers.triggers["pgwitness_ddl"] = "on ddl_command_end execute function pgwitness.on_ddl()"
			delete(s.triggers.triggers, "pgwitness_drop")
			s.triggers.functions["say"] = "something else"
			return s
		}(), wish("billing.invoice")},
		{"schema-of-others", func() *survey {
			s := shop(180000)
			s.triggers.owner, s.triggers.ours, s.triggers.trusted = "mallory", false, false
			return s
		}(), wish("billing.invoice")},
		{"everything-wrong", func() *survey {
			s := shop(160000)
			s.walLevel, s.recovery = "replica", true
			s.publication = &publication{insert: true, viaRoot: true, allTables: true}
			s.tables[1].listed, s.tables[1].filtered, s.tables[1].columns = true, true, true
			s.slot = &slot{kind: "logical", plugin: "wal2json\x1b", database: "shop"}
			s.role = &roleState{name: "pgwitness", login: true, replication: true, superuser: true}
			return s
		}(), func() setupWish { w := wish("billing.*"); w.failover = true; return w }()},
		{"context-roles", func() *survey {
			s := shop(180000)
			s.actor.functions["context jsonb"] = "something else"
			s.actor.public, s.actor.callers = true, []string{"app"}
			return s
		}(), func() setupWish {
			w := wish("billing.invoice")
			w.contextRoles = []string{"app", "batch", `o"dd`}
			return w
		}()},
		{"without-superuser", func() *survey {
			s := shop(180000)
			s.me = roleState{name: "owner", login: true}
			s.triggers = triggerState{owner: "owner", trusted: true, forgeable: true}
			s.actor.owner, s.actor.trusted = "owner", false
			return s
		}(), wish("billing.invoice")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			golden(t, "setup/"+tt.name+".sql", script(t, tt.survey, tt.wish))
		})
	}
}

// What is there is kept: a source that setup has prepared needs nothing more, whichever tables are asked for again.
func TestSetupIsIdempotent(t *testing.T) {
	for _, tables := range []string{"", "public.events", "billing.invoice,public.full_already"} {
		s := shop(180000)
		p, err := planSetup(s, wish(tables))
		if err != nil {
			t.Fatal(err)
		}
		s.role = &roleState{name: "pgwitness", login: true, replication: true, readStats: true, connect: true}
		s.publication = &publication{insert: true, update: true, delete: true, truncate: true}
		s.slot = &slot{kind: "logical", plugin: "pgoutput", database: "shop"}
		for _, st := range p.steps {
			for _, table := range s.tables {
				if st.oid == table.oid && strings.HasSuffix(st.sql, "replica identity full") {
					table.identity = "f"
				} else if st.oid == table.oid {
					table.listed, table.published = true, true
				}
			}
		}
		again, err := planSetup(s, wish(tables))
		if err != nil {
			t.Fatal(err)
		}
		if len(again.steps) != len(p.steps) || len(again.problems) > 0 {
			t.Errorf("%q: %d steps and %d problems, at first %d steps", tables, len(again.steps), len(again.problems), len(p.steps))
		}
		for _, st := range again.steps {
			if !st.done {
				t.Errorf("%q: not done: %s", tables, st.sql)
			}
		}
	}
}

// The publication is made before any table is added, a table's identity before the table, and the slot last.
func TestSetupOrder(t *testing.T) {
	p, err := planSetup(shop(180000), wish(""))
	if err != nil {
		t.Fatal(err)
	}
	at := map[*step]int{}
	for i, st := range p.steps {
		at[st] = i
		if st.requires != nil {
			if before, ok := at[st.requires]; !ok || before >= i {
				t.Errorf("%s comes before what it requires", st.sql)
			}
		}
		if strings.Contains(st.sql, " add table ") && (st.requires == nil || !strings.Contains(st.requires.sql, "replica identity")) {
			t.Errorf("%s does not wait for the identity", st.sql)
		}
	}
	if last := p.steps[len(p.steps)-1]; !strings.Contains(last.sql, "pg_create_logical_replication_slot") {
		t.Errorf("the last step is %s", last.sql)
	}
}

func TestSetupRefusesWishes(t *testing.T) {
	none := setupWish{slot: "pgwitness", publication: "pgwitness", role: "pgwitness"}
	for _, tt := range []struct {
		wish setupWish
		want string
	}{
		{none, "which tables?"},
		{wish("public.nothing"), "selects no table of database shop"},
		{wish("pgwitness.ours"), "belongs to pgwitness"},
		{wish("public.scratch"), "unlogged"},
		{wish("public.view"), "a view"},
		{wish("public.totals"), "materialized view"},
		{wish("public.remot*"), "selects no table that can be published: a foreign table"},
		{wish("billing.*,public.nothing*"), "--tables public.nothing* selects no table"},
	} {
		if _, err := planSetup(shop(180000), tt.wish); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("error %v, want %s", err, tt.want)
		}
	}
}

// A password never reaches a script.
func TestSetupKeepsThePassword(t *testing.T) {
	w := wish("")
	w.verifier = "SCRAM-SHA-256$4096:secret"
	s := shop(180000)
	if text := script(t, s, w); strings.Contains(text, "SCRAM") {
		t.Error(text)
	}
	p, err := planSetup(s, w)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.steps[0].sql + p.steps[0].secret; !strings.HasSuffix(got, " password 'SCRAM-SHA-256$4096:secret'") {
		t.Error(got)
	}
}

func TestTeardownScripts(t *testing.T) {
	s := shop(180000)
	s.role = &roleState{name: "pgwitness", granted: true}
	s.publication = &publication{}
	s.tables[1].listed, s.tables[1].published, s.tables[1].identity = true, true, "f"
	s.slot = &slot{kind: "logical", plugin: "pgoutput", database: "shop", behindBytes: 123456789}
	text := func(f teardownFlags) string {
		f.role = "pgwitness"
		p := planTeardown(s, defaultConfig(), f, publishedTables(s))
		var b strings.Builder
		p.writeNotes(&b)
		for _, problem := range p.problems {
			fmt.Fprintf(&b, "wrong: %s\n  mend: %s\n", problem.what, problem.mend)
		}
		p.writeScript(&b, "teardown", s, 5*time.Second)
		return b.String()
	}
	golden(t, "setup/teardown.sql", text(teardownFlags{}))
	golden(t, "setup/teardown-everything.sql", text(teardownFlags{dropRole: true, resetIdentity: true}))
	s.slot.active, s.slot.holder = true, "pid 4711 (application pgwitness)"
	golden(t, "setup/teardown-active.sql", text(teardownFlags{}))
	s.slot, s.publication = nil, nil
	s.triggers = watching("pgwitness", "another")
	golden(t, "setup/teardown-watching-another.sql", text(teardownFlags{}))
	s.triggers = watching("another")
	golden(t, "setup/teardown-watched-by-another.sql", text(teardownFlags{}))
	s.triggers = triggerState{owner: "postgres", trusted: true, others: 1, functions: map[string]string{"say": "x"}}
	golden(t, "setup/teardown-shared-schema.sql", text(teardownFlags{}))
}

// The statements of the file are told apart, and nothing of it is left over.
func TestSQLFunctions(t *testing.T) {
	if len(sqlFunctions) != strings.Count(eventTriggersSQL, "create or replace function") {
		t.Errorf("%d functions", len(sqlFunctions))
	}
	if f := actorFunctions; len(f) != 2 || f[0].arguments != "context jsonb" || !strings.HasPrefix(f[1].arguments, "user_id text, reason text default null::text, ") ||
		f[0].sql+";\n\n"+f[1].sql+";\n" != setActorSQL {
		t.Errorf("%q", f)
	}
	for _, f := range actorFunctions {
		if f.name != "set_actor" || f.head != "language plpgsql volatile security definer\nset search_path = pg_catalog, pg_temp" || strings.Contains(f.body, `\`) {
			t.Errorf("%q", f)
		}
	}
	var again strings.Builder
	for _, f := range sqlFunctions {
		if f.name == "" || !strings.HasPrefix(f.head, "language ") || !strings.Contains(f.head, "\nset search_path = pg_catalog, pg_temp") {
			t.Errorf("%q: %q", f.name, f.head)
		}
		if definer := strings.Contains(f.head, "security definer"); definer != strings.HasPrefix(f.name, "on_") {
			t.Errorf("%s: security definer is %v", f.name, definer)
		}
		if strings.Contains(f.body, `\`) {
			t.Errorf("%s: what a backslash means depends on standard_conforming_strings", f.name)
		}
		again.WriteString(f.sql + ";\n\n")
	}
	if again.String() != eventTriggersSQL+"\n" {
		t.Error("the functions are not the file")
	}
	f := sqlFunctions[0]
	if sql := f.watching([]string{`o'ne`, `"two"\`, `$list$`}); f.name != "publications" || !strings.Contains(sql, `($list$["o'ne","\"two\"\\","\u0024list\u0024"]$list$)`) {
		t.Error(sql)
	}
}
