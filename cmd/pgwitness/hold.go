package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"pgwitness/capture"
)

// Under hold the witness is a synchronous standby of the whole cluster: a commit waits until it has seen whose it is. The
// name that it streams under stands in synchronous_standby_names; everything here is about that list.

// witnessName is the name of the witness's slot and its application_name, "" where the logical slot's name leaves no
// room for it.
func witnessName(slot string) string {
	if len(slot) > longestHeldSlot {
		return ""
	}
	return slot + capture.WitnessSuffix
}

const longestHeldSlot = 63 - len(capture.WitnessSuffix)

// A holdState is what the source has of hold.
type holdState struct {
	name      string // the witness's; "" where there is no room for one
	slot      *slot
	standbys  string      // synchronous_standby_names
	source    string      // of that, as in pg_settings
	list      standbyList // the same, where err is nil
	err       error
	witnesses []string      // names in the list that are of a pgwitness: their two slots are there
	senders   []sender      // sessions that stream under our name
	commits   []roleCommits // roles, and the database, with a synchronous_commit of their own
}

// A sender is a row of pg_stat_replication.
type sender struct {
	pid         int
	state, sync string // "" where the session may not see them
}

// A roleCommits is a setting of synchronous_commit.
type roleCommits struct {
	role     string // "" for every role
	database bool   // in this database only
	value    string
}

// unheld reports whether commits under it wait for no standby.
func (r roleCommits) unheld() bool { return r.value == "local" || r.value == "off" }

// is reports whether the setting is that of a role in every database.
func (r roleCommits) is(role string) bool { return r.role == role && !r.database }

// listed reports whether commits wait for the witness.
func (h *holdState) listed() bool { return h.name != "" && h.list.has(h.name) }

// streaming reports whether the witness, through its own slot, receives what is written as it is written.
func (h *holdState) streaming() bool {
	return slices.ContainsFunc(h.senders, func(w sender) bool {
		return w.state == "streaming" && h.slot != nil && w.pid == h.slot.pid
	})
}

// strangers are the sessions that bear our name and do not read our slot.
func (h *holdState) strangers() []sender {
	return slices.DeleteFunc(slices.Clone(h.senders), func(w sender) bool { return h.slot != nil && w.pid == h.slot.pid })
}

// others are the standbys of the list that are of no pgwitness.
func (h *holdState) others() []string {
	return slices.DeleteFunc(slices.Clone(h.list.names), func(name string) bool {
		return sameName(h.name)(name) || slices.ContainsFunc(h.witnesses, sameName(name))
	})
}

func (s *survey) readHold(ctx context.Context, conn *pgx.Conn, slotName string) (err error) {
	h := holdState{name: witnessName(slotName)}
	if h.slot, err = findSlot(ctx, conn, h.name); err != nil {
		return err
	}
	if h.standbys, h.source, err = readStandbys(ctx, conn); err != nil {
		return err
	}
	h.list, h.err = parseStandbys(h.standbys)
	rows, err := conn.Query(ctx, `
		select p.slot_name::text from pg_replication_slots p
		  join pg_replication_slots l on l.slot_name || $1 = p.slot_name and l.slot_type = 'logical' and l.plugin = 'pgoutput'
		 where p.slot_type = 'physical' order by 1`, capture.WitnessSuffix)
	if err != nil {
		return err
	}
	if h.witnesses, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return err
	}
	rows, err = conn.Query(ctx, `
		select pid, coalesce(state, ''), coalesce(sync_state, '') from pg_stat_replication
		 where lower(application_name) = $1 and application_name <> '' order by 1`, h.name)
	if err != nil {
		return err
	}
	h.senders, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (w sender, err error) {
		return w, row.Scan(&w.pid, &w.state, &w.sync)
	})
	if err != nil {
		return err
	}
	rows, err = conn.Query(ctx, `
		select coalesce(r.rolname::text, ''), d.setdatabase <> 0, lower(substr(c, 20)) from pg_db_role_setting d
		 cross join unnest(d.setconfig) c left join pg_roles r on r.oid = d.setrole
		 where c like 'synchronous\_commit=%' and (d.setrole <> 0 or d.setdatabase <> 0)
		   and d.setdatabase in (0, (select oid from pg_database where datname = current_database())) order by 2, 1`)
	if err != nil {
		return err
	}
	h.commits, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (c roleCommits, err error) {
		return c, row.Scan(&c.role, &c.database, &c.value)
	})
	s.hold = h
	return err
}

