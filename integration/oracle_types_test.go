//go:build integration

package integration

import (
	"fmt"
	"slices"
	"strings"
)

// moreTypes are types beside valueTypes: rarer ones of the server, and those of extensions.
var moreTypes = []valueType{
	{"xml", 0, []string{"'<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n<a>\n</a>'", "'text only'"}},
	{`"char"`, 0, []string{"'\\001'", "'\n'"}},
	{"nothing", 0, []string{"row()", "null"}},
	{"single", 0, []string{"row(null)", "row('')", "row('null')", "row(' ')", "row('\"')"}},
	{"deep", 0, []string{"row(row(row(row(row('\"\\,()', '{\"\\\"\", null}')))))"}},
	{"bpchar", 0, []string{"'a  '"}},
	{"timestamptz(3)", 0, []string{"'2026-03-05 01:02:03.123456+01'"}},
	{"timestamp(0)", 0, []string{"'2026-03-05 01:02:03.9'"}},
	{"interval year to month", 0, []string{"'1-2'"}},
	{"interval(0)", 0, []string{"'1.7 sec ago'"}},
	{"refcursor", 0, []string{"'a cursor'"}},
	{"aclitem", 0, []string{"'postgres=r*w/postgres'"}},
	{"txid_snapshot", 0, []string{"'10:20:10,14,15'"}},
	{"regoper", 0, []string{"'||/'"}},
	{"regdictionary", 0, []string{"'simple'"}},
	{"regcollation", 0, []string{`'"C"'`}},
	{"regclass", 0, []string{`'types0."odd ""name"""'`}},
	{"regtype", 0, []string{"'point3'", "'point3[]'"}},
	{"int8range", 0, []string{"'[-9223372036854775808,9223372036854775807)'"}},
	{"tsrange", 0, []string{"'[\"0044-03-15 12:00 BC\",infinity]'"}},
	{"int8multirange", 0, []string{"'{[1,2),(5,)}'"}},
	{"nummultirange", 0, []string{"'{[1.10,2],[3,Infinity]}'"}},
	{"tsmultirange", 0, []string{"'{[2026-01-01,2026-01-02)}'"}},
	{"tstzmultirange", 0, []string{"'{[2026-01-01 00:00+05:30,2026-01-02 00:00Z)}'"}},
	{"datemultirange", 0, []string{"'{[2026-01-01,2026-01-02],[0044-03-15 BC,0044-03-16 BC]}'"}},
	{"words_range", 0, []string{`'["a ""q""","b,c")'`, `'["",NULL)'`, `'["(","\\\\"]'`}},
	{"words_multirange", 0, []string{`'{["a","b,c"),["x ""y""","z}"]}'`}},
	{"lquery", 0, []string{"'a.*{1,2}.!b|c'"}},
	{"ltxtquery", 0, []string{"'a & !b'"}},
	{"cube", 0, []string{"'(1,2),(3,4.5)'", "'(0.1)'"}},
	{"seg", 0, []string{"'1.5 .. 2.50'", "'~0.5'"}},
	{"isbn13", 0, []string{"'978-0-393-04002-9'"}},
	{"types0.element", 0, []string{"row(1, array[row(2, 'x', '{1}')::point3], '{\"a\" : 1}')", "row(null, null, null)"}},
	{"enum_of_odd", 0, []string{"'true'", "'1'", "'NULL'", "'a''b'", "'\\'"}},
	{"domain2", 0, []string{"row(1, 'q\"u', '{1.10,NULL}')"}},
	{"domain_of_enum", 0, []string{"'sad'"}},
	{"domain_of_hstore", 0, []string{"'a=>\"b c\", \"d\"=>NULL'"}},
	{"domain_of_json", 0, []string{"' {\"a\" : [1 , 2]} '"}},
	{"domain_of_range", 0, []string{"'[1,5]'"}},
	{"domain_of_stamp", 0, []string{"'2026-03-05 01:02:03+05:30'"}},
}

