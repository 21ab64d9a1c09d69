//go:build integration

package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"pgwitness/integration/rebuild"
	"pgwitness/integration/servers"
)

// A shape is a piece of a workload: tables and statements in a schema of its own, which bears its name. Every image of
// every record that it makes must be the audit trigger's bytes, and the tables rebuilt from the records must be the
// real ones.
type shape struct {
	name   string
	since  int      // version of PostgreSQL, 0 for all
	create []string // before the slot exists
	work   []string // each a statement, or a transaction's statements
	check  func(*testing.T, *sights)

	loose bool // the tables cannot be rebuilt, for a reason that the shape tells
}

// sights are the records of a shape.
type sights struct {
	version int
	all     []*entry
}

// TestOracle lets the server judge: a large workload of types and shapes, on tables that also carry the audit trigger,
// under settings of database and role that would print values otherwise.
func TestOracle(t *testing.T) {
	for _, version := range servers.Versions {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			t.Parallel()
			oracle(t, newTrail(t, version), version)
		})
	}
}

func oracle(t *testing.T, tr *trail, version int) {
	shapes := slices.Concat(typeShapes(version), awkwardShapes(), tableShapes, definitionShapes, transactionShapes, messageShapes, partitionShapes)
	shapes = slices.DeleteFunc(shapes, func(s shape) bool { return version < s.since })
	tr.Exec(t, slices.Concat(preparation, morePreparation)...)
	for _, s := range shapes {
		tr.inShape(t, s, s.create)
	}
	tr.setup(t, "*.*")
	tr.watched(t)
	for _, s := range slices.Concat(hostile, []string{"xmloption = 'document'", "search_path = 'types0', 'public'", "lc_monetary = '" + tr.otherMoney(t) + "'", "logical_decoding_work_mem = '64kB'"}) {
		tr.Exec(t, fmt.Sprintf("alter database %s set %s", tr.Name, s), fmt.Sprintf("alter role %s set %s", tr.slot, s))
	}
	for _, s := range shapes {
		tr.inShape(t, s, s.work)
	}
	tr.catchUp(t, time.Minute)

	everything := tr.everything(t)
	checkLast(t, everything)
	entries := slices.DeleteFunc(everything, (*entry).ofControl)
	tr.compareWithAudit(t, entries)
	bySchema := make(map[string][]*entry)
	for _, e := range entries {
		schema := e.Schema
		if e.Message != nil {
			schema = e.Message.Prefix
		}
		bySchema[schema] = append(bySchema[schema], e)
	}
	for _, s := range shapes {
		t.Run(s.name, func(t *testing.T) {
			if len(bySchema[s.name]) == 0 {
				t.Fatal("no records")
			}
			if s.check != nil {
				s.check(t, &sights{version, bySchema[s.name]})
			}
		})
	}
	tr.rebuild(t, func(n rebuild.Name) bool {
		return slices.ContainsFunc(shapes, func(s shape) bool { return s.loose && s.name == n.Schema })
	})
}

// inShape runs statements with the shape's schema in the search path. The literals are written for these settings,
// which win over the database's.
func (tr *trail) inShape(t *testing.T, s shape, statements []string) {
	t.Helper()
	tr.Exec(t, slices.Concat([]string{
		"create schema if not exists " + pgx.Identifier{s.name}.Sanitize(),
		"set search_path = " + pgx.Identifier{s.name}.Sanitize() + ", public",
		"set datestyle = 'ISO, YMD'; set standard_conforming_strings = on; set intervalstyle = 'postgres'; set xmloption = 'content'",
	}, statements)...)
}

// otherMoney is a locale of this server that prints money in another way than C, or C where it has none.
func (tr *trail) otherMoney(t *testing.T) string {
	t.Helper()
	ctx := t.Context()
	c := tr.Connect(t)
	rows, err := c.Query(ctx, "select distinct collcollate from pg_collation where collprovider = 'c' and collcollate ~ '_' order by 1")
	if err != nil {
		t.Fatal(err)
	}
	locales, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for _, locale := range locales {
		var shown string
		if _, err := c.Exec(ctx, "select set_config('lc_monetary', $1, false)", locale); err != nil {
			continue
		}
		if err := c.QueryRow(ctx, "select 1234.5::money::text").Scan(&shown); err == nil && shown != "$1,234.50" {
			return locale
		}
	}
	t.Log("this server has no locale with another money than C")
	return "C"
}

