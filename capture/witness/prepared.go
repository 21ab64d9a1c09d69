package witness

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pglogrepl"
)

// An open is a prepared transaction that is neither committed nor rolled back.
type open struct {
	xid     uint32
	gid     string
	session *Session // that prepared it; nil: reason says why
	reason  string
}

// A book keeps the open prepared transactions. They outlive sessions and restarts, so the journal has their list.
type book struct {
	list    []open
	changed bool // since it was written down
}

func (b *book) prepare(o open) {
	b.end(o.xid) // of an earlier transaction with this number
	b.list = append(b.list, o)
	b.changed = true
}

// end takes a transaction out.
func (b *book) end(xid uint32) (open, bool) {
	i := slices.IndexFunc(b.list, func(o open) bool { return o.xid == xid })
	if i < 0 {
		return open{}, false
	}
	o := b.list[i]
	b.list = slices.Delete(b.list, i, i+1)
	b.changed = true
	return o, true
}

// write puts the list into a record and its place into the state, if it has changed.
func (b *book) write(r *whoRecord, st *state) {
	if !b.changed {
		return
	}
	for _, o := range b.list {
		r.Prepared = append(r.Prepared, whoPrepared{XID: o.xid, GID: o.gid, Session: r.number(o.session), Reason: o.reason})
	}
	st.Prepared = r.To
	b.changed = false
}

// read takes the list up from a record.
func (b *book) read(r *whoRecord) {
	b.list, b.changed = nil, false
	for _, p := range r.Prepared {
		b.list = append(b.list, open{p.XID, p.GID, r.session(p.Session), p.Reason})
	}
}

// drop takes several out.
func (b *book) drop(xids []uint32) {
	for _, xid := range xids {
		b.end(xid)
	}
}

// A census finds the prepared transactions of the book that have ended while nobody read the log: a failover, a slot that
// was lost. What is not open any more by the server's word, and has no end in the log up to a later position, is such a one.
type census struct {
	at    time.Time     // when it is taken
	ended []uint32      // by the server's word
	until pglogrepl.LSN // their ends, if the log has them, lie before
}

// censusAfter leaves a session that prepares a transaction time to have it counted: its record comes first (EndPrepare in
// twophase.c).
const censusAfter = 10 * time.Second

// settle takes the census once in a session, and drops what it has found when the log has been read up to it.
func (s *session) settle(ctx context.Context) error {
	c := &s.census
	switch {
	case c.until != 0 && uint64(c.until) <= s.answered.Load():
		s.book.drop(c.ended)
		c.until = 0
	case c.at.IsZero() || time.Now().Before(c.at):
	default:
		c.at = time.Time{}
		if len(s.book.list) == 0 {
			return nil
		}
		return s.takeCensus(ctx)
	}
	return nil
}

func (s *session) takeCensus(ctx context.Context) error {
	var open []uint32
	ctx, cancel := context.WithTimeout(ctx, lookUpTime)
	defer cancel()
	err := s.activity.conn.QueryRow(ctx, `select coalesce(array_agg(transaction), '{}') from pg_catalog.pg_prepared_xacts`).Scan(&open)
	var at string
	if err == nil { // only now: an end that is not seen any more lies before
		err = s.activity.conn.QueryRow(ctx, `select pg_catalog.pg_current_wal_insert_lsn()::text`).Scan(&at)
	}
	if err != nil {
		return fmt.Errorf("look which prepared transactions are open: %w", err)
	}
	for _, o := range s.book.list {
		if !slices.Contains(open, o.xid) {
			s.census.ended = append(s.census.ended, o.xid)
		}
	}
	if len(s.census.ended) > 0 {
		s.census.until, err = pglogrepl.ParseLSN(at)
	}
	return err
}
