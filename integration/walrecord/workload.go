package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
)

// setup runs before the recording. The slots tell what a server without pg_walinspect writes (expect.go).
var setup = []string{
	"create table t (id int primary key, v text)",
	"create table parts (id int)",
	"insert into t select n, 'row ' || n from generate_series(1, 200) n",
	"create publication p for all tables",
	"select pg_replication_origin_create('elsewhere')",
	"checkpoint",
}

// elsewhere is when a transaction that another server sent was committed there.
const elsewhere = "2026-01-02 03:04:05.678901"

var slots = []string{
	"select pg_create_logical_replication_slot('begins', 'pgoutput')",
	"select pg_create_logical_replication_slot('ends', 'test_decoding', false, true)",
}

// play runs everything, with a crash in the middle, and returns the start of the first segment of the recording.
func play(ctx context.Context, c *cluster) (pglogrepl.LSN, error) {
	w, err := newPlayer(ctx, c)
	if err != nil {
		return 0, err
	}
	w.do(setup...)
	if w.version < 150000 {
		w.do(slots...)
	}
	w.do("select pg_switch_wal()")
	start := w.at() &^ (segment - 1)
	w.transactions()
	w.twoPhase()
	w.places()
	w.large()
	lost := w.lose()
	w.close()
	if w.err != nil {
		return 0, w.err
	}

	c.crash()
	if err := cut(c, lost); err != nil {
		return 0, err
	}
	if err := c.start(ctx); err != nil {
		return 0, err
	}
	if w, err = newPlayer(ctx, c); err != nil {
		return 0, err
	}
	w.do("update t set v = 'after the crash' where id = 12", "commit prepared 'still there'", "select pg_switch_wal()")
	w.close()
	return start, w.err
}

// A player runs statements until one fails.
type player struct {
	ctx     context.Context
	conn    *pgx.Conn
	version int
	err     error
}

func newPlayer(ctx context.Context, c *cluster) (*player, error) {
	conn, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	w := &player{ctx: ctx, conn: conn}
	w.err = conn.QueryRow(ctx, "select current_setting('server_version_num')::int").Scan(&w.version)
	return w, nil
}

func (w *player) close() { w.conn.Close(w.ctx) }

func (w *player) do(statements ...string) {
	for _, s := range statements {
		if w.err != nil {
			return
		}
		if _, err := w.conn.Exec(w.ctx, s); err != nil {
			w.err = fmt.Errorf("%w in %.200s", err, s)
		}
	}
}

// at is where the next record will begin.
func (w *player) at() (at pglogrepl.LSN) {
	if w.err == nil {
		w.err = w.conn.QueryRow(w.ctx, "select pg_current_wal_insert_lsn()").Scan(&at)
	}
	return at
}

// transactions are small ones of every kind, some of which leave nothing to report.
func (w *player) transactions() {
	w.do("update t set v = v || '.' where id = 1",
		"begin", "update t set v = 'a' where id = 2", "savepoint a", "update t set v = 'b' where id = 3", "release a",
		"savepoint b", "update t set v = 'c' where id = 4", "rollback to b", "commit",
		"begin", "update t set v = 'd' where id = 5", "rollback",
		"create table u (id int primary key, v text)", "insert into u values (1, 'x')", "drop table u",
		"select pg_logical_emit_message(true, 'p', 'a message alone')",
		"checkpoint",
		"update t set v = v || ',' where id < 20",
		"select pg_switch_wal()",
		"select pg_replication_origin_session_setup('elsewhere')",
		"begin", "select pg_replication_origin_xact_setup('0/ABCDEF0', '"+elsewhere+"')",
		"update t set v = 'from elsewhere' where id = 6", "commit",
		"select pg_replication_origin_session_reset()")
}

