package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// takeover judges whether run --wait --takeover-after may end a session that holds the slot and whose client is gone:
// whether it may see that the client is silent, and whether it may end the session (pg_signal_backend in signalfuncs.c).
func (f *findings) takeover(ctx context.Context, conn *pgx.Conn, s *survey, cfg *config) error {
	var holder string
	var mine, privileged, super bool
	err := conn.QueryRow(ctx, `
		select coalesce(r.rolname::text, ''), coalesce(pg_has_role(r.oid, 'USAGE'), true),
		       pg_has_role('pg_signal_backend', 'USAGE'), coalesce(r.rolsuper, false)
		  from (select) one
		  left join (pg_replication_slots k join pg_stat_activity a on a.pid = k.active_pid
		             join pg_roles r on r.oid = a.usesysid) on k.slot_name = $1`, cfg.Source.Slot,
	).Scan(&holder, &mine, &privileged, &super)
	if err != nil {
		return fmt.Errorf("look who holds the slot: %w", err)
	}
	const what = "run --takeover-after"
	switch {
	case !s.me.readStats:
		f.note(aboutTakeover, "%s does not work: the role cannot see whether a session that holds the slot is alive (grant pg_read_all_stats)", what)
	case super && !s.me.superuser:
		f.note(aboutTakeover, "%s cannot end the session that holds the slot: %s is a superuser", what, displayPart(holder))
	case !mine && !privileged:
		f.note(aboutTakeover, "%s cannot end the session that holds the slot: its role is %s (run both as one role, or grant pg_signal_backend)", what, displayPart(holder))
	case privileged || s.me.superuser:
		f.ok(aboutTakeover, "%s may end a silent session that holds the slot, whatever its role", what)
	default:
		f.ok(aboutTakeover, "%s may end a silent session that holds the slot, if it is of the same role", what)
	}
	return nil
}
