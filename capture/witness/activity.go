package witness

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// lookUpTime bounds one look-up. An answer takes a fraction of a millisecond; without one, the connection is dead.
const lookUpTime = 5 * time.Second

// An activity asks the server which sessions run which transactions, on a connection of its own. The server converts no
// text for it: a name that is no text in this database must not fail a look-up.
//
// Commits wait for each look-up, so it goes below pgx: values come as the server has them in binary, and a deadline on the
// connection bounds it, which spares the goroutine that a context needs.
type activity struct {
	conn    *pgx.Conn
	made    time.Time                                     // when conn was opened
	text    func(context.Context, []byte) (string, error) // Config.Text
	known   map[int32]*Session                            // the last facts of each process
	queries map[string]bool                               // that are prepared, by name
	pace    pace
	xids    []byte // scratch of look
}

// A snapshot is pg_stat_activity at one moment, as far as it was asked for.
type snapshot struct {
	at       time.Time // the server's clock
	sessions map[uint32]*Session
	waiting  []waiter // sessions without a transaction id that wait for a standby
}

// A waiter is in COMMIT PREPARED or ROLLBACK PREPARED: all others that wait have a transaction id.
type waiter struct {
	session *Session
	query   string
	since   time.Time // when the statement was received
}

// The function is what pg_stat_activity is made of. It reads every session's entry, whatever it is asked for
// (pgstat_read_current_status in backend_status.c); what the view joins to it is looked up for the few rows that count.
// A parallel worker has its leader's transaction.
const activityQuery = columns + `
from (select) one left join pg_catalog.pg_stat_get_activity(null) s on s.leader_pid is null
  and (s.backend_xid = any ($1::xid[]) or $2::bool and s.backend_xid is null and s.wait_event = 'SyncRep')`

// locksQuery is the same for sessions with a transaction id, by way of the lock that each holds on its own until it has
// ended (xact.c, CommitTransaction: after the wait). An entry is made of what was found alone, so it costs less where there
// are many sessions, and more where there are few.
const locksQuery = columns + `
from (select) one left join (pg_catalog.pg_lock_status() l cross join lateral pg_catalog.pg_stat_get_activity(l.pid) s)
  on l.locktype = 'transactionid' and l.mode = 'ExclusiveLock' and l.granted and l.transactionid = any ($1::xid[])
  and s.backend_xid = l.transactionid and s.leader_pid is null`

const columns = `
select clock_timestamp(), s.pid, s.backend_xid, pg_catalog.pg_get_userbyid(s.usesysid)::text, s.backend_start,
  s.application_name, host(s.client_addr), s.client_port, s.backend_type,
  (select d.datname::text from pg_catalog.pg_database d where d.oid = s.datid),
  case when s.backend_xid is null then s.query end, s.query_start`

// open connects.
func openActivity(ctx context.Context, cfg *Config) (*activity, error) {
	conn, err := cfg.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &activity{conn: conn, made: time.Now(), text: cfg.Text, known: make(map[int32]*Session), queries: make(map[string]bool)}, nil
}

// reopen replaces a connection that is lost, and reports whether one was. Where none is to be had the next look-up fails, too.
func (a *activity) reopen(ctx context.Context, cfg *Config) (lost bool) {
	if !a.conn.IsClosed() {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, lookUpTime)
	defer cancel()
	if conn, err := cfg.Connect(ctx); err == nil {
		a.conn, a.made = conn, time.Now()
		clear(a.queries)
	}
	return true
}

// close says goodbye to the server, also when ctx has ended.
func (a *activity) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	a.conn.Close(ctx)
}

// look takes a snapshot of the sessions that run these transactions, and, if asked, of those that end prepared ones.
func (a *activity) look(ctx context.Context, xids []uint32, committers bool) (*snapshot, error) {
	a.xids = appendXIDs(a.xids[:0], xids)
	began := time.Now()
	byLocks := !committers && a.pace.byLocks(began)
	var snap *snapshot
	var err error
	if byLocks {
		snap, err = a.snapshot(ctx, "look by locks", locksQuery, [][]byte{a.xids})
	} else {
		ask := []byte{0}
		if committers {
			ask[0] = 1
		}
		snap, err = a.snapshot(ctx, "look", activityQuery, [][]byte{a.xids, ask})
	}
	if err != nil {
		return nil, fmt.Errorf("look up who is committing: %w", err)
	}
	a.pace.took(byLocks, time.Since(began))
	return snap, nil
}

// appendXIDs appends an array as array_recv reads it (arrayfuncs.c): dimensions, no nulls, type, length, first index.
func appendXIDs(dst []byte, xids []uint32) []byte {
	for _, n := range [...]uint32{1, 0, pgtype.XIDOID, uint32(len(xids)), 1} {
		dst = binary.BigEndian.AppendUint32(dst, n)
	}
	for _, xid := range xids {
		dst = binary.BigEndian.AppendUint32(dst, 4)
		dst = binary.BigEndian.AppendUint32(dst, xid)
	}
	return dst
}