var morePreparation = []string{
	"create extension cube", "create extension seg", "create extension isn",
	"create type words_range as range (subtype = text, multirange_type_name = words_multirange)",
	"create type enum_of_odd as enum ('true', '1', 'NULL', 'a''b', '\\')",
	"create domain domain2 as spot",
	"create domain domain_of_enum as mood", "create domain domain_of_hstore as hstore", "create domain domain_of_json as json",
	"create domain domain_of_range as int4range", "create domain domain_of_stamp as timestamptz",
	"create schema types0", "create type nothing as ()", "create type single as (v text)", "create type deep4 as (v text, l text[])",
	"create type deep3 as (d deep4)", "create type deep2 as (d deep3)", "create type deep1 as (d deep2)", "create type deep as (d deep1)",
	`create table types0."odd ""name""" (id int)`,
	"create table types0.element (id int, ps point3[], j json)",
}

// derived are the ways in which a type of another type is made.
var derived = []struct{ column, kind, value string }{ // K is the type, N its number, V a value, VV all of them
	{"plain", "K", "V"},
	{"list", "K[]", "array[VV, null]::K[]"},
	{"grid", "K[]", "array[[V],[null]]::K[]"},
	{"object", "cN", "row(V, array[VV, null]::K[], -1)::cN"},
	{"objects", "cN[]", "array[row(V, array[VV]::K[], 0), null, row(null, '{}', null)]::cN[]"},
	{"alias", "dN", "V::dN"},
	{"aliases", "dN[]", "array[V::dN, null]::dN[]"},
}

// typeShapes are tables of every type, of arrays and composites of each, arrays of such composites, and domains over
// each and arrays of such domains.
func typeShapes(version int) []shape {
	types := slices.DeleteFunc(slices.Concat(valueTypes, moreTypes), func(v valueType) bool {
		return version < v.since || strings.HasSuffix(v.kind, "[]")
	})
	var shapes []shape
	for n, chunk := range slices.Collect(slices.Chunk(types, 25)) {
		s := shape{name: fmt.Sprintf("types%d", n), check: each(func(e *entry) string {
			if e.Missing != nil || e.Encoding != nil || e.Opaque != nil {
				return "a value is not shown as the server shows it"
			}
			return ""
		})}
		var columns []string
		for i, v := range chunk {
			s.create = append(s.create, fmt.Sprintf(`create type c%d as (v %[2]s, " w ""x""" %[2]s[], n int)`, i, v.kind),
				fmt.Sprintf("create domain d%d as %s", i, v.kind))
			for _, d := range derived {
				columns = append(columns, fmt.Sprintf("%s%d %s", d.column, i, derive(d.kind, v.kind, i)))
			}
		}
		s.create = append(s.create, fmt.Sprintf("create table t (id int primary key, %s)", strings.Join(columns, ", ")))
		for row := range longest(chunk) {
			var values []string
			for i, v := range chunk {
				values = append(values, derivedValues(v, i, row)...)
			}
			s.work = append(s.work, fmt.Sprintf("insert into t values (%d, %s)", row, strings.Join(values, ", ")))
		}
		s.work = append(s.work, "update t set id = id + 100 where id > 0", "insert into t values (-1)",
			"update t set plain0 = null where id < 101", "delete from t where id > 100")
		shapes = append(shapes, s)
	}
	return shapes
}

func derivedValues(v valueType, number, row int) []string {
	var values, all []string
	for _, literal := range v.literals {
		if !strings.Contains(literal, "30000") { // once in a table is enough of the long one
			all = append(all, fmt.Sprintf("cast(%s as %s)", literal, v.kind))
		}
	}
	for _, d := range derived {
		value := derive(d.value, v.kind, number)
		value = strings.NewReplacer("VV", strings.Join(all, ", "), "V", all[row%len(all)]).Replace(value)
		values = append(values, value)
	}
	return values
}

func derive(pattern, kind string, number int) string {
	return strings.NewReplacer("K", kind, "N", fmt.Sprint(number)).Replace(pattern)
}
