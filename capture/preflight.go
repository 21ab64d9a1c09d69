package capture

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// facts is what the catalogue connection learns of the server before the slot is touched.
type facts struct {
	Version  int    // server_version_num
	Database string // by the server, not by the connection string
	Oid      uint32
	Encoding string
	NextXID  uint64
	Standby  bool
	Started  string // the server's start, to the microsecond: tells two servers apart
}

const (
	oldest = 14
	newest = 18
)

// inspect looks at everything the promise rests on, in the order in which it would be mended.
func (c *catalogue) inspect(ctx context.Context, cfg Config) (facts, error) {
	var f facts
	err := c.query(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		var err error
		if f, err = readFacts(ctx, conn); err != nil {
			return err
		}
		if err := checkPublication(ctx, conn, f, cfg.Publication); err != nil {
			return err
		}
		s, err := readSlot(ctx, conn, cfg.Slot)
		if err != nil {
			return err
		}
		if err := s.check(cfg, f); err != nil {
			return err
		}
		if s.ActivePID != 0 {
			return inUse(ctx, conn, cfg.Slot, s.ActivePID)
		}
		return nil
	})
	return f, err
}

func readFacts(ctx context.Context, conn *pgx.Conn) (facts, error) {
	var f facts
	var version, level, xid string
	err := conn.QueryRow(ctx, `select current_setting('server_version_num')::int, current_setting('server_version'),
		current_setting('wal_level'), pg_is_in_recovery(), extract(epoch from pg_postmaster_start_time())::text,
		d.datname::text, d.oid, pg_encoding_to_char(d.encoding)::text, pg_snapshot_xmax(pg_current_snapshot())::text
		from pg_catalog.pg_database d where d.datname = current_database()`).
		Scan(&f.Version, &version, &level, &f.Standby, &f.Started, &f.Database, &f.Oid, &f.Encoding, &xid)
	if err != nil {
		return f, fmt.Errorf("look at the server: %w", err)
	}
	if f.NextXID, err = strconv.ParseUint(xid, 10, 64); err != nil {
		return f, fmt.Errorf("look at the server: next transaction id: %w", err)
	}
	switch major := f.Version / 10000; {
	case major < oldest || major > newest:
		return f, fmt.Errorf("the server is PostgreSQL %s; pgwitness knows %d to %d", version, oldest, newest)
	case level != "logical":
		return f, fmt.Errorf("wal_level is %s; run: ALTER SYSTEM SET wal_level = logical, and restart the server", level)
	case f.Standby && major < 16:
		return f, fmt.Errorf("the server is a standby, and PostgreSQL %d has logical slots on the primary only; name the primary", major)
	}
	return f, nil
}

func checkPublication(ctx context.Context, conn *pgx.Conn, f facts, name string) error {
	var there bool
	err := conn.QueryRow(ctx, `select exists (select from pg_catalog.pg_publication where pubname = $1)`, name).Scan(&there)
	if err != nil {
		return fmt.Errorf("look for publication %q: %w", name, err)
	}
	if !there {
		return fmt.Errorf("database %q has no publication %q; make it with pgwitness setup, before the slot", f.Database, name)
	}
	return nil
}

// A slotState is a row of pg_replication_slots; a column that this version does not have is zero.
type slotState struct {
	Plugin       string `json:"plugin"`
	Kind         string `json:"slot_type"`
	Database     string `json:"database"`
	Temporary    bool   `json:"temporary"`
	ActivePID    int    `json:"active_pid"`
	Confirmed    string `json:"confirmed_flush_lsn"`
	WALStatus    string `json:"wal_status"`
	TwoPhase     bool   `json:"two_phase"`
	Conflicting  bool   `json:"conflicting"`         // 16
	Invalidation string `json:"invalidation_reason"` // 17
	Synced       bool   `json:"synced"`              // 17
}

// readSlot returns nil without an error when there is no such slot.
func readSlot(ctx context.Context, conn *pgx.Conn, name string) (*slotState, error) {
	var row []byte
	err := conn.QueryRow(ctx, `select to_json(s)::text from pg_catalog.pg_replication_slots s where slot_name = $1`, name).Scan(&row)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	s := &slotState{}
	if err == nil {
		err = json.Unmarshal(row, s)
	}
	if err != nil {
		return nil, fmt.Errorf("look at slot %q: %w", name, err)
	}
	return s, nil
}