// checkLast looks for the one record of each transaction that says it is the last.
func checkLast(t *testing.T, entries []*entry) {
	t.Helper()
	for i, e := range entries {
		end := i+1 == len(entries) || entries[i+1].at != e.at
		if e.Tx.Ordinal == 0 {
			end = false // a non-transactional message
		}
		if e.Tx.Last != end {
			t.Errorf("%s: last is %v", e.ID, e.Tx.Last)
		}
		if i > 0 && entries[i-1].at == e.at && entries[i-1].Tx.Ordinal >= e.Tx.Ordinal {
			t.Errorf("%s: its ordinal comes twice", e.ID)
		}
	}
}

// rebuild makes the tables again from the records and compares them with the real ones: once as the workload tells of
// definitions, but for the tables to skip, and once by nothing but the trail.
func (tr *trail) rebuild(t *testing.T, skip func(rebuild.Name) bool) {
	t.Helper()
	records, err := rebuild.Read(t.Context(), tr.reader, tr.prefix)
	if err != nil {
		t.Fatal(err)
	}
	tr.replay(t, records, rebuild.ByWorkload, skip)
	if tr.Text(t, "select count(*) > 0 from pg_event_trigger where evtname ~ '^pgwitness'") == "true" {
		tr.replay(t, records, rebuild.ByTrail, none)
	}
}

func (tr *trail) replay(t *testing.T, records []rebuild.Record, by rebuild.Teller, skip func(rebuild.Name) bool) {
	t.Helper()
	state, faults := rebuild.Replay(records, by)
	rows, differences, err := rebuild.Compare(t.Context(), tr.Connect(t), tr.slot, state, skip)
	if err != nil {
		t.Fatal(err)
	}
	faults = slices.DeleteFunc(faults, func(f rebuild.Fault) bool { return skip(f.Name) })
	faults = append(faults, differences...)
	for i, f := range faults {
		if i == 20 {
			t.Errorf("… %d faults in all", len(faults))
			break
		}
		t.Errorf("rebuild: %s", f)
	}
	t.Logf("%d rows rebuilt from %d records; announced as unknown: %v", rows, len(records), state.Broken())
}

// none of the tables.
func none(rebuild.Name) bool { return false }

// lines are the records in short, one a line.
func (s *sights) lines() []string {
	var lines []string
	for _, e := range s.all {
		lines = append(lines, line(e))
	}
	return lines
}

func line(e *entry) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", e.Op, e.Table)
	if e.Key != nil && string(e.Key) != "null" {
		fmt.Fprintf(&b, " key %s", e.Key)
	}
	if e.Before != nil {
		fmt.Fprintf(&b, " before %s", e.Before)
	}
	if e.After != nil {
		fmt.Fprintf(&b, " after %s", e.After)
	}
	if e.Op == "update" {
		fmt.Fprintf(&b, " changed %s", strings.Join(e.Changed, ","))
	}
	if e.Missing != nil {
		fmt.Fprintf(&b, " missing %s", strings.Join(e.Missing, ","))
	}
	if e.Opaque != nil {
		fmt.Fprintf(&b, " opaque %s", strings.Join(e.Opaque, ","))
	}
	if e.Truncate != nil && e.Truncate.Cascade {
		b.WriteString(" cascade")
	}
	if e.Truncate != nil && e.Truncate.RestartIdentity {
		b.WriteString(" restart identity")
	}
	if e.Message != nil && e.Message.Content != nil {
		fmt.Fprintf(&b, "%q", *e.Message.Content)
	}
	if e.Message != nil && e.Message.ContentHex != nil {
		fmt.Fprintf(&b, "hex %s", *e.Message.ContentHex)
	}
	return b.String()
}

// want expects the shape's records in short.
func want(lines ...string) func(*testing.T, *sights) {
	return func(t *testing.T, s *sights) {
		t.Helper()
		if got := s.lines(); !slices.Equal(got, lines) {
			t.Errorf("\n got\n\t%.4000s\nwant\n\t%.4000s", strings.Join(got, "\n\t"), strings.Join(lines, "\n\t"))
		}
	}
}

// each expects something of every record of the shape.
func each(f func(*entry) string) func(*testing.T, *sights) {
	return func(t *testing.T, s *sights) {
		t.Helper()
		for _, e := range s.all {
			if fault := f(e); fault != "" {
				t.Errorf("%s: %s: %s", e.ID, line(e), fault)
			}
		}
	}
}
