package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

func (f *findings) publication(s *survey, cfg *config) {
	p, name, quoted := s.publication, displayPart(cfg.Source.Publication), quoteIdent(cfg.Source.Publication)
	if p == nil {
		f.wrong(aboutPublication, "pgwitness setup --apply", "%s does not exist", name)
		return
	}
	published := 0
	for _, t := range s.tables {
		if t.published && t.kind == "r" {
			published++
		}
	}
	if published == 0 {
		f.wrong(aboutPublication, "pgwitness setup --tables … --apply", "%s publishes no table", name)
	} else {
		f.ok(aboutPublication, "%s publishes %d tables", name, published)
	}
	switch verbs := p.verbs(); {
	case verbs == allOperations:
		f.ok(aboutVerbs, "%s publishes all verbs", name)
	case cfg.allows(fewerOperations):
		f.note(aboutVerbs, "%s leaves verbs out, as is allowed: it publishes %s", name, verbs)
	default:
		f.wrong(aboutVerbs, "alter publication "+quoted+" set (publish = '"+allOperations+"');", "%s leaves verbs out: it publishes %s", name, verbs)
	}
	if p.viaRoot {
		f.wrong(aboutViaRoot, "alter publication "+quoted+" set (publish_via_partition_root = false);", "%s has publish_via_partition_root: a TRUNCATE of one partition is lost", name)
	} else {
		f.ok(aboutViaRoot, "partitions are published as themselves")
	}
	switch {
	case p.allTables:
		f.warn(aboutScope, "make one with pgwitness setup --all-tables", "%s is FOR ALL TABLES: updates and deletes fail in the application on every table without a replica identity", name)
	case len(p.schemas) > 0:
		f.note(aboutScope, "%s publishes whole schemas (%s): a new table without a key refuses updates until it has a replica identity", name, strings.Join(p.schemas, ", "))
	default:
		f.ok(aboutScope, "%s lists its tables by name", name)
	}
}

// tables judges the tables one by one, and lists those that the trail does not cover.
func (f *findings) tables(s *survey, cfg *config) {
	full := 0
	var unpublished, unlogged, foreign, generated []string
	for _, t := range s.tables {
		switch {
		case t.published:
			if t.kind == "r" && f.identity(s, cfg, t) {
				full++
			}
			f.filters(cfg, t)
			if len(t.virtual) > 0 || len(t.stored) > 0 && !s.publication.generated {
				generated = append(generated, fmt.Sprintf("%s (%s)", t, strings.Join(slices.Concat(t.stored, t.virtual), ", ")))
			}
		case t.schema == ownSchema:
		case t.kind == "f":
			foreign = append(foreign, t.String())
		case t.persistence == "u" && (t.kind == "r" || t.kind == "p"):
			unlogged = append(unlogged, t.String())
		case t.kind == "r" || t.kind == "p":
			unpublished = append(unpublished, t.String())
		}
	}
	if full > 0 {
		f.ok(aboutIdentity, "full (published tables: %d)", full)
	}
	f.otherwise(aboutFilters, "none: all rows are published")
	f.otherwise(aboutColumns, "none: all columns are published")
	f.list(aboutUnpublished, "none", "tables not in the trail (%d): %s", unpublished)
	f.list(aboutUnlogged, "none", "tables that are not in the log and cannot be in the trail (%d): %s", unlogged)
	f.list(aboutForeign, "none", "foreign tables: their rows are not in this server's log (%d): %s", foreign)
	f.list(aboutGenerated, "all columns are in the log", "tables with columns that are not in the log (%d): %s", generated)
}

// list notes some names of many.
func (f *findings) list(a about, none, format string, names []string) {
	if len(names) == 0 {
		f.ok(a, "%s", none)
		return
	}
	f.note(a, format, len(names), someOf(names))
}

