//go:build integration

package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgwitness/integration/servers"
)

// hostile are settings that would change what a value looks like, if a session took them from its database or role.
var hostile = []string{
	"datestyle = 'German, DMY'", "intervalstyle = 'iso_8601'", "extra_float_digits = 0", "bytea_output = 'escape'",
	"timezone = 'Asia/Kolkata'", "quote_all_identifiers = on", "standard_conforming_strings = off", "xmlbinary = 'hex'",
}

// TestValues holds every image against what the audit trigger in the same transaction has printed, byte for byte: every
// type's awkward values, inserted, updated and deleted, in sessions whose settings would print them otherwise.
func TestValues(t *testing.T) {
	for _, version := range servers.Versions {
		t.Run(fmt.Sprint(version), func(t *testing.T) { values(t, newTrail(t, version), version) })
	}
}

func values(t *testing.T, tr *trail, version int) {
	var tables, work []string
	create := slices.Clone(preparation)
	for i, types := range slices.Collect(slices.Chunk(typesOf(version), 12)) {
		table := fmt.Sprintf("v%02d", i)
		tables = append(tables, "public."+table)
		create = append(create, fmt.Sprintf("create table %s (id int primary key%s)", table,
			columns(types, func(c int, v valueType) string { return fmt.Sprintf(", v%d %s", c, v.kind) })))
		for n := range longest(types) {
			value := func(i int) func(int, valueType) string {
				return func(_ int, v valueType) string {
					return fmt.Sprintf(", cast(%s as %s)", v.literals[i%len(v.literals)], v.kind)
				}
			}
			work = append(work,
				fmt.Sprintf("insert into %s values (%d%s)", table, n, columns(types, value(n))),
				fmt.Sprintf("update %s set (id%s) = row(id%s) where id = %d", table,
					columns(types, func(c int, _ valueType) string { return fmt.Sprintf(", v%d", c) }), columns(types, value(n+1)), n),
				fmt.Sprintf("update %s set id = id + 1000 where id = %d", table, n),
				fmt.Sprintf("delete from %s where id = %d", table, n+1000))
		}
		work = append(work, fmt.Sprintf("insert into %s values (-1)", table))
	}
	tr.Exec(t, create...)
	tr.setup(t, "public.*")
	tr.audited(t, tables...)
	for _, s := range hostile {
		tr.Exec(t, fmt.Sprintf("alter database %s set %s", tr.Name, s), fmt.Sprintf("alter role %s set %s", tr.slot, s))
	}
	// The literals are written for these two settings; a session's own win over the database's.
	tr.Exec(t, append([]string{"set datestyle = 'ISO, YMD'; set standard_conforming_strings = on"}, work...)...)
	tr.catchUp(t, time.Minute)
	tr.rebuild(t, none)
	books := tr.judge(t)
	if len(books.Changes) != len(work) {
		t.Errorf("%d changes in the books, %d statements", len(books.Changes), len(work))
	}
	for _, r := range tr.records(t) {
		if len(r.Missing) > 0 {
			t.Errorf("%s: %v is missing", r.ID, r.Missing)
		}
	}
}

func typesOf(version int) []valueType {
	return slices.DeleteFunc(slices.Clone(valueTypes), func(v valueType) bool { return version < v.since })
}

func longest(types []valueType) int {
	n := 0
	for _, v := range types {
		n = max(n, len(v.literals))
	}
	return n
}

// columns joins what f says of each type.
func columns(types []valueType, f func(int, valueType) string) string {
	var b strings.Builder
	for i, v := range types {
		b.WriteString(f(i, v))
	}
	return b.String()
}

// preparation makes the types that the values need.
var preparation = []string{
	"create extension hstore", "create extension citext", "create extension ltree",
	"create type mood as enum ('sad', 'it''s \"ok\"', 'happy, {really}', '')",
	"create type point3 as (x int, \"y \"\"q\"\"\" text, z numeric[])",
	"create type nested as (p point3, at timestamptz, ps point3[])",
	"create domain positive as int check (value > 0)",
	"create domain words as text[]",
	"create domain spot as point3",
	"create type floats as range (subtype = float8)",
}
