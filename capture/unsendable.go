package capture

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
)

// An UnsendableError says that the server cannot put a change into a message: a row's images above 1 GB as text. It
// fails at the same place for ever, and holds the slot there.
type UnsendableError struct {
	Commit pglogrepl.LSN // start of the transaction's commit record
	XID    uint32        // of the transaction, 32 bits
	cause  error
}

func (e *UnsendableError) Error() string {
	return fmt.Sprintf("the server cannot send a change of transaction %d, which committed at %s: %v", e.XID, e.Commit, e.cause)
}

func (e *UnsendableError) Unwrap() error { return e.cause }

// begun is the transaction that the stream is in, zero between two.
type begun struct {
	Commit pglogrepl.LSN
	XID    uint32
}

// look reads a Begin (final_lsn, commit time, xid) and knows a Commit.
func (b *begun) look(message []byte) {
	switch {
	case isBegin(message):
		b.Commit = pglogrepl.LSN(binary.BigEndian.Uint64(message[1:]))
		b.XID = binary.BigEndian.Uint32(message[17:])
	case len(message) > 0 && message[0] == 'C':
		*b = begun{}
	}
}

func isBegin(message []byte) bool { return len(message) == 21 && message[0] == 'B' }

// unsendable tells a message that grew too long (enlargeStringInfo in stringinfo.c, palloc in mcxt.c) from an error
// that may heal.
func unsendable(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pg.Code == "54000" || strings.HasPrefix(pg.Message, "invalid memory alloc request size"))
}

// skipTries bounds how often Skip asks for a slot that its last session has not let go of yet.
const (
	skipTries = 50
	skipPause = 200 * time.Millisecond
)

// Skip moves the slot past one transaction, and no further: a slot sends the commits whose record begins at its position
// or later (SnapBuildXactNeedsSkip in snapbuild.c), so one byte beyond that begin leaves out this commit alone. What
// committed before must be durable. Nobody may hold the slot.
func Skip(ctx context.Context, cfg Config, commit pglogrepl.LSN, log hclog.Logger) error {
	config, err := parseSource(cfg.Source)
	if err != nil {
		return err
	}
	c := &catalogue{config: config}
	conn, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for try := 1; ; try++ {
		_, err := conn.Exec(ctx, "select pg_catalog.pg_replication_slot_advance($1, $2::text::pg_catalog.pg_lsn)",
			cfg.Slot, (commit + 1).String()) // reads the WAL up to there, which takes its time
		if err == nil {
			log.Warn("moved the slot past a transaction that the server cannot send", "slot", cfg.Slot, "commit", commit.String())
			return nil
		}
		pg, ok := errors.AsType[*pgconn.PgError](err)
		if !ok || pg.Code != codeInUse || try == skipTries {
			return fmt.Errorf("move slot %q past the commit at %s: %w", cfg.Slot, commit, err)
		}
		select {
		case <-time.After(skipPause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