func (w *player) twoPhase() {
	w.do("begin", "update t set v = 'e' where id = 7", "prepare transaction 'one'", "commit prepared 'one'",
		"begin", "update t set v = 'f' where id = 8", "savepoint a", "insert into t values (1000, 'g')",
		"create table v (id int)", "prepare transaction 'two'", "update t set v = 'h' where id = 9", "rollback prepared 'two'",
		"create table doomed (id serial primary key, v text)",
		"begin", "drop table doomed", "prepare transaction 'Ünïcode '' name'", "commit prepared 'Ünïcode '' name'",
		"begin", "update t set v = 'i' where id = 10", fmt.Sprintf("prepare transaction '%s'", strings.Repeat("n", 199)),
		fmt.Sprintf("commit prepared '%[1]s'", strings.Repeat("n", 199)),
		"begin", "update t set v = 'j' where id = 150", "prepare transaction 'still there'")
}

// places puts commits where headers of pages cut them, and where they just do not.
func (w *player) places() {
	for _, before := range []int{8, 16, 24, 32, 40, 48, 56} { // the record has 46 bytes, and so takes 48
		w.do("begin", fmt.Sprintf("select pg_logical_emit_message(true, 'p', '%d before a page')", before))
		w.fillUpTo(pageSize, pageSize-before)
		w.do("commit")
	}
	w.do("begin", "select pg_logical_emit_message(true, 'p', '8 before a segment')")
	w.fillUpTo(segment, segment-8)
	w.do("commit",
		"begin", "select pg_logical_emit_message(true, 'p', '48 before a segment')")
	w.fillUpTo(segment, segment-48)
	w.do("commit")
}

// fillUpTo writes messages until the next record begins at this offset in a unit of WAL.
func (w *player) fillUpTo(unit, offset int) {
	for w.err == nil {
		at := int(uint64(w.at()) % uint64(unit))
		if w.err != nil || at == offset {
			return
		}
		// A message has 24 bytes of header, 5 before its data, 24 of its own and a byte of (no) prefix. It must lie on one
		// page, and long enough that the size is told in 5 bytes.
		room := offset - at
		switch {
		case room >= 400 && at/pageSize == (offset-1)/pageSize:
			w.message(room - 54)
		case offset-at > 64<<10:
			w.message(30000)
		default:
			w.message(3000)
		}
	}
}

func (w *player) message(size int) {
	w.do(fmt.Sprintf("select pg_logical_emit_message(false, '', repeat('x', %d))", size))
}

// large makes commits that take more than a page: one of many parts, one of many relations.
func (w *player) large() {
	w.do("begin",
		`do $$ begin for n in 1..700 loop begin insert into parts values (n); exception when division_by_zero then null; end; end loop; end $$`)
	w.fillUpTo(segment, segment-1000)
	w.do("commit")
	names := make([]string, 14)
	for i := range names {
		names[i] = fmt.Sprintf("many_%d", i)
	}
	w.do("begin", "create table "+strings.Join(names, " (id int); create table ")+" (id int)", "commit",
		"begin", "drop table "+strings.Join(names, ", "), "commit")
}

// lose writes a record of several pages and a commit behind it, and returns the start of the second of those pages.
func (w *player) lose() pglogrepl.LSN {
	at := w.at()
	w.message(30000)
	w.do("select pg_logical_emit_message(true, 'p', 'lost')")
	return (at + 2*pageSize) &^ (pageSize - 1)
}

// cut wipes the WAL from a page on, as a disk would have it to which the last writes did not get. The server finds that
// the record before is incomplete, and begins anew on that page (CreateOverwriteContrecordRecord in xlog.c).
func cut(c *cluster, from pglogrepl.LSN) error {
	for file, offset := c.segmentFile(from), int64(from%segment); ; file, offset = c.segmentFile(from), 0 {
		f, err := os.OpenFile(file, os.O_WRONLY, 0)
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil {
			return err
		}
		_, err = f.WriteAt(make([]byte, segment-offset), offset)
		f.Close()
		if err != nil {
			return err
		}
		from = (from + segment) &^ (segment - 1)
	}
}
