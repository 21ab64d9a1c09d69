package capture

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/jackc/pgx/v5"
)

const (
	lookEvery = 250 * time.Millisecond // at a slot that somebody else holds
	endAgain  = time.Second            // after a session was told to end
	sorrow    = time.Second            // before a server that was not there is looked for again
)

// A vigil is kept beside a slot that another session holds, until it is free. Its session is a walsender's, because a
// server that is shut down in the "smart" way waits for ordinary sessions to end, and this one would not.
type vigil struct {
	catalogue *catalogue
	slot      string
	after     time.Duration // Config.TakeoverAfter
	log       hclog.Logger

	kept   bool // somebody has been found at the slot
	holder holder
	ended  int64 // the pid of a holder that was told to end
	away   bool  // the server did not answer the last time
}

func newVigil(cfg Config, source *pgx.ConnConfig, log hclog.Logger) *vigil {
	config := source.Copy()
	pin(config.RuntimeParams, map[string]string{"replication": "database"})
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol // the only one that a walsender knows
	return &vigil{catalogue: &catalogue{config: config}, slot: cfg.Slot, after: cfg.TakeoverAfter, log: log}
}

// keep returns when the slot has no holder any more. It waits for a server that is not there as well. cause is why the
// slot could not be had.
func (v *vigil) keep(ctx context.Context, cause error) error {
	if !v.kept {
		v.log.Info("waiting for the slot", "reason", cause)
		v.kept = true
	}
	defer v.catalogue.close(ctx) // its place may be the last one for a walsender
	for {
		held, err := v.look(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && !absent(err):
			return err
		case err != nil && !v.away:
			v.log.Warn("the server is not there; waiting for it", "error", err)
		case err == nil && !held:
			return nil
		}
		pause := lookEvery
		if v.away = err != nil; v.away {
			pause = sorrow
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// look reports whether the slot is held, and ends a holder that is found dead.
func (v *vigil) look(ctx context.Context) (held bool, err error) {
	err = v.catalogue.query(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		if v.after == 0 {
			err := conn.QueryRow(ctx, `select active_pid is not null from pg_catalog.pg_replication_slots
				where slot_name = $1`, v.slot).Scan(&held)
			return noSlot(err)
		}
		h, err := readHolder(ctx, conn, v.slot)
		held = h.pid != 0
		if err != nil || !held {
			return err
		}
		if silence := v.holder.silence(h, time.Now()); silence >= v.after {
			v.end(ctx, conn, silence)
		}
		return nil
	})
	return held, err
}

// noSlot leaves it to Open to say that the slot is gone.
func noSlot(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	return err
}

// A holder is the session at the slot, as the server sees it.
type holder struct {
	pid     int64
	reply   string // when its client's last message was written, by the client's clock
	sent    string // how far it has sent; stands still while it sends a transaction
	waiting bool   // for the client, or for something to do

	life time.Time // when a sign of life was seen last, by ours
}

// readHolder needs to see other roles' sessions; without the right it is an error, because a dead holder would look
// like one that lives.
func readHolder(ctx context.Context, conn *pgx.Conn, slot string) (holder, error) {
	var h holder
	var sees bool
	err := conn.QueryRow(ctx, `select coalesce(s.active_pid, 0)::bigint, coalesce(r.reply_time::text, ''),
		coalesce(r.sent_lsn::text, ''),
		coalesce(r.pid is not null and a.wait_event_type in ('Activity', 'Client'), false),
		pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')
		from pg_catalog.pg_replication_slots s
		left join pg_catalog.pg_stat_replication r on r.pid = s.active_pid
		left join pg_catalog.pg_stat_activity a on a.pid = s.active_pid
		where s.slot_name = $1`, slot).Scan(&h.pid, &h.reply, &h.sent, &h.waiting, &sees)
	if err == nil && !sees {
		err = fmt.Errorf("see whether the holder of slot %q is alive: the role %q may not; run: GRANT pg_read_all_stats TO %s",
			slot, conn.Config().User, quoteIdentifier(conn.Config().User))
	}
	return h, noSlot(err)
}

// silence tells for how long nothing has been heard of the holder's client, as far as the holder has listened: one that
// is neither waiting nor getting ahead is busy with a large transaction, and reads no messages meanwhile (walsender.c,
// WalSndWriteData).
func (h *holder) silence(now holder, at time.Time) time.Duration {
	life, deaf := h.life, !now.waiting && now.sent == h.sent
	if now.pid != h.pid || now.reply != h.reply || deaf {
		life = at
	}
	*h = now
	h.life = life
	return at.Sub(life)
}

// end ends the holder's session. Where that is not allowed, or fails, it stays the server's task.
func (v *vigil) end(ctx context.Context, conn *pgx.Conn, silence time.Duration) {
	var ended bool
	err := conn.QueryRow(ctx, `select pg_catalog.pg_terminate_backend(active_pid) from pg_catalog.pg_replication_slots
		where slot_name = $1 and active_pid = $2`, v.slot, v.holder.pid).Scan(&ended)
	switch {
	case noSlot(err) != nil:
		v.log.Warn("the slot's holder is silent and cannot be ended: it takes its role, or: GRANT pg_signal_backend TO "+
			quoteIdentifier(conn.Config().User), "pid", v.holder.pid, "silent", silence.Round(time.Second), "error", err)
		v.holder.life = time.Now() // once in a while is enough
	case ended:
		if v.ended != v.holder.pid {
			v.log.Warn("ended the slot's holder, whose client is silent", "pid", v.holder.pid, "silent", silence.Round(time.Second))
			v.ended = v.holder.pid
		}
		// The first time makes it say goodbye, which blocks while its socket is full; the next one ends that as well
		// (postgres.c, ProcessClientWriteInterrupt).
		v.holder.life = time.Now().Add(endAgain - v.after)
	}
}

// endFormer ends our own session before this one, which the server still serves because it has not heard of its end.
func (v *vigil) endFormer(ctx context.Context, cat *catalogue, pid int) {
	first := v.ended != int64(pid)
	v.ended = int64(pid)
	err := cat.query(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, `select pg_catalog.pg_terminate_backend(active_pid) from pg_catalog.pg_replication_slots
			where slot_name = $1 and active_pid = $2`, v.slot, pid)
		return err
	})
	if first {
		v.log.Info("ending our own former session, which still holds the slot", "pid", pid, "error", err)
	}
}
