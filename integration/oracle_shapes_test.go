//go:build integration

package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// A table's own shapes: identities, out-of-line values, columns from none to 1,600, generated ones, names.
var tableShapes = []shape{
	{name: "identity full", create: []string{"create table t (id int primary key, a text, b int)", "create table keyless (a text, b int)"},
		work: []string{
			"insert into t values (1, 'x', 1), (2, null, null)", "update t set b = 2 where id = 1", "update t set id = 3 where id = 1",
			"update t set a = a", "delete from t where id = 2",
			"insert into keyless values ('x', 1), ('x', 1), (null, null)", "update keyless set b = 2 where b = 1", "delete from keyless where a is null",
		},
		check: each(func(e *entry) string {
			if e.Identity != "full" || e.Missing != nil || (string(e.Key) == "null") != (e.Table == "keyless") {
				return "not as under full"
			}
			return ""
		})},
	{name: "identity default", create: []string{"create table t (id int, a text, b int, primary key (b, id))"},
		work: []string{
			"alter table t replica identity default", "insert into t values (1, 'x', 1), (2, null, 5)",
			"update t set a = 'y' where id = 1", "update t set id = 3 where id = 1", "update t set id = id", "delete from t where id = 2",
		},
		check: want(
			`insert t key {"id":1,"b":1} after {"id":1,"a":"x","b":1}`,
			`insert t key {"id":2,"b":5} after {"id":2,"a":null,"b":5}`,
			`update t key {"id":1,"b":1} before {"id":1,"b":1} after {"id":1,"a":"y","b":1} changed  missing a`,
			`update t key {"id":1,"b":1} before {"id":1,"b":1} after {"id":3,"a":"y","b":1} changed id missing a`,
			`update t key {"id":2,"b":5} before {"id":2,"b":5} after {"id":2,"a":null,"b":5} changed  missing a`,
			`update t key {"id":3,"b":1} before {"id":3,"b":1} after {"id":3,"a":"y","b":1} changed  missing a`,
			`delete t key {"id":2,"b":5} before {"id":2,"b":5} missing a`,
		)},
	{name: "identity index", create: []string{"create table t (id int primary key, a text not null, b int not null)", "create unique index by_a on t (a, b)"},
		work: []string{
			"alter table t replica identity using index by_a", "insert into t values (1, 'x', 1), (2, 'y', 2)",
			"update t set id = 3 where id = 1", "update t set a = 'z' where id = 3", "delete from t where id = 2",
		},
		check: want(
			`insert t key {"a":"x","b":1} after {"id":1,"a":"x","b":1}`,
			`insert t key {"a":"y","b":2} after {"id":2,"a":"y","b":2}`,
			`update t key {"a":"x","b":1} before {"a":"x","b":1} after {"id":3,"a":"x","b":1} changed  missing id`,
			`update t key {"a":"x","b":1} before {"a":"x","b":1} after {"id":3,"a":"z","b":1} changed a missing id`,
			`delete t key {"a":"y","b":2} before {"a":"y","b":2} missing id`,
		)},
	{name: "identity nothing", create: []string{"create table t (id int primary key, a text)"},
		work: []string{"alter table t replica identity nothing", "insert into t values (1, 'x'), (2, 'y')", "truncate t", "insert into t values (3, null)"},
		check: func(t *testing.T, s *sights) {
			want(`insert t key {"id":1} after {"id":1,"a":"x"}`, `insert t key {"id":2} after {"id":2,"a":"y"}`, `truncate t`,
				`insert t key {"id":3} after {"id":3,"a":null}`)(t, s)
			each(func(e *entry) string { return unless(e.Identity == "nothing", "identity "+e.Identity) })(t, s)
		}},
	{name: "toast", create: []string{
		"create table t (id int primary key, a text, b text, n int)", "create table d (id int primary key, a text, b text, n int)",
		"create table k (id text primary key, n int)",
		"alter table t alter a set storage external, alter b set storage external", "alter table d alter a set storage external, alter b set storage external",
		"alter table k alter id set storage external",
	},
		work: []string{
			"alter table d replica identity default", "alter table k replica identity default",
			"insert into t values (1, repeat('a', 10000), repeat('b', 10000), 0), (2, null, 'short', 0)", "update t set n = 1", "update t set a = a || 'x' where id = 1",
			"update t set b = null where id = 1", "update t set id = 5 where id = 1", "delete from t",
			"insert into d values (1, repeat('a', 10000), repeat('b', 10000), 0), (2, null, 'short', 0)", "update d set n = 1", "update d set a = a || 'x' where id = 1",
			"update d set b = null where id = 1", "update d set id = 5 where id = 1", "delete from d where id = 2",
			"insert into k values (repeat('k', 2600), 0)", "update k set n = 1", "update k set id = repeat('l', 2600)", "update k set n = 2, id = id", "delete from k",
		},
		check: each(func(e *entry) string {
			switch {
			case e.Table == "t" && e.Missing != nil:
				return "a value is missing under full"
			case e.Table == "k" && slices.Contains(e.Changed, "id") && sameKey(e):
				return "a key that was only written again"
			}
			return ""
		})},
	{name: "no columns", create: []string{"create table t ()", "create table later ()"},
		work: []string{
			"insert into t default values", "insert into t default values", "delete from t where ctid = '(0,1)'", "truncate t", "insert into t default values",
			"insert into later default values", "alter table later add a int; " + tell("later", "add column", "column", "a", "value", "#null"), "update later set a = 1",
		},
		check: want(`insert t after {}`, `insert t after {}`, `delete t before {}`, `truncate t`, `insert t after {}`,
			`insert later after {}`, `update later before {"a":null} after {"a":1} changed a`)},
	{name: "1600 columns", create: []string{"create table t (" + manyColumns("c%d int", 1600) + ")", "create table dropped (" + manyColumns("c%d bool", 1590) + ")"},
		work: []string{
			"insert into t (c1, c800, c1600) values (1, 2, 3)", "insert into t select " + manyColumns("%d", 1600), "update t set c1600 = 4", "delete from t where c2 is null",
			"insert into dropped (c1590) values (true)", "alter table dropped drop c1; " + tell("dropped", "drop column", "column", "c1"),
			"alter table dropped add e bool; " + tell("dropped", "add column", "column", "e", "value", "#null"), "update dropped set c2 = false, e = true",
		}},
	{name: "generated", create: []string{
		"create table s (id int primary key, a int, twice int generated always as (a * 2) stored, b text)",
		"create table keyless (twice int generated always as (a * 2) stored, a int)",
		"create table serial (id int generated always as identity primary key, n serial, at timestamptz default now())",
	},
		work: []string{
			"insert into s values (1, 2, default, 'x')", "update s set a = 3", "update s set id = 2", "delete from s", "insert into s values (7, null, default, null)",
			"insert into keyless (a) values (1), (2)", "update keyless set a = 5 where a = 2", "delete from keyless where a = 1",
			"insert into serial default values", "insert into serial default values", "update serial set n = 7",
		},
		check: func(t *testing.T, s *sights) {
			each(func(e *entry) string {
				carried := strings.Contains(string(e.After)+string(e.Before), "twice")
				return unless(e.Table == "serial" || carried == (s.version >= 18), "a stored generated column")
			})(t, s)
		}},
	{name: "generated virtual", since: 18, create: []string{"create table v (id int primary key, a int, twice int generated always as (a * 2) virtual, b text)"},
		work: []string{"insert into v values (1, 2, default, 'x')", "update v set a = 3", "update v set id = 2", "delete from v", "insert into v values (7, null, default, null)"},
		check: want(
			`insert v key {"id":1} after {"id":1,"a":2,"b":"x"}`,
			`update v key {"id":1} before {"id":1} after {"id":1,"a":3,"b":"x"} changed  missing a,b`,
			`update v key {"id":1} before {"id":1} after {"id":2,"a":3,"b":"x"} changed id missing a,b`,
			`delete v key {"id":2} before {"id":2} missing a,b`,
			`insert v key {"id":7} after {"id":7,"a":null,"b":null}`,
		)},
	{name: oddName, create: oddTables(), work: oddWork()},
	{name: "inheritance", create: []string{"create table parent (id int primary key, a text)", "create table child (b int) inherits (parent)", "create table grandchild (c int) inherits (child)"},
		work: []string{
			"insert into parent values (1, 'p')", "insert into child values (2, 'c', 2)", "insert into grandchild values (3, 'g', 3, 3)",
			"update parent set a = a || '!'", "delete from parent where id = 2", "truncate only parent", "insert into child values (4, 'd', 4)", "truncate parent",
			"insert into grandchild values (5, 'h', 5, 5)",
		},
		check: each(func(e *entry) string { return unless(e.Root == nil, "a root") })},
	{name: "ignored", create: []string{
		"create unlogged table unlogged (id int)", "create table t (id int)", "create materialized view mv as select * from t", "create sequence s",
	},
		work: []string{
			"insert into unlogged values (1)", "create temporary table temp (id int); insert into temp values (1); drop table temp",
			"refresh materialized view mv", "select nextval('s')", "create table unpublished (id int); insert into unpublished values (1)",
			"select lo_create(0)", "begin; commit", "begin; select pg_current_xact_id(); commit", "begin; insert into t values (0); rollback",
			"insert into t values (1)",
		},
		check: want(`insert t after {"id":1}`)},
}

