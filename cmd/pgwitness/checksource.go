package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// source judges the PostgreSQL side. Without a connection there is one finding and no survey.
func (f *findings) source(ctx context.Context, cfg *config, stderr io.Writer) (*survey, error) {
	if _, err := parseSource(cfg); err != nil {
		return nil, err
	}
	conn, err := connect(ctx, cfg, "check", stderr)
	if err != nil {
		f.wrong("connection", "mend --source, the network or pg_hba.conf", "%s", err)
		return nil, ctx.Err()
	}
	defer conn.Close(ctx)
	s, err := takeSurvey(ctx, conn, cfg, "")
	if err != nil {
		return nil, err
	}
	var server serverState
	if err := server.read(ctx, conn); err != nil {
		return nil, fmt.Errorf("read the server's settings: %w", err)
	}
	f.ok("connection", "%s, PostgreSQL %s", sourceName(conn.Config()), printable(s.versionText))
	f.server(s, &server)
	f.role(s)
	f.replication(ctx, cfg)
	f.slot(s, cfg, &server)
	if err := f.takeover(ctx, conn, s, cfg); err != nil {
		return nil, err
	}
	f.holding(ctx, s, cfg, &server)
	f.publication(s, cfg)
	f.triggers(s, cfg)
	f.forgeries(s)
	f.contexts(s)
	f.tables(s, cfg)
	return s, f.masks(ctx, conn, cfg)
}

// A serverState is what check asks beyond the survey.
type serverState struct {
	slots, maxSlots           int
	walsenders, maxWalsenders int
	maxSlotWALKeepSize        string
	walSenderTimeoutMillis    int
	idleSlotTimeout           string // from 18
}

func (s *serverState) read(ctx context.Context, conn *pgx.Conn) error {
	return conn.QueryRow(ctx, `
		select (select count(*) from pg_replication_slots), current_setting('max_replication_slots')::int,
		       (select count(*) from pg_stat_replication), current_setting('max_wal_senders')::int,
		       current_setting('max_slot_wal_keep_size'), (select setting::int from pg_settings where name = 'wal_sender_timeout'),
		       coalesce(current_setting('idle_replication_slot_timeout', true), '0')`,
	).Scan(&s.slots, &s.maxSlots, &s.walsenders, &s.maxWalsenders, &s.maxSlotWALKeepSize, &s.walSenderTimeoutMillis,
		&s.idleSlotTimeout)
}

func (f *findings) server(s *survey, server *serverState) {
	if s.version < 140000 {
		f.wrong("version", "upgrade the server", "PostgreSQL %s is too old: 14 or later is needed", s.versionText)
	}
	if s.recovery {
		f.wrong("server", "use the primary", "it is a standby")
	}
	if s.walLevel != "logical" {
		f.wrong("wal_level", "alter system set wal_level = 'logical';  -- then restart the server", "%s: the log carries no rows", s.walLevel)
	} else {
		f.ok("wal_level", "logical")
	}
	switch ms := server.walSenderTimeoutMillis; {
	case ms == 0:
		f.warn("wal_sender_timeout", "alter system set wal_sender_timeout = '1min'; select pg_reload_conf();", "0: the server never notices that a reader is gone, and the slot stays taken")
	case ms < 5000:
		f.warn("wal_sender_timeout", "alter system set wal_sender_timeout = '1min'; select pg_reload_conf();", "%d ms: a short pause of the network ends the session", ms)
	default:
		f.ok("wal_sender_timeout", "%d s", ms/1000)
	}
	if server.maxSlotWALKeepSize == "-1" {
		f.note("max_slot_wal_keep_size", "-1: the server keeps all log that the slot needs, until its disk is full; watch the retained log")
	} else {
		f.note("max_slot_wal_keep_size", "%s: when the slot is behind by more than that it is lost, and the trail has a gap", server.maxSlotWALKeepSize)
	}
	if server.idleSlotTimeout != "0" {
		f.warn("idle_replication_slot_timeout", "alter system set idle_replication_slot_timeout = 0; select pg_reload_conf();",
			"%s: a slot that nobody reads for longer is lost, and the trail has a gap", server.idleSlotTimeout)
	}
}

// revokeMessages takes the right to write logical messages from a role, or "public" (signatures: pg_proc.dat of 14 and 17).
func revokeMessages(version int, from string) string {
	last := ""
	if version >= 170000 {
		last = ", boolean"
	}
	return fmt.Sprintf("revoke execute on function pg_logical_emit_message(boolean, text, text%s), pg_logical_emit_message(boolean, text, bytea%s) from %s", last, last, from)
}

func (f *findings) role(s *survey) {
	me := quoteIdent(s.me.name)
	switch {
	case s.me.superuser:
		f.warn("role", "connect as a role that setup makes", "%s is a superuser: more than pgwitness needs", displayPart(s.me.name))
	case !s.me.replication:
		f.wrong("role", "alter role "+me+" replication;", "%s lacks REPLICATION: it cannot read the slot", displayPart(s.me.name))
	default:
		f.ok("role", "%s may replicate", displayPart(s.me.name))
	}
	if !s.me.readStats {
		f.warn("role", "grant pg_read_all_stats to "+me+";", "%s is no member of pg_read_all_stats: of other roles' sessions it sees no address", displayPart(s.me.name))
	}
}