func (s *slotState) check(cfg Config, f facts) error {
	const make = "make it with pgwitness setup, or name another"
	switch {
	case s == nil:
		return &LossError{Slot: cfg.Slot}
	case s.Kind != "logical":
		return fmt.Errorf("slot %q is a %s slot, not a logical one; %s", cfg.Slot, s.Kind, make)
	case s.Plugin != "pgoutput":
		return fmt.Errorf("slot %q has the plugin %q, not pgoutput; %s", cfg.Slot, s.Plugin, make)
	case s.Database != f.Database:
		return fmt.Errorf("slot %q belongs to database %q, not %q; name that database in the source, or another slot",
			cfg.Slot, s.Database, f.Database)
	case s.TwoPhase:
		return fmt.Errorf("slot %q was made with two_phase, which sends prepared transactions before they commit; "+
			"drop it and make it without", cfg.Slot)
	case s.Synced && f.Standby:
		return fmt.Errorf("slot %q is the standby's copy of the primary's; name the primary, or promote this server", cfg.Slot)
	}
	return s.lost(cfg.Slot)
}

// An inUseError names the session that holds the slot.
type inUseError struct {
	pid  int
	text string
}

func (e *inUseError) Error() string { return e.text }

// holderIn returns whose session is at the slot by an error of open, 0 for one that could not be named.
func holderIn(err error) (pid int, held bool) {
	if held, ok := errors.AsType[*inUseError](err); ok {
		return held.pid, true
	}
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return 0, ok && pg.Code == codeInUse
}

// inUse returns an inUseError.
func inUse(ctx context.Context, conn *pgx.Conn, slot string, pid int) error {
	var user, application, client string
	err := conn.QueryRow(ctx, `select coalesce(usename::text, ''), coalesce(application_name, ''),
		coalesce(host(client_addr) || ':' || client_port, 'a local socket or hidden: needs pg_read_all_stats')
		from pg_catalog.pg_stat_activity where pid = $1`, pid).Scan(&user, &application, &client)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("slot %q is in use by pid %d; look at who it is: %w", slot, pid, err)
	}
	return &inUseError{pid, fmt.Sprintf("slot %q is in use by pid %d (application %q, role %q, client %s); "+
		"stop it, or run: SELECT pg_terminate_backend(%d)", slot, pid, application, user, client, pid)}
}

// successor tells, after the connection broke, whether another session holds the slot by now.
func (c *catalogue) successor(ctx context.Context, slot string, own uint32) error {
	ctx, cancel := context.WithTimeout(ctx, farewellTime)
	defer cancel()
	var holder error
	err := c.query(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		s, err := readSlot(ctx, conn, slot)
		if err == nil && s != nil && s.ActivePID != 0 && s.ActivePID != int(own) {
			holder = fmt.Errorf("is held by another one, pid %d: it took over", s.ActivePID)
		}
		return err
	})
	if err != nil {
		return nil // the failure itself is told
	}
	return holder
}

// nameHolder says who holds the slot when that is why replication could not start.
func (c *catalogue) nameHolder(ctx context.Context, slot string, cause error) error {
	if pg, ok := errors.AsType[*pgconn.PgError](cause); !ok || pg.Code != codeInUse {
		return cause
	}
	err := c.query(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		s, err := readSlot(ctx, conn, slot)
		if err == nil && s != nil && s.ActivePID != 0 {
			err = inUse(ctx, conn, slot, s.ActivePID)
		}
		return err
	})
	return cmp.Or(err, cause)
}

// heldAt returns the slot's confirmed position, which stands still from now on: our session holds the slot.
func (c *catalogue) heldAt(ctx context.Context, slot string, pid uint32) (pglogrepl.LSN, error) {
	var at pglogrepl.LSN
	err := c.query(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		s, err := readSlot(ctx, conn, slot)
		switch {
		case err != nil:
			return err
		case s == nil || s.ActivePID != int(pid):
			return fmt.Errorf("slot %q is not held by our session, pid %d", slot, pid)
		}
		if at, err = pglogrepl.ParseLSN(s.Confirmed); err != nil {
			return fmt.Errorf("slot %q: confirmed position: %w", slot, err)
		}
		return nil
	})
	return at, err
}

// await waits until the slot's confirmed position has reached pos.
func (c *catalogue) await(ctx context.Context, slot string, pos pglogrepl.LSN) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		reached := false
		err := c.query(ctx, func(ctx context.Context, conn *pgx.Conn) error {
			return conn.QueryRow(ctx, `select confirmed_flush_lsn >= $2::text::pg_lsn
				from pg_catalog.pg_replication_slots where slot_name = $1`, slot, pos.String()).Scan(&reached)
		})
		if err != nil || reached {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the server has not taken it: %w", ctx.Err())
		case <-ticker.C:
		}
	}
}