// identity judges a table's replica identity and reports whether it is full.
func (f *findings) identity(s *survey, cfg *config, t *table) bool {
	about := aboutIdentity.of(t.String())
	name := quoteIdent(t.schema, t.name)
	toFull := "alter table only " + name + " replica identity full;"
	unpublishedGenerated := len(t.virtual) > 0 || s.version >= 180000 && len(t.stored) > 0 && !s.publication.generated
	switch {
	case t.identity == "f" && len(t.virtual) > 0:
		f.wrong(about, "alter table only "+name+" replica identity default;", "%s has a virtual generated column, which an identity cannot contain: its updates and deletes fail in the application", t)
	case t.identity == "f" && unpublishedGenerated:
		f.wrong(about, "alter publication "+quoteIdent(cfg.Source.Publication)+" set (publish_generated_columns = stored);", "%s has a stored generated column that is not published: its updates and deletes fail in the application", t)
	case t.identity == "f" && t.publishedElsewhere != "":
		f.wrong(about, "set publish_generated_columns = stored there", "%s has a generated column that publication %s leaves out: its updates and deletes fail in the application", t, t.publishedElsewhere)
	case t.identity == "f":
		return true
	case t.identity == "n", t.identity == "d" && !t.primaryKey, t.identity == "i" && !t.identityIndex:
		f.wrong(about, toFull, "%s has none: its updates and deletes fail in the application", t)
	case len(t.virtual) > 0:
		f.note(about, "%s carries the key of an old row only: it has a virtual generated column", t)
	default:
		f.warn(about, toFull, "%s carries the key of an old row only: what the other columns were is not in the trail", t)
	}
	return false
}

func (f *findings) filters(cfg *config, t *table) {
	publication, name := quoteIdent(cfg.Source.Publication), quoteIdent(t.schema, t.name)
	mend := "begin; alter publication " + publication + " drop table only " + name + "; alter publication " + publication + " add table only " + name + "; commit;"
	if t.filtered {
		f.wrong(aboutFilters.of(t.String()), mend, "a row filter on %s: changes are missing", t)
	}
	if t.columns {
		f.wrong(aboutColumns.of(t.String()), mend, "a column list on %s: columns are missing", t)
	}
}

// A tableUse is what check asks of the tables' use.
type tableUse struct {
	largeObjects int         // counted up to manyLargeObjects
	locked       [][2]string // table, and the session that holds it
}

const manyLargeObjects = 10000

func (u *tableUse) read(ctx context.Context, conn *pgx.Conn) error {
	err := conn.QueryRow(ctx, "select count(*) from (select from pg_largeobject_metadata limit $1) l", manyLargeObjects).Scan(&u.largeObjects)
	if err != nil {
		return err
	}
	rows, err := conn.Query(ctx, `
		select n.nspname::text, c.relname::text, `+sessionText+`
		  from pg_locks l join pg_class c on c.oid = l.relation join pg_namespace n on n.oid = c.relnamespace
		  left join pg_stat_activity using (pid)
		 where l.locktype = 'relation' and l.mode = 'AccessExclusiveLock' and l.granted and c.relkind in ('r', 'p')
		   and l.database = (select oid from pg_database where datname = current_database()) order by 1, 2`)
	if err != nil {
		return err
	}
	var schema, name, holder string
	_, err = pgx.ForEachRow(rows, []any{&schema, &name, &holder}, func() error {
		u.locked = append(u.locked, [2]string{displayName(schema, name), holder})
		return nil
	})
	return err
}

// use judges what goes past the rows: large objects, and statements that hold a table for themselves, as rewrites do.
func (f *findings) use(s *survey, u *tableUse) {
	switch {
	case u.largeObjects >= manyLargeObjects:
		f.note(aboutLargeObjects, "%d or more are in use: what is written to them is not in the trail", manyLargeObjects)
	case u.largeObjects > 0:
		f.note(aboutLargeObjects, "%d are in use: what is written to them is not in the trail", u.largeObjects)
	default:
		f.ok(aboutLargeObjects, "none is in use")
	}
	for _, lock := range u.locked {
		if slices.ContainsFunc(s.tables, func(t *table) bool { return t.published && t.String() == lock[0] }) {
			f.note(aboutRewrites.of(lock[0]), "%s is held by a statement such as ALTER TABLE or TRUNCATE, which may rewrite it (%s): its rows change when that commits", lock[0], printable(lock[1]))
		}
	}
	f.otherwise(aboutRewrites, "no published table is being altered")
}