// readStandbys returns synchronous_standby_names as the session's process has it, and where that comes from.
func readStandbys(ctx context.Context, conn *pgx.Conn) (value, source string, err error) {
	err = conn.QueryRow(ctx, "select setting, source from pg_settings where name = 'synchronous_standby_names'").Scan(&value, &source)
	return value, source, err
}

// setStandbysTime is how long the server may take to read its files.
const setStandbysTime = 10 * time.Second

// setStandbys changes synchronous_standby_names in the whole cluster and returns when the server has taken it up. The
// one who releases waiting sessions, the checkpointer, may take a little longer.
func setStandbys(ctx context.Context, conn *pgx.Conn, value string) error {
	for _, sql := range []string{alterStandbys(value), reloadServer} {
		// One by one: ALTER SYSTEM runs in no transaction with others.
		if err := conn.PgConn().Exec(ctx, sql).Close(); err != nil {
			return err
		}
	}
	deadline := time.Now().Add(setStandbysTime)
	for {
		now, source, err := readStandbys(ctx, conn)
		switch {
		case err != nil:
			return err
		case now == value:
			return nil
		case source == "command line":
			return errCommandLine
		case time.Now().After(deadline):
			return fmt.Errorf("the server has not taken up synchronous_standby_names = %s within %s: it has %s (look into its log)",
				quoteLiteral(value), setStandbysTime, quoteLiteral(now))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

const reloadServer = "select pg_reload_conf()"

func alterStandbys(value string) string {
	return "alter system set synchronous_standby_names = " + quoteLiteral(value)
}

var errCommandLine = errors.New("synchronous_standby_names is set on the server's command line: change it there and start the server anew")

// holdOff takes a name out of synchronous_standby_names, so that no commit waits for it, and returns what the list was.
// Where the name is not in it, nothing is changed.
func holdOff(ctx context.Context, conn *pgx.Conn, name string) (former string, err error) {
	former, source, err := readStandbys(ctx, conn)
	if err != nil {
		return "", fmt.Errorf("read synchronous_standby_names: %w", err)
	}
	l, err := parseStandbys(former)
	if err != nil || !l.has(name) {
		return former, err
	}
	if source == "command line" {
		return former, errCommandLine
	}
	if err := setStandbys(ctx, conn, l.without(name).String()); err != nil {
		return former, fmt.Errorf("take %s out of synchronous_standby_names: %w", name, err)
	}
	return former, nil
}

// holdOn lets every commit wait for the standby of that name, beside those of the list. It must be streaming: otherwise
// the commits of the whole cluster would hang.
func holdOn(ctx context.Context, conn *pgx.Conn, name string) error {
	var streaming bool
	err := conn.QueryRow(ctx, `
		select exists (select from pg_stat_replication r join pg_replication_slots s on s.active_pid = r.pid
		                where s.slot_name = $1 and r.application_name = $1 and r.state = 'streaming')`, name).Scan(&streaming)
	if err != nil {
		return fmt.Errorf("look whether %s streams: %w", name, err)
	}
	if !streaming {
		return fmt.Errorf("%s does not stream (or the role may not see it: pg_read_all_stats), and every commit would hang: start pgwitness run --hold first", name)
	}
	former, source, err := readStandbys(ctx, conn)
	if err != nil {
		return fmt.Errorf("read synchronous_standby_names: %w", err)
	}
	l, err := parseStandbys(former)
	if err != nil {
		return err
	}
	if l.has(name) && l.allAnswer() {
		return nil
	}
	if l, err = l.with(name); err != nil {
		return err
	}
	if source == "command line" {
		return errCommandLine
	}
	if err := setStandbys(ctx, conn, l.String()); err != nil {
		return fmt.Errorf("put %s into synchronous_standby_names: %w", name, err)
	}
	return nil
}

// listText shows the list for people.
func listText(value string) string {
	if strings.TrimSpace(value) == "" {
		return "empty"
	}
	return printable(value)
}