// sameKey reports whether an update of toast's k left the key what it was.
func sameKey(e *entry) bool {
	return strings.Contains(string(e.Before), "kkk") == strings.Contains(string(e.After), "kkk")
}

func unless(right bool, fault string) string {
	if right {
		return ""
	}
	return fault
}

func manyColumns(pattern string, n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(pattern, i+1)
	}
	return strings.Join(list, ", ")
}

// tell is the statement that says in the trail what a workload did to a table's definition (package rebuild). A value
// that begins with # is JSON, otherwise text.
func tell(table, do string, more ...string) string {
	members := []string{"'schema'", "current_schema()", "'table'", quoteLiteral(table), "'do'", quoteLiteral(do)}
	for i := 0; i < len(more); i += 2 {
		value := quoteLiteral(more[i+1])
		if raw, ok := strings.CutPrefix(more[i+1], "#"); ok {
			value = quoteLiteral(raw) + "::json"
		}
		members = append(members, quoteLiteral(more[i]), value)
	}
	return "select audit.tell(json_build_object(" + strings.Join(members, ", ") + "))"
}

func quoteLiteral(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// oddName is a schema's: quotes, dots, spaces, hyphens, letters of several scripts.
const oddName = `Odd "s".x-y é漢 %_'`

// oddTables are tables with such names, one of the full 63 bytes, with such columns.
var oddNames = []string{
	`a.b`, `a-b`, `a_b`, `a b`, `A b`, `"`, `""`, `'`, `\`, `{}`, `,`, `select`, `é漢字𝄞`, "tab\tnew\nline", strings.Repeat("n", 63), strings.Repeat("漢", 18), `%d$1`,
}

func quoteIdent(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func oddTables() []string {
	var create []string
	for _, name := range oddNames {
		create = append(create, fmt.Sprintf("create table %s (%[1]s text primary key, %s text)", quoteIdent(name), quoteIdent(string([]rune(name)[:1])+` "\`+"\b\x1f")))
	}
	return create
}

func oddWork() []string {
	var work []string
	for _, name := range oddNames {
		table := quoteIdent(name)
		work = append(work, fmt.Sprintf("insert into %s values ('1', '2'), ('3', '4')", table), fmt.Sprintf("update %s set %[1]s = '5' where %[1]s = '1'", table),
			fmt.Sprintf("delete from %s where %[1]s = '3'", table))
	}
	return work
}
