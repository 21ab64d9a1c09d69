package witness

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// A stream is a physical replication connection. Its reading half belongs to whoever calls next, its writing half to a
// reporter.
type stream struct {
	conn net.Conn
	in   *bufio.Reader
	pid  uint32 // of the walsender
	size int    // of the frame that next returned last
}

// streamBuffer takes several of the server's chunks, which have up to 128 KB (MAX_SEND_SIZE in walsender.c): what arrives
// during a look-up is read at once, and goes into the next one.
const streamBuffer = 1 << 20

// ErrHistory ends a witness whose server has begun another timeline than it knows of.
var ErrHistory = errors.New("the server has begun a new timeline")

var (
	errInUse = errors.New("is in use")
	errRival = errors.New("another standby")
)

// openStream connects to the server that the place was read from, and starts replication there.
func openStream(ctx context.Context, cfg *Config, p place) (*stream, error) {
	conn, err := cfg.Replicate(ctx)
	if err != nil {
		return nil, err
	}
	raw, err := takeOver(ctx, conn, cfg)
	if err != nil {
		conn.Close(ctx)
		return nil, err
	}
	s := &stream{conn: raw.Conn, in: bufio.NewReaderSize(raw.Conn, streamBuffer), pid: raw.PID}
	stop := context.AfterFunc(ctx, func() { s.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := s.begin(cfg, p.start); err != nil {
		s.conn.Close()
		return nil, err
	}
	return s, nil
}

// takeOver makes sure that this is the server and the history that we know, and takes the connection out of pgx's hands.
func takeOver(ctx context.Context, conn *pgconn.PgConn, cfg *Config) (*pgconn.HijackedConn, error) {
	system, err := pglogrepl.IdentifySystem(ctx, conn)
	if err != nil {
		return nil, fmt.Errorf("identify the witness's server: %w", err)
	}
	if system.SystemID != strconv.FormatUint(cfg.System, 10) {
		return nil, fmt.Errorf("the witness reached another server (system %s, not %d): name one host", system.SystemID, cfg.System)
	}
	if uint32(system.Timeline) != cfg.TimelineOf(system.XLogPos) {
		return nil, ErrHistory
	}
	if err := conn.SyncConn(ctx); err != nil {
		return nil, fmt.Errorf("take over the witness's connection: %w", err)
	}
	raw, err := conn.Hijack()
	if err != nil {
		return nil, fmt.Errorf("take over the witness's connection: %w", err)
	}
	raw.Conn.SetDeadline(time.Time{})
	return raw, nil
}

// begin sends START_REPLICATION and waits for the server to begin.
func (s *stream) begin(cfg *Config, from pglogrepl.LSN) error {
	command := fmt.Sprintf("START_REPLICATION SLOT %s PHYSICAL %s TIMELINE %d", quoteIdentifier(cfg.Name), pageOf(from), cfg.TimelineOf(from))
	query, err := (&pgproto3.Query{String: command}).Encode(nil)
	if err == nil {
		_, err = s.conn.Write(query)
	}
	for err == nil {
		var kind byte
		var body []byte
		kind, body, err = s.next()
		switch {
		case err != nil:
		case kind == 'W': // CopyBothResponse
			return nil
		case kind == 'E':
			err = serverError(body)
		case kind != 'N' && kind != 'S':
			err = fmt.Errorf("unexpected frame %q of %d bytes", kind, len(body))
		}
	}
	return fmt.Errorf("start the witness on slot %q: %w", cfg.Name, err)
}

// pageOf is the beginning of the position's page.
func pageOf(pos pglogrepl.LSN) pglogrepl.LSN { return pos &^ (pageSize - 1) }

// next returns a frame's kind and body, which is valid until the following call.
func (s *stream) next() (byte, []byte, error) {
	s.in.Discard(s.size)
	s.size = 0
	head, err := s.in.Peek(5)
	if err != nil {
		return 0, nil, err
	}
	length := binary.BigEndian.Uint32(head[1:])
	if length < 4 || length >= streamBuffer {
		return 0, nil, fmt.Errorf("frame %q of impossible length %d", head[0], length)
	}
	frame, err := s.in.Peek(1 + int(length))
	if err != nil {
		return 0, nil, err
	}
	s.size = len(frame)
	return frame[0], frame[5:], nil
}

// ready reports whether the next frame is here already.
func (s *stream) ready() bool {
	rest := s.in.Buffered() - s.size
	if rest < 5 {
		return false
	}
	all, _ := s.in.Peek(s.in.Buffered())
	return rest > int(binary.BigEndian.Uint32(all[s.size+1:]))
}

// serverError is an ErrorResponse.
func serverError(body []byte) error {
	var response pgproto3.ErrorResponse
	if err := response.Decode(body); err != nil {
		return fmt.Errorf("decode the server's error message: %w", err)
	}
	pg := pgconn.ErrorResponseToPgError(&response)
	if pg.Code == "55006" { // object_in_use
		return fmt.Errorf("the slot %w: %w", errInUse, pg)
	}
	return pg
}

func quoteIdentifier(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