// binaryFormat is that of all parameters, and of all columns.
var binaryFormat = []int16{pgtype.BinaryFormatCode}

// snapshot runs a query for activity.
func (a *activity) snapshot(ctx context.Context, name, query string, parameters [][]byte) (*snapshot, error) {
	conn := a.conn.PgConn()
	if !a.queries[name] {
		if _, err := conn.Prepare(ctx, name, query, nil); err != nil {
			return nil, err
		}
		a.queries[name] = true
	}
	conn.Conn().SetDeadline(time.Now().Add(lookUpTime))
	defer conn.Conn().SetDeadline(time.Time{})
	rows := conn.ExecPrepared(context.WithoutCancel(ctx), name, parameters, binaryFormat, binaryFormat)
	snap := &snapshot{sessions: make(map[uint32]*Session)}
	var failed error
	for rows.NextRow() && failed == nil {
		failed = a.read(ctx, rows.Values(), snap)
	}
	if _, err := rows.Close(); err != nil {
		return nil, err
	}
	return snap, failed
}

// read takes one row.
func (a *activity) read(ctx context.Context, row [][]byte, snap *snapshot) (err error) {
	at, pid, xid, user, started, application, host, port, backend, database, query, since :=
		row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7], row[8], row[9], row[10], row[11]
	snap.at = timeOf(at)
	if pid == nil { // nobody: the row is there for the time
		return nil
	}
	s := Session{PID: int32(numberOf(pid)), BackendType: string(backend)}
	if port != nil {
		s.Client = client(string(host), int32(numberOf(port)))
	}
	if started != nil {
		start := timeOf(started)
		s.Start = &start
	}
	for _, name := range []struct {
		raw  []byte
		into *string
	}{{user, &s.User}, {application, &s.Application}, {database, &s.Database}} {
		if *name.into, err = a.text(ctx, name.raw); err != nil {
			return err
		}
	}
	session := a.same(s)
	if xid != nil {
		snap.sessions[numberOf(xid)] = session
	} else {
		snap.waiting = append(snap.waiting, waiter{session, string(query), timeOf(since)})
	}
	return nil
}

// numberOf reads an int4 or xid, 0 for null.
func numberOf(value []byte) uint32 {
	if len(value) != 4 {
		return 0
	}
	return binary.BigEndian.Uint32(value)
}

// timeOf reads a timestamptz: microseconds since 2000 (timestamptz_send in timestamp.c).
func timeOf(value []byte) time.Time {
	if len(value) != 8 {
		return time.Time{}
	}
	return epoch.Add(time.Duration(binary.BigEndian.Uint64(value)) * time.Microsecond)
}

// same returns the pointer that the session had the last time, if nothing about it has changed.
func (a *activity) same(s Session) *Session {
	if known := a.known[s.PID]; known != nil && equal(known, &s) {
		return known
	}
	if len(a.known) > 10000 { // processes come and go
		clear(a.known)
	}
	a.known[s.PID] = &s
	return &s
}

func equal(a, b *Session) bool {
	x, y := *a, *b
	if (x.Start == nil) != (y.Start == nil) || x.Start != nil && !x.Start.Equal(*y.Start) {
		return false
	}
	x.Start, y.Start = nil, nil
	return x == y
}

// client names the other end. A unix socket has port -1; a session that we may not see has none (pgstatfuncs.c).
func client(host string, port int32) string {
	switch {
	case port < 0:
		return "local"
	case host == "":
		return ""
	}
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// committer finds the session that commits a prepared transaction, if it is certain: it waits, its statement is exactly
// that, and was received before the commit record was made. A prepared transaction of this name can be ended only once
// before another one of the name is prepared, which would have to be after the record.
func (snap *snapshot) committer(gid string, recorded time.Time) *Session {
	var found *Session
	for _, w := range snap.waiting {
		if !commits(w.query, gid) || w.since.After(recorded) {
			continue
		}
		if found != nil {
			return nil
		}
		found = w.session
	}
	return found
}

// commits reports whether the statement is COMMIT PREPARED of that name and nothing else.
func commits(query, gid string) bool {
	words := strings.TrimRight(strings.TrimSpace(query), "; \t\r\n")
	for _, word := range []string{"commit", "prepared"} {
		rest, ok := cutFold(words, word)
		if !ok {
			return false
		}
		words = strings.TrimLeft(rest, " \t\r\n")
	}
	return words == "'"+strings.ReplaceAll(gid, "'", "''")+"'"
}

func cutFold(s, prefix string) (rest string, ok bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}
