//go:build integration

package bench

import (
	"fmt"
	"strings"
)

// A shape is what a backlog is made of: one table or several, and the changes that fill the log. Each change has an id of
// its own, from 1 to the number of rows, so that a delivery can be judged by its keys.
type shape struct {
	columns string // of each table
	tables  int
	before  string // fills a table with the ids FIRST to LAST before the slot is made; empty for none
	change  string // of the ids FIRST to LAST of a table
	step    int    // ids a transaction; 0 for all in one
}

const eventColumns = `(id bigint primary key, customer int, status text, amount numeric(12,2), note text, at timestamptz,
	done bool, details jsonb)`

const insertEvents = `insert into TABLE select n, n % 1000, (array['new', 'paid', 'sent'])[n % 3 + 1], n / 100.0,
	'a note of the usual length, number ' || n, timestamptz '2026-01-01 00:00+00' + n * interval '1 second', n % 2 = 0,
	jsonb_build_object('source', 'web', 'n', n)
	from generate_series(FIRST, LAST) n`

const updateEvents = "update TABLE set status = 'done', amount = amount + 1 where id between FIRST and LAST"

var (
	inserts       = shape{columns: eventColumns, tables: 1, change: insertEvents, step: 1000}
	singleUpdates = shape{columns: eventColumns, tables: 1, before: insertEvents, change: updateEvents, step: 1}
	updates       = shape{columns: eventColumns, tables: 1, before: insertEvents, change: updateEvents, step: 1000}
	documents     = shape{columns: "(id bigint primary key, details jsonb)", tables: 1, step: 1000,
		change: "insert into TABLE select n, jsonb_build_object('n', n, 'text', repeat(md5(n::text), 31)) from generate_series(FIRST, LAST) n"}
)

// wide is a table of that many columns: its key, and numbers and short texts in turn.
func wide(columns int) shape {
	definition, values := "(id bigint primary key", "n"
	for i := 2; i <= columns; i++ {
		if i%2 == 0 {
			definition += fmt.Sprintf(", column_%d int", i)
			values += fmt.Sprintf(", n + %d", i)
		} else {
			definition += fmt.Sprintf(", column_%d text", i)
			values += ", 'text ' || n"
		}
	}
	return shape{columns: definition + ")", tables: 1, step: 100, change: "insert into TABLE select " + values + " from generate_series(FIRST, LAST) n"}
}

// sized is rows of that many bytes, which the server cannot compress.
func sized(bytes, step int) shape {
	return shape{columns: "(id bigint primary key, body text)", tables: 1, step: step,
		change: fmt.Sprintf("insert into TABLE select n, left(repeat(md5(n::text), %d), %d) from generate_series(FIRST, LAST) n", bytes/32+1, bytes)}
}

func (s shape) name(table int) string { return fmt.Sprintf("event_%d", table+1) }

// create makes the tables and what stands in them before the slot is made.
func (s shape) create(rows int) []string {
	var statements []string
	for t := range s.tables {
		statements = append(statements, "create table "+s.name(t)+" "+s.columns,
			"alter table "+s.name(t)+" replica identity full")
		if strings.Contains(s.columns, "body text") {
			statements = append(statements, "alter table "+s.name(t)+" alter body set storage external")
		}
		if s.before != "" {
			statements = append(statements, replace(s.before, s.name(t), "1", fmt.Sprint(rows)))
		}
	}
	return statements
}

// whole is the number of rows that full transactions make.
func (s shape) whole(rows int) int { return max(rows/max(s.step, 1), 1) * max(s.step, 1) }

// fill is the statement that makes the backlog, whose transactions it commits itself.
func (s shape) fill(rows int) string {
	step := s.step
	if step == 0 {
		step = rows
	}
	var body strings.Builder
	for t := range s.tables {
		first, last := t*step/s.tables, (t+1)*step/s.tables-1
		body.WriteString(replace(s.change, s.name(t), fmt.Sprintf("start + %d", first), fmt.Sprintf("start + %d", last)) + ";\n")
	}
	return fmt.Sprintf("do $$ begin for start in 1..%d by %d loop %s commit; end loop; end $$", rows, step, body.String())
}

func replace(statement, table, first, last string) string {
	return strings.NewReplacer("TABLE", table, "FIRST", first, "LAST", last).Replace(statement)
}
