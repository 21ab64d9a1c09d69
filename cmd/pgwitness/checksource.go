package main

import (
	"context"
	"fmt"
	"io"
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
		f.wrong(aboutConnection, "mend --source, the network or pg_hba.conf", "%s", err)
		return nil, ctx.Err()
	}
	defer conn.Close(ctx)
	s, err := takeSurvey(ctx, conn, cfg, "")
	if err != nil {
		return nil, err
	}
	var server serverState
	var powers rolePowers
	var use tableUse
	for _, part := range []struct {
		what string
		read func() error
	}{
		{"the server's settings", func() error { return server.read(ctx, conn) }},
		{"the role's rights", func() error { return powers.read(ctx, conn) }},
		{"the use of tables", func() error { return use.read(ctx, conn) }},
	} {
		if err := part.read(); err != nil {
			return nil, fmt.Errorf("read %s: %w", part.what, err)
		}
	}
	f.ok(aboutConnection, "%s, PostgreSQL %s", sourceName(conn.Config()), printable(s.versionText))
	f.server(s, &server)
	f.role(s)
	f.roleExcess(s, &powers)
	f.replication(ctx, cfg)
	f.slot(s, cfg, &server)
	f.transactions(&server)
	if err := f.takeover(ctx, conn, s, cfg); err != nil {
		return nil, err
	}
	f.holding(ctx, s, cfg, &server)
	f.publication(s, cfg)
	f.tables(s, cfg)
	f.following(s, cfg)
	f.use(s, &use)
	f.triggers(s, cfg)
	f.forgeries(s)
	f.contexts(s)
	return s, f.masks(ctx, conn, cfg)
}

// replication opens a session as capture does: pg_hba.conf and the role's rights may allow the one and not the other.
func (f *findings) replication(ctx context.Context, cfg *config) {
	_, err := tryReplication(ctx, cfg, "database")
	if err != nil {
		f.wrong(aboutReplication, "mend the role's rights or pg_hba.conf", "no replication connection: %s", err)
		return
	}
	f.ok(aboutReplication, "a replication connection opens")
}

func (f *findings) slot(s *survey, cfg *config, server *serverState) {
	k, name := s.slot, cfg.Source.Slot
	switch {
	case k != nil:
		f.existingSlot(s, k, name)
		f.ok(aboutSlots, "%d of %d are taken", server.slots, server.maxSlots)
	case server.slots >= server.maxSlots:
		f.wrong(aboutSlot, "pgwitness setup --apply", "%s does not exist", name)
		f.wrong(aboutSlots, "drop one, or raise max_replication_slots and restart the server", "all %d are taken", server.maxSlots)
	default:
		f.wrong(aboutSlot, "pgwitness setup --apply", "%s does not exist", name)
		f.ok(aboutSlots, "%d of %d are taken", server.slots, server.maxSlots)
	}
	if server.walsenders >= server.maxWalsenders && (k == nil || !k.active) {
		f.wrong(aboutSenders, "raise max_wal_senders and restart the server", "all %d are taken", server.maxWalsenders)
	} else {
		f.ok(aboutSenders, "%d of %d are taken", server.walsenders, server.maxWalsenders)
	}
}

func (f *findings) existingSlot(s *survey, k *slot, name string) {
	const another = "choose another with --slot"
	drop := "select pg_drop_replication_slot(" + quoteLiteral(name) + ");  -- then pgwitness setup --apply"
	switch {
	case k.kind != "logical":
		f.wrong(aboutSlot, another, "%s is a physical one", name)
	case k.plugin != "pgoutput":
		f.wrong(aboutSlot, another, "%s belongs to the output plugin %s; pgoutput is needed", name, k.plugin)
	case k.database != s.database:
		f.wrong(aboutSlot, another, "%s belongs to database %s, not %s", name, displayPart(k.database), displayPart(s.database))
	case k.walStatus == "lost":
		f.wrong(aboutSlot, drop, "%s is lost%s: the log that it needs is gone; changes that were not delivered are missing from the trail", name, because(k.invalidation))
	case k.temporary:
		f.wrong(aboutSlot, drop, "%s is temporary: it ends with the session that made it", name)
	case k.twoPhase:
		f.wrong(aboutSlot, drop, "%s decodes prepared transactions at PREPARE, before they are committed", name)
	case k.active:
		f.ok(aboutSlot, "%s is read by %s", name, k.holder)
	default:
		f.ok(aboutSlot, "%s, nobody reads it; the server keeps %s of log for it", name, bytesText(k.retainedBytes))
	}
	switch k.walStatus {
	case "unreserved":
		f.warn(aboutSlotLog, "let pgwitness catch up, or raise max_slot_wal_keep_size", "%s is about to be lost: the next checkpoint may remove log that it needs", name)
	case "extended":
		f.note(aboutSlotLog, "%s keeps more log than max_wal_size: %s", name, bytesText(k.retainedBytes))
	case "reserved":
		f.ok(aboutSlotLog, "all log that %s needs is there: %s", name, bytesText(k.retainedBytes))
	}
}

// transactions judges what keeps log from being released, however far the trail is: the slot restarts where the oldest
// transaction that was running began (snapbuild.c).
func (f *findings) transactions(server *serverState) {
	if len(server.oldTransactions) == 0 {
		f.ok(aboutTransactions, "none has been open for an hour")
		return
	}
	f.warn(aboutTransactions, "end it: select pg_terminate_backend(PID); or ROLLBACK PREPARED 'GID';", "open for more than an hour, and the server keeps all log since then: %s",
		printable(strings.Join(server.oldTransactions, "; ")))
}

func (s *serverState) readTransactions(ctx context.Context, conn *pgx.Conn) (err error) {
	rows, err := conn.Query(ctx, `
		select `+sessionText+` from pg_stat_activity
		 where backend_xid is not null and xact_start < now() - interval '1 hour'
		 union all
		select concat('prepared ', gid, ', role ', owner, ', for ', date_trunc('second', now() - prepared)) from pg_prepared_xacts
		 where prepared < now() - interval '1 hour' and database = current_database() limit 5`)
	if err != nil {
		return err
	}
	s.oldTransactions, err = pgx.CollectRows(rows, pgx.RowTo[string])
	return err
}
