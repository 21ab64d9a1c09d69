//go:build integration

package integration

import "strings"

// transaction is statements that are committed together.
func transaction(statements ...string) string {
	return "begin; " + strings.Join(statements, "; ") + "; commit"
}

// definitionShapes change tables' definitions between rows of one transaction.
var definitionShapes = []shape{
	{name: "columns", create: []string{"create table t (id int primary key, a varchar(10), b int, c json)"},
		work: []string{
			"insert into t values (1, 'x', 1, '{}')",
			transaction("insert into t values (2, 'y', 2, null)",
				"alter table t add d int default 7", tell("t", "add column", "column", "d", "value", "#7"), "insert into t values (3, 'z', 3, null, 8)", "update t set b = 5 where id = 1",
				"alter table t drop b", tell("t", "drop column", "column", "b"), "update t set d = 9 where id = 2",
				"alter table t rename a to \"A \"\"x\"\"\"", tell("t", "rename column", "column", "a", "to", `A "x"`), `update t set "A ""x""" = 'w'`,
				`alter table t alter "A ""x""" type varchar(20)`, "insert into t values (4, repeat('v', 20), null, 4)", `alter table t alter "A ""x""" type text`,
				"insert into t values (5, repeat('v', 200), null, 4)", "delete from t where id = 4",
				`alter table t add e text default 'q"', add f int[] default '{1,null}'`,
				tell("t", "add column", "column", "e", "value", `#"q\""`), tell("t", "add column", "column", "f", "value", "#[1,null]"), "update t set d = d + 1 where id < 4"),
			"update t set f = '{}' where id = 5",
			transaction("alter table t drop f", tell("t", "drop column", "column", "f"), "alter table t add f bool", tell("t", "add column", "column", "f", "value", "#null"), "update t set f = true where id = 1"),
			"delete from t where id = 3",
		}},
	{name: "rewritten and the same", create: []string{"create table t (id int primary key, a int, b text)", "create table clustered (id int primary key, a text)"},
		work: []string{
			"insert into t select n, n, repeat('b', n * 1000) from generate_series(1, 5) n", "alter table t alter a type bigint", "update t set a = 9007199254740993 where id < 3",
			transaction("insert into t values (6, 6, null)", "alter table t alter a type numeric", "update t set a = 1.50 where id > 4"),
			"vacuum full t", "update t set b = 'x' where id = 4", "cluster t using t_pkey", "delete from t where id = 5",
			"insert into clustered values (2, 'x'), (1, 'y')", "cluster clustered using clustered_pkey", "update clustered set a = a || '!'", "reindex table clustered", "analyze clustered",
			"insert into clustered values (3, 'z')", "create index on clustered (a)", "delete from clustered where id = 1", "comment on table clustered is 'x'", "update clustered set a = null",
		}},
	// The next images cannot follow from the ones before: the rewrite itself sends no rows.
	{name: "rewritten and changed", loose: true, create: []string{"create table t (id int primary key, a text, b int)"},
		work: []string{
			"insert into t values (1, '1.50', 1), (2, '2', 2)",
			transaction("update t set b = 7 where id = 1", "alter table t alter a type numeric using a::numeric * 2", "update t set b = 8 where id = 1", "alter table t alter a type text using 'n' || a", "update t set b = 9"),
			"alter table t add c double precision default random()", "update t set b = 10",
			transaction("alter table t alter b type timestamptz using 'epoch'", "insert into t values (3, null, 'infinity', 1e300)"), "delete from t",
		}},
	{name: "tables", create: []string{"create table t (id int primary key, a text)", "create table gone (id int, a text)", "create table again (id int, a text)", "create table moved (id int primary key)", "create schema elsewhere"},
		work: []string{
			transaction("insert into t values (1, 'x')", "alter table t rename to u", tell("t", "rename", "to", "u"), "insert into u values (2, 'y')", "update u set a = 'z' where id = 1",
				`alter table u rename to "v.w"`, tell("u", "rename", "to", "v.w"), `delete from "v.w" where id = 2`),
			`insert into "v.w" values (3, 'after')`,
			transaction("insert into gone values (1, 'x')", "update gone set a = 'y'", "drop table gone", tell("gone", "drop")),
			transaction("insert into again values (1, 'x')", "drop table again", tell("again", "drop"), "create table again (b bool, id int primary key)", "select audit.publish('again')",
				"insert into again values (true, 2)", "update again set b = null"), "insert into again values (false, 3)",
			transaction("insert into moved values (1)", tell("moved", "move", "to", "elsewhere"), "alter table moved set schema elsewhere", "insert into elsewhere.moved values (2)", "delete from elsewhere.moved where id = 1"),
			transaction("create table fresh (a int, b text)", "insert into fresh values (0, 'before it is published')", "delete from fresh", "select audit.publish('fresh')",
				"insert into fresh values (1, 'x')", "update fresh set b = 'y'"), "update fresh set a = 2",
			transaction("create table never (a int)", "select audit.publish('never')", "insert into never values (1)", "rollback", "begin"),
		}},
	{name: "keys", create: []string{"create table t (id int primary key, a int not null, b text)"},
		work: []string{
			"insert into t values (1, 10, 'x'), (2, 20, 'y')",
			transaction("update t set b = 'z' where id = 1", "alter table t drop constraint t_pkey", "update t set b = 'w' where id = 1", "alter table t add primary key (a)", "update t set a = 11 where id = 1"),
			transaction("alter table t replica identity default", "update t set b = 'v' where a = 11", "update t set a = 12 where a = 11", "alter table t replica identity full", "update t set b = 'u' where a = 12"),
			"delete from t where a = 20",
		}},
	{name: "types", create: []string{
		"create type e as enum ('a', 'b')", "create type c as (x int, y text)", "create domain d as int", "create table t (id int primary key, e e, c c, cs c[], d d)",
	},
		work: []string{
			"insert into t values (1, 'a', row(1, 'x'), array[row(2, 'y')::c], 5)", "alter type e add value 'c, \"q\"' before 'b'", "insert into t values (2, 'c, \"q\"', null, null, null)",
			transaction("alter type e rename value 'b' to 'bb'", "insert into t values (3, 'bb', null, '{}', 1)"),
			transaction("create type late as (a e[], b timestamptz)", "create table lately (v late, vs late[])", "select audit.publish('lately')",
				"insert into lately values (row('{a,bb}', '2026-03-05 01:02:03+00'), array[row(null, 'infinity')::late])"),
			transaction("alter domain d add check (value < 100)", "update t set d = 99 where id = 1", "alter domain d rename to dd", "update t set d = 98 where id = 1"),
		},
		check: each(func(e *entry) string { return unless(e.Opaque == nil, "opaque") })},
	// What is gone when the first value of a type is met is shown as text, and said.
	{name: "types gone", loose: true, create: []string{
		"create type e as enum ('a')", "create type c as (x int, y text)", "create table t (id int primary key, e e, c c, cs c[])",
	},
		work: []string{
			"insert into t values (1, 'a', row(1, 'x'), array[row(2, 'y')::c])", "update t set id = 2", "alter table t drop e, drop c, drop cs", "insert into t values (3)", "drop type e",
		},
		check: want(
			`insert t key {"id":1} after {"id":1,"e":"a","c":{"x":1,"y":"x"},"cs":[{"x":2,"y":"y"}]} opaque e`,
			`update t key {"id":1} before {"id":1,"e":"a","c":{"x":1,"y":"x"},"cs":[{"x":2,"y":"y"}]} after {"id":2,"e":"a","c":{"x":1,"y":"x"},"cs":[{"x":2,"y":"y"}]} changed id opaque e`,
			`insert t key {"id":3} after {"id":3}`,
		)},
}
