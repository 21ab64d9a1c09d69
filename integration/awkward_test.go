//go:build integration

package integration

import (
	"fmt"
	"strings"
	"testing"

	"pgwitness/integration/rebuild"
)

// awkward is one row of values that peers of this product get wrong: what each must be, to the byte.
var awkward = []struct{ name, kind, literal, want string }{
	{"numeric beyond float64", "numeric", "12345678901234567890.123456789", `12345678901234567890.123456789`},
	{"numeric NaN", "numeric", "'NaN'", `"NaN"`},
	{"numeric Infinity", "numeric", "'Infinity'", `"Infinity"`},
	{"jsonb beyond float64", "jsonb", "'9007199254740993'", `9007199254740993`},
	{"timestamptz infinity", "timestamptz", "'infinity'", `"infinity"`},
	{"timestamptz -infinity", "timestamptz", "'-infinity'", `"-infinity"`},
	{"44 BC", "date", "'0044-03-15 BC'", `"0044-03-15 BC"`},
	{"44 BC timestamp", "timestamp", "'0044-03-15 12:00:00 BC'", `"0044-03-15T12:00:00 BC"`},
	{"44 BC timestamptz", "timestamptz", "'0044-03-15 12:00:00+00 BC'", `"0044-03-15T12:00:00+00:00 BC"`},
	{"timestamp year 12024", "timestamp", "'12024-05-06 07:08:09'", `"12024-05-06T07:08:09"`},
	{"uuid", "uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", `"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"`},
	{"array of arrays", "int[]", "'{{1,2},{3,4}}'", `[[1,2],[3,4]]`},
	{"interval", "interval", "'1 year 2 mons -3 days 04:05:06.789'", `"1 year 2 mons -3 days +04:05:06.789"`},
	{"timetz", "timetz", "'13:14:15.5-03:30'", `"13:14:15.5-03:30"`},
	{"composite", "point3", `row(1, 'q"', '{1.10,NULL}')`, `{"x":1,"y \"q\"":"q\"","z":[1.10,null]}`},
	{"multirange", "int4multirange", "'{[1,3),[5,7)}'", `"{[1,3),[5,7)}"`},
	{"array of money", "money[]", "array[1234.5::money, null]", `["$1,234.50",null]`},
	{"pg_lsn", "pg_lsn", "'16/B374D848'", `"16/B374D848"`},
}

const big = 1_700_000 // bytes of a text

// awkwardShapes are the lines of the table of what peers get wrong: the values in one row, each a test by itself.
func awkwardShapes() []shape {
	var columns, values []string
	for i, a := range awkward {
		columns = append(columns, fmt.Sprintf("v%d %s", i, a.kind))
		values = append(values, fmt.Sprintf("cast(%s as %s)", a.literal, a.kind))
	}
	row := shape{name: "awkward row",
		create: []string{"create table row (" + strings.Join(columns, ", ") + ")"},
		work:   []string{"insert into row values (" + strings.Join(values, ", ") + ")", "update row set v0 = v0 + 1", "delete from row"},
		check: func(t *testing.T, s *sights) {
			shown, err := rebuild.ParseRow(string(s.all[0].After))
			if err != nil || len(shown) != len(awkward) {
				t.Fatal(err, s.lines())
			}
			for i, a := range awkward {
				t.Run(a.name, func(t *testing.T) {
					if shown[i].Value != a.want {
						t.Errorf("got %s, want %s", shown[i].Value, a.want)
					}
				})
			}
		}}
	value := strings.Repeat("x", big)
	return []shape{row,
		{name: "awkward unchanged TOAST, key changes",
			create: []string{"create table toast (id int primary key, v text, n int)", "alter table toast alter v set storage external"},
			work: []string{
				"insert into toast values (1, repeat('x', 1700000), 0)", "update toast set id = 2 where id = 1",
				"alter table toast replica identity default", "update toast set id = 3 where id = 2", "update toast set n = 1",
			},
			check: want(
				fmt.Sprintf(`insert toast key {"id":1} after {"id":1,"v":"%s","n":0}`, value),
				fmt.Sprintf(`update toast key {"id":1} before {"id":1,"v":"%[1]s","n":0} after {"id":2,"v":"%[1]s","n":0} changed id`, value),
				`update toast key {"id":2} before {"id":2} after {"id":3,"n":0} changed id missing v,n`,
				`update toast key {"id":3} before {"id":3} after {"id":3,"n":1} changed  missing v,n`,
			)},
		{name: "awkward DELETE, default identity",
			create: []string{"create table gone (id int primary key, a int not null, b text not null, c timestamptz not null)"},
			work:   []string{"alter table gone replica identity default", "insert into gone values (1, 5, 'x', 'epoch')", "delete from gone"},
			check: want(`insert gone key {"id":1} after {"id":1,"a":5,"b":"x","c":"1970-01-01T00:00:00+00:00"}`,
				`delete gone key {"id":1} before {"id":1} missing a,b,c`)},
		{name: "awkward a row of 1.7 MB",
			create: []string{"create table large (id int primary key, v text)"},
			work:   []string{"insert into large values (1, repeat('x', 1700000))", "delete from large"},
			check: want(
				fmt.Sprintf(`insert large key {"id":1} after {"id":1,"v":"%s"}`, value),
				fmt.Sprintf(`delete large key {"id":1} before {"id":1,"v":"%s"}`, value),
			)},
	}
}
