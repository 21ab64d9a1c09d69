package rebuild

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"pgwitness/integration/topics"
)

// Read reads the records of a prefix: of every table's topic, of messages, and those of the control topic that tell of
// definitions.
func Read(ctx context.Context, r *topics.Reader, prefix string) ([]Record, error) {
	bounds, err := r.Bounds(ctx, prefix)
	if err != nil {
		return nil, err
	}
	var records []Record
	for _, p := range bounds {
		if p.Topic == prefix+".who" {
			continue // it has no rows
		}
		control := p.Topic == prefix+".control"
		err := r.Each(ctx, p.Topic, p.ID, p.Start, p.End, func(raw topics.Record) error {
			if control && !announcesIn(raw.Value) {
				return nil // it need not have a commit
			}
			rec, err := ParseRecord(raw.Value)
			if err == nil {
				records = append(records, rec)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return Sort(records), nil
}

// pinned are the settings under which a record's values are shown (DESIGN.md, "Values").
const pinned = `set timezone = 'UTC'; set datestyle = 'ISO'; set intervalstyle = 'postgres'; set extra_float_digits = 1;
	set bytea_output = 'hex'; set lc_monetary = 'C'; set search_path = ''; set quote_all_identifiers = off; set client_encoding = 'UTF8'`

// Compare holds the tables of a publication against the state, but for those to skip. Columns that the log does not carry are left out: before
// 18 the generated ones, from then on the virtual ones.
func Compare(ctx context.Context, c *pgx.Conn, publication string, s *State, skip func(Name) bool) (rows int, faults []Fault, err error) {
	if _, err := c.Exec(ctx, pinned); err != nil {
		return 0, nil, err
	}
	list, err := c.Query(ctx, `
		select n.nspname::text, c.relname::text, array(
			select attname::text from pg_catalog.pg_attribute where attrelid = c.oid and attnum > 0 and not attisdropped
			and (attgenerated = '' or attgenerated = 's' and current_setting('server_version_num')::int >= 180000) order by attnum)
		from pg_catalog.pg_publication_tables p
		join pg_catalog.pg_namespace n on n.nspname = p.schemaname
		join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = p.tablename
		where p.pubname = $1 and c.relkind = 'r' order by 1, 2`, publication)
	if err != nil {
		return 0, nil, err
	}
	type real struct {
		Name
		columns []string
	}
	tables, err := pgx.CollectRows(list, func(row pgx.CollectableRow) (real, error) {
		var r real
		return r, row.Scan(&r.Schema, &r.Table, &r.columns)
	})
	if err != nil {
		return 0, nil, err
	}
	for _, real := range tables {
		if skip(real.Name) {
			continue
		}
		want, err := rowsOf(ctx, c, real.Name, real.columns)
		if err != nil {
			return rows, nil, fmt.Errorf("read %s: %w", real.Name, err)
		}
		rows += len(want)
		t := s.tables[real.Name]
		if t == nil {
			t = new(table)
		}
		if got := t.texts(); t.broken == "" && !slices.Equal(got, want) {
			faults = append(faults, Fault{real.Name, fmt.Sprintf("rebuilt %d rows, real %d; rebuilt only: %.2000q; real only: %.2000q",
				len(got), len(want), minus(got, want), minus(want, got))})
		}
	}
	return rows, faults, nil
}

func rowsOf(ctx context.Context, c *pgx.Conn, n Name, columns []string) ([]string, error) {
	quoted := make([]string, len(columns))
	for i, column := range columns {
		quoted[i] = pgx.Identifier{column}.Sanitize()
	}
	list, err := c.Query(ctx, fmt.Sprintf("select pg_catalog.row_to_json(\"whole row\")::text from (select %s from only %s) \"whole row\"",
		strings.Join(quoted, ","), pgx.Identifier{n.Schema, n.Table}.Sanitize()))
	if err != nil {
		return nil, err
	}
	rows, err := pgx.CollectRows(list, pgx.RowTo[string])
	slices.Sort(rows)
	return rows, err
}

// minus lists what a has more often than b; both are sorted.
func minus(a, b []string) []string {
	var more []string
	for len(a) > 0 {
		switch {
		case len(b) == 0 || a[0] < b[0]:
			more, a = append(more, a[0]), a[1:]
		case a[0] == b[0]:
			a, b = a[1:], b[1:]
		default:
			b = b[1:]
		}
	}
	return more
}
