package capture

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/go-hclog"
	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"

	"pgwitness/decode"
)

// ErrSlotLost means that the server has thrown away what the slot still had to deliver: a gap in the trail.
var ErrSlotLost = errors.New("the slot has lost its place in the log")

var errNoSlot = errors.New("there is no such slot")

// A LossError says that the slot cannot deliver what came after its confirmed position: it is invalid (ErrSlotLost), or
// gone, which is a gap where there was a trail.
type LossError struct {
	Slot      string
	Reason    string        // of the invalidation, in the server's words; empty when the slot is gone
	Confirmed pglogrepl.LSN // the slot's confirmed position; 0 when it is gone
	Current   pglogrepl.LSN // the server's position when the loss was found; 0 when that could not be asked
	Source    decode.Source // what the slot read; System is 0 when that could not be asked
}

func (e *LossError) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("the server has no replication slot %q; make it with pgwitness setup, or name another", e.Slot)
	}
	return fmt.Sprintf("slot %q: %s: invalidated (%s), confirmed up to %s; "+
		"what came after is not in the trail; drop the slot and make it anew", e.Slot, ErrSlotLost, e.Reason, e.Confirmed)
}

func (e *LossError) Unwrap() error {
	if e.Reason == "" {
		return errNoSlot
	}
	return ErrSlotLost
}

// lost returns an error where the server has thrown away what the slot needs (slot.c, InvalidateObsoleteReplicationSlots).
func (s *slotState) lost(name string) error {
	reason := s.Invalidation
	switch {
	case reason != "":
	case s.WALStatus == "lost":
		reason = "max_slot_wal_keep_size"
	case s.Conflicting:
		reason = "conflict with recovery"
	default:
		return nil
	}
	confirmed, err := pglogrepl.ParseLSN(s.Confirmed)
	if err != nil {
		confirmed = 0 // the server does not tell
	}
	return &LossError{Slot: name, Reason: reason, Confirmed: confirmed}
}

// lost tells, after a failure, whether the slot has been invalidated meanwhile.
func (c *catalogue) lost(ctx context.Context, slot string) error {
	var lost error
	err := c.query(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		s, err := readSlot(ctx, conn, slot)
		if err == nil && s != nil {
			lost = s.lost(slot)
		}
		return err
	})
	if err != nil {
		return nil // the failure itself is told
	}
	return lost
}

// complete finds out what the record of a loss needs. Where it cannot, the loss is told without a record.
func (c *catalogue) complete(ctx context.Context, cfg Config, loss *LossError, log hclog.Logger) {
	var f facts
	var at string
	err := c.query(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		var err error
		if f, err = readFacts(ctx, conn); err != nil {
			return err
		}
		return conn.QueryRow(ctx, `select case when pg_is_in_recovery() then pg_last_wal_replay_lsn()
			else pg_current_wal_lsn() end::text`).Scan(&at)
	})
	if err != nil {
		log.Debug("the server does not tell more of the loss", "error", err)
		return
	}
	if loss.Current, err = pglogrepl.ParseLSN(at); err != nil {
		return
	}
	s, err := openStream(ctx, c.config, f, log)
	if err != nil {
		log.Debug("the server does not tell more of the loss", "error", err)
		return
	}
	s.conn.Close()
	loss.Source = origin(s, f, cfg.Slot, c)
}

// origin names where the messages of a stream come from.
func origin(s *stream, f facts, slot string, c *catalogue) decode.Source {
	return decode.Source{
		System: s.system, Database: f.Database, Oid: f.Oid, Slot: slot, Encoding: f.Encoding,
		Charset: newCharset(f.Encoding, c), TimelineOf: s.history.timelineOf, NextXID: f.NextXID,
	}
}

// lossOf tells, after the server has ended the session, whether that was because it invalidated the slot (slot.c,
// InvalidatePossiblyObsoleteSlot, ends the session first).
func (s *Source) lossOf(ctx context.Context, cause error) error {
	if s.catalogue == nil {
		return cause
	}
	ctx, cancel := context.WithTimeout(ctx, questionTime/10)
	defer cancel()
	loss, ok := errors.AsType[*LossError](s.catalogue.lost(ctx, s.slot))
	if !ok && errors.Is(cause, ErrSlotLost) { // the log is gone before the slot is marked
		loss, ok = &LossError{Slot: s.slot, Reason: oneLine(cause.Error()), Confirmed: s.link.durable()}, true
	}
	if !ok {
		return cause
	}
	loss.Source, loss.Current = s.origin, s.position
	return loss
}
