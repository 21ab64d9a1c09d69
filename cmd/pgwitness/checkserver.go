package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// newestTested is the newest major version that the tests run against.
const newestTested = 18

// A serverState is what check asks of the server beyond the survey.
type serverState struct {
	slots, maxSlots           int
	walsenders, maxWalsenders int
	maxSlotWALKeepSize        string
	walSenderTimeoutMillis    int
	idleSlotTimeout           string // from 18
	pending                   []string
	oldTransactions           []string
	ahead, within             time.Duration // of our clock, and how exactly that is known
}

func (s *serverState) read(ctx context.Context, conn *pgx.Conn) error {
	err := conn.QueryRow(ctx, `
		select (select count(*) from pg_replication_slots), current_setting('max_replication_slots')::int,
		       (select count(*) from pg_stat_replication), current_setting('max_wal_senders')::int,
		       current_setting('max_slot_wal_keep_size'), (select setting::int from pg_settings where name = 'wal_sender_timeout'),
		       coalesce(current_setting('idle_replication_slot_timeout', true), '0'),
		       array(select name from pg_settings where pending_restart and name = any ($1) order by 1)`,
		[]string{"wal_level", "max_replication_slots", "max_wal_senders", "max_prepared_transactions", "max_connections", "track_activity_query_size"},
	).Scan(&s.slots, &s.maxSlots, &s.walsenders, &s.maxWalsenders, &s.maxSlotWALKeepSize, &s.walSenderTimeoutMillis,
		&s.idleSlotTimeout, &s.pending)
	if err != nil {
		return err
	}
	if err := s.readTransactions(ctx, conn); err != nil {
		return err
	}
	return s.readClock(ctx, conn)
}

// readClock compares the clocks. The answer was made at some time between the question and its arrival.
func (s *serverState) readClock(ctx context.Context, conn *pgx.Conn) error {
	var now time.Time
	asked := time.Now()
	if err := conn.QueryRow(ctx, "select clock_timestamp()").Scan(&now); err != nil {
		return err
	}
	s.within = time.Since(asked) / 2
	s.ahead = now.Sub(asked.Add(s.within))
	return nil
}

func (f *findings) server(s *survey, server *serverState) {
	switch {
	case s.version < 140000:
		f.wrong(aboutVersion, "upgrade the server", "PostgreSQL %s is too old: 14 or later is needed", s.versionText)
	case s.version >= (newestTested+1)*10000:
		f.note(aboutVersion, "PostgreSQL %s is newer than what this version of pgwitness was tested with (14 to %d)", s.versionText, newestTested)
	default:
		f.ok(aboutVersion, "PostgreSQL %s", s.versionText)
	}
	if s.recovery {
		f.wrong(aboutPrimary, "use the primary", "the server is a standby")
	} else {
		f.ok(aboutPrimary, "the server is no standby")
	}
	if s.walLevel != "logical" {
		f.wrong(aboutWALLevel, "alter system set wal_level = 'logical';  -- then restart the server", "%s: the log carries no rows", s.walLevel)
	} else {
		f.ok(aboutWALLevel, "logical")
	}
	if len(server.pending) > 0 {
		f.warn(aboutRestart, "restart the server", "changed, and not in force before a restart: %s", strings.Join(server.pending, ", "))
	} else {
		f.ok(aboutRestart, "no setting that matters here waits for one")
	}
	f.clock(server)
	f.timeouts(server)
}

// tolerable is a difference of clocks that misleads nobody.
const tolerable = 2 * time.Second

// clock judges the difference between the server's clock, by which commits are dated, and ours.
func (f *findings) clock(server *serverState) {
	sure := max(server.ahead.Abs()-server.within, 0)
	text := fmt.Sprintf("%s (± %s)", server.ahead.Round(time.Millisecond), server.within.Round(time.Millisecond))
	if sure > tolerable {
		f.warn(aboutClock, "let both machines keep time by NTP", "the server's clock is ahead of ours by %s: commits are dated by the server's, and brokers may expire or refuse records by theirs", text)
		return
	}
	f.ok(aboutClock, "ahead of ours by %s", text)
}

func (f *findings) timeouts(server *serverState) {
	const mend = "alter system set wal_sender_timeout = '1min'; select pg_reload_conf();"
	switch ms := server.walSenderTimeoutMillis; {
	case ms == 0:
		f.warn(aboutSenderTimeout, mend, "0: the server never notices that a reader is gone, and the slot stays taken")
	case ms < 5000:
		f.warn(aboutSenderTimeout, mend, "%d ms: a short pause of the network ends the session", ms)
	default:
		f.ok(aboutSenderTimeout, "%d s", ms/1000)
	}
	if server.maxSlotWALKeepSize == "-1" {
		f.note(aboutKeepSize, "max_slot_wal_keep_size is -1: the server keeps all log that the slot needs, until its disk is full; watch the retained log")
	} else {
		f.note(aboutKeepSize, "max_slot_wal_keep_size is %s: when the slot is behind by more than that it is lost, and the trail has a gap", server.maxSlotWALKeepSize)
	}
	if server.idleSlotTimeout != "0" {
		f.warn(aboutIdleTimeout, "alter system set idle_replication_slot_timeout = 0; select pg_reload_conf();",
			"%s: a slot that nobody reads for longer is lost, and the trail has a gap", server.idleSlotTimeout)
	} else {
		f.ok(aboutIdleTimeout, "no slot is lost because nobody reads it")
	}
}
