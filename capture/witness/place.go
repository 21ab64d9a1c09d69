package witness

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
)

// A place is where the witness stands in the log, and what has to be known to read on from there.
type place struct {
	version int           // server_version_num
	segment int           // wal_segment_size in bytes
	flushed pglogrepl.LSN // the server's position when it was asked
	start   pglogrepl.LSN // the slot's
	names   string        // synchronous_standby_names
	holder  int           // pid of the session at the slot, 0 when there is none
}

const placeQuery = `
select current_setting('server_version_num')::int, pg_size_bytes(current_setting('wal_segment_size'))::int, pg_is_in_recovery(),
  case when pg_is_in_recovery() then '0/0' else pg_current_wal_flush_lsn()::text end, current_setting('synchronous_standby_names'),
  s.slot_type, coalesce(s.restart_lsn, '0/0')::text, coalesce(s.active_pid, 0), coalesce(s.wal_status, '')
from (select) one left join pg_catalog.pg_replication_slots s on s.slot_name = $1`

// readPlace looks at the server and the slot. What it finds wrong it says with how to mend it.
func readPlace(ctx context.Context, conn *pgx.Conn, name string) (place, error) {
	var p place
	var standby bool
	var kind *string
	var flushed, start, status string
	err := conn.QueryRow(ctx, placeQuery, name).Scan(&p.version, &p.segment, &standby, &flushed, &p.names, &kind, &start, &p.holder, &status)
	if err != nil {
		return p, fmt.Errorf("look at slot %q: %w", name, err)
	}
	switch {
	case standby:
		return p, errors.New("the server is a standby, where no commit waits: run with --hold against the primary, or without")
	case kind == nil:
		return p, fmt.Errorf("there is no slot %q for the witness: run pgwitness setup --hold", name)
	case *kind != "physical":
		return p, fmt.Errorf("slot %q is a %s slot, and the witness needs a physical one: drop it and run pgwitness setup --hold", name, *kind)
	case status == "lost":
		return p, fmt.Errorf("slot %q has lost its place in the log (max_slot_wal_keep_size): drop it and run pgwitness setup --hold; "+
			"commits in between have no session", name)
	}
	if p.flushed, err = pglogrepl.ParseLSN(flushed); err == nil {
		p.start, err = pglogrepl.ParseLSN(start)
	}
	if err != nil {
		return p, fmt.Errorf("look at slot %q: %w", name, err)
	}
	if p.start == 0 { // a slot that has kept nothing yet
		p.start = p.flushed
	}
	return p, nil
}

// rival finds another session under our name: two standbys of one name are candidates for one place, and the first to
// answer would answer for us (syncrep.c, SyncRepGetStandbyPriority).
func rival(ctx context.Context, conn *pgx.Conn, name string, own int) (int, error) {
	var pid int
	err := conn.QueryRow(ctx, `select coalesce(min(pid), 0) from pg_catalog.pg_stat_replication
		where lower(application_name) = lower($1) and pid <> $2`, name, own).Scan(&pid)
	if err != nil {
		return 0, fmt.Errorf("look for another standby %q: %w", name, err)
	}
	return pid, nil
}

// endHolder ends the session at the slot, whose client does not go: only the one with that pid, unless it is 0.
func (w *Witness) endHolder(ctx context.Context, pid uint32) error {
	conn, err := w.cfg.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var ended int
	err = conn.QueryRow(ctx, `select count(pg_catalog.pg_terminate_backend(active_pid)) from pg_catalog.pg_replication_slots
		where slot_name = $1 and active_pid is not null and $2 in (0, active_pid)`, w.cfg.Name, int64(pid)).Scan(&ended)
	if err != nil {
		return fmt.Errorf("end the session that holds slot %q: %w", w.cfg.Name, err)
	}
	if ended > 0 {
		w.log.Warn("ended the session that held the witness's slot", "slot", w.cfg.Name)
	}
	return nil
}
