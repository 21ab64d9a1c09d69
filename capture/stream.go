package capture

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// A stream is the replication connection while it is being set up: logged in, identified, out of pgx's hands.
type stream struct {
	conn      net.Conn
	frames    *frameReader
	interrupt *interrupter
	log       hclog.Logger

	pid      uint32 // of the walsender
	system   uint64
	timeline uint32
	history  history
	timeout  time.Duration // wal_sender_timeout of this session, 0 for none
}

// openStream connects to the same server in replication mode.
func openStream(ctx context.Context, source *pgx.ConnConfig, f facts, log hclog.Logger) (*stream, error) {
	config := source.Config.Copy()
	pin(config.RuntimeParams, streamSettings(f.Version, f.Encoding))
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		log.Warn("notice from the server", "severity", n.Severity, "message", n.Message, "code", n.Code)
	}
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return nil, connectError(source, err, grantReplication(source.User))
	}
	s := &stream{log: log}
	if err := s.identify(ctx, conn, f); err != nil {
		conn.Close(ctx)
		return nil, err
	}
	// Whatever pgx has read ahead would be missing from the stream.
	if err := conn.SyncConn(ctx); err != nil {
		conn.Close(ctx)
		return nil, fmt.Errorf("take over the replication connection: %w", err)
	}
	raw, err := conn.Hijack()
	if err != nil {
		conn.Close(ctx)
		return nil, fmt.Errorf("take over the replication connection: %w", err)
	}
	s.pid = raw.PID
	if s.conn, err = unpolled(raw.Conn); err != nil {
		raw.Conn.Close()
		return nil, err
	}
	s.conn.SetDeadline(time.Time{})
	s.interrupt = &interrupter{conn: s.conn}
	s.frames = newFrameReader(s.conn)
	s.frames.nap = napFor(s.conn)
	return s, nil
}

func grantReplication(role string) string {
	return "ALTER ROLE " + quoteIdentifier(role) + " REPLICATION"
}

// identify asks the walsender who it is (replication commands and SQL both work in database replication).
func (s *stream) identify(ctx context.Context, conn *pgconn.PgConn, f facts) error {
	row, err := command(ctx, conn, "IDENTIFY_SYSTEM", 4)
	if err != nil {
		return err
	}
	system, err := strconv.ParseUint(row[0], 10, 64)
	if err != nil {
		return fmt.Errorf("IDENTIFY_SYSTEM: system identifier: %w", err)
	}
	timeline, err := strconv.ParseUint(row[1], 10, 32)
	if err != nil {
		return fmt.Errorf("IDENTIFY_SYSTEM: timeline: %w", err)
	}
	s.system, s.timeline = system, uint32(timeline)

	var file string
	if s.timeline > 1 { // the first one has no history
		row, err := command(ctx, conn, fmt.Sprintf("TIMELINE_HISTORY %d", s.timeline), 2)
		if err != nil {
			return err
		}
		file = row[1]
	}
	if s.history, err = parseHistory(s.timeline, file); err != nil {
		return err
	}

	row, err = command(ctx, conn, `select extract(epoch from pg_catalog.pg_postmaster_start_time())::text, setting
		from pg_catalog.pg_settings where name = 'wal_sender_timeout'`, 2)
	if err != nil {
		return err
	}
	if row[0] != f.Started {
		return errors.New("two connections to the source reached two servers; name one host, or add target_session_attrs")
	}
	milliseconds, err := strconv.Atoi(row[1])
	if err != nil {
		return fmt.Errorf("wal_sender_timeout: %w", err)
	}
	s.timeout = time.Duration(milliseconds) * time.Millisecond
	return nil
}

// command runs one command in the simple protocol and returns its only row.
func command(ctx context.Context, conn *pgconn.PgConn, text string, columns int) ([]string, error) {
	name, _, _ := strings.Cut(text, " ")
	results, err := conn.Exec(ctx, text).ReadAll()
	if err != nil {
		if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
			err = &lineError{serverSays(pg), err}
		}
		return nil, fmt.Errorf("%s on the replication connection: %w", name, err)
	}
	if len(results) != 1 || len(results[0].Rows) != 1 || len(results[0].Rows[0]) < columns {
		return nil, fmt.Errorf("%s on the replication connection: the answer is not one row of %d columns", name, columns)
	}
	var row []string
	for _, value := range results[0].Rows[0] {
		row = append(row, string(value))
	}
	return row, nil
}

// start begins replication. Position 0/0 means the slot's own: a lower one is silently forwarded to it, a higher one
// would skip (walsender.c, StartLogicalReplication; logical.c, CreateDecodingContext).
func (s *stream) start(ctx context.Context, cfg Config) error {
	if err := s.interrupt.watch(ctx); err != nil {
		return err
	}
	defer s.interrupt.release()
	query, err := (&pgproto3.Query{String: startReplication(cfg.Slot, cfg.Publication)}).Encode(nil)
	if err == nil {
		_, err = s.conn.Write(query)
	}
	for err == nil {
		var kind byte
		var body []byte
		kind, body, err = s.frames.next()
		switch {
		case err != nil:
			if isTimeout(err) && ctx.Err() != nil {
				err = ctx.Err()
			}
		case kind == 'W': // CopyBothResponse
			return nil
		case kind == 'E':
			err = streamError(body)
		case kind == 'N':
			err = readNotice(s.log, body)
		case kind != 'S':
			err = fmt.Errorf("unexpected frame %q of %d bytes", kind, len(body))
		}
	}
	return fmt.Errorf("start replication from slot %q: %w", cfg.Slot, err)
}

// startReplication is the command. Streaming, two-phase and binary are off unless asked for: a transaction arrives whole,
// after its commit, its values as text. Protocol 1 is enough for that.
func startReplication(slot, publication string) string {
	return fmt.Sprintf("START_REPLICATION SLOT %s LOGICAL 0/0 (proto_version '1', publication_names %s, messages 'true')",
		quoteIdentifier(slot), quoteLiteral(quoteIdentifier(publication)))
}

func quoteIdentifier(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// quoteLiteral quotes for the replication grammar, which knows no backslashes (repl_scanner.l).
func quoteLiteral(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