// replication opens a session as capture does: pg_hba.conf and the role's rights may allow the one and not the other.
func (f *findings) replication(ctx context.Context, cfg *config) {
	_, err := tryReplication(ctx, cfg, "database")
	if err != nil {
		f.wrong("replication", "mend the role's rights or pg_hba.conf", "no replication connection: %s", err)
		return
	}
	f.ok("replication", "a replication connection opens")
}

func (f *findings) slot(s *survey, cfg *config, server *serverState) {
	k, name := s.slot, cfg.Source.Slot
	if k == nil {
		f.wrong("slot", "pgwitness setup --apply", "%s does not exist", name)
		if server.slots >= server.maxSlots {
			f.wrong("slots", "drop one, or raise max_replication_slots and restart the server", "all %d are taken", server.maxSlots)
		}
	} else {
		f.existingSlot(s, k, name)
	}
	if server.walsenders >= server.maxWalsenders && (k == nil || !k.active) {
		f.wrong("walsenders", "raise max_wal_senders and restart the server", "all %d are taken", server.maxWalsenders)
	} else {
		f.ok("walsenders", "%d of %d are taken", server.walsenders, server.maxWalsenders)
	}
}

func (f *findings) existingSlot(s *survey, k *slot, name string) {
	const another = "choose another with --slot"
	drop := "select pg_drop_replication_slot(" + quoteLiteral(name) + ");  -- then pgwitness setup --apply"
	switch {
	case k.kind != "logical":
		f.wrong("slot", another, "%s is a physical one", name)
	case k.plugin != "pgoutput":
		f.wrong("slot", another, "%s belongs to the output plugin %s; pgoutput is needed", name, k.plugin)
	case k.database != s.database:
		f.wrong("slot", another, "%s belongs to database %s, not %s", name, displayPart(k.database), displayPart(s.database))
	case k.walStatus == "lost":
		f.wrong("slot", drop, "%s is lost%s: the log that it needs is gone; changes that were not delivered are missing from the trail", name, because(k.invalidation))
	case k.temporary:
		f.wrong("slot", drop, "%s is temporary: it ends with the session that made it", name)
	case k.twoPhase:
		f.wrong("slot", drop, "%s decodes prepared transactions at PREPARE, before they are committed", name)
	case k.active:
		f.ok("slot", "%s is read by %s", name, k.holder)
	default:
		f.ok("slot", "%s, nobody reads it; the server keeps %s of log for it", name, bytesText(k.retainedBytes))
	}
	if k.walStatus == "unreserved" {
		f.warn("slot", "let pgwitness catch up, or raise max_slot_wal_keep_size", "%s is about to be lost: the next checkpoint may remove log that it needs", name)
	}
}

func (f *findings) publication(s *survey, cfg *config) {
	p, name, quoted := s.publication, displayPart(cfg.Source.Publication), quoteIdent(cfg.Source.Publication)
	if p == nil {
		f.wrong("publication", "pgwitness setup --apply", "%s does not exist", name)
		return
	}
	if p.verbs() == "insert, update, delete, truncate" {
		f.ok("publication", "%s publishes all verbs", name)
	} else {
		f.wrong("publication", "alter publication "+quoted+" set (publish = 'insert, update, delete, truncate');", "%s leaves verbs out: it publishes %s", name, p.verbs())
	}
	if p.viaRoot {
		f.wrong("publication", "alter publication "+quoted+" set (publish_via_partition_root = false);", "%s has publish_via_partition_root: a TRUNCATE of one partition is lost", name)
	}
	if p.allTables {
		f.warn("publication", "make one with pgwitness setup --all-tables", "%s is FOR ALL TABLES: updates and deletes fail in the application on every table without a replica identity", name)
	}
	if len(p.schemas) > 0 {
		f.note("publication", "%s publishes whole schemas (%s): a new table without a key refuses updates until it has a replica identity", name, strings.Join(p.schemas, ", "))
	}
	if !slices.ContainsFunc(s.tables, func(t *table) bool { return t.published }) {
		f.wrong("publication", "pgwitness setup --tables … --apply", "%s publishes no table", name)
	}
}

// tables judges the tables one by one, and lists those that the trail does not cover.
func (f *findings) tables(s *survey, cfg *config) {
	full := 0
	var unpublished, unlogged, generated []string
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
		case t.persistence == "u" && (t.kind == "r" || t.kind == "p"):
			unlogged = append(unlogged, t.String())
		case t.kind == "r" || t.kind == "p":
			unpublished = append(unpublished, t.String())
		}
	}
	if full > 0 {
		f.ok("replica identity", "full (published tables: %d)", full)
	}
	f.list("not published", "tables not in the trail (%d): %s", unpublished)
	f.list("unlogged", "tables that are not in the log and cannot be in the trail (%d): %s", unlogged)
	f.list("generated columns", "tables with columns that are not in the log (%d): %s", generated)
}

// list notes some names of many.
func (f *findings) list(about, format string, names []string) {
	if len(names) == 0 {
		return
	}
	shown := strings.Join(names[:min(len(names), 20)], ", ")
	if len(names) > 20 {
		shown += ", …"
	}
	f.note(about, format, len(names), shown)
}

// identity judges a table's replica identity and reports whether it is full.
func (f *findings) identity(s *survey, cfg *config, t *table) bool {
	const about = "replica identity"
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
		f.wrong("publication", mend, "a row filter on %s: changes are missing", t)
	}
	if t.columns {
		f.wrong("publication", mend, "a column list on %s: columns are missing", t)
	}
}
