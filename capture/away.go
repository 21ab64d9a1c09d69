package capture

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// An AwayError says that the server, or a connection to it, is gone, and not what is wrong with it: Open mends that as
// soon as the server is back.
type AwayError struct{ cause error }

func (e *AwayError) Error() string { return e.cause.Error() }
func (e *AwayError) Unwrap() error { return e.cause }

// Away marks an error of a session with the server that is the lack of an answer.
func Away(err error) error {
	if err != nil && absent(err) {
		return &AwayError{err}
	}
	return err
}

// absent tells the lack of an answer, or a server that takes no sessions now, from an answer.
func absent(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch pg.Code {
		case codeTooMany, codeCannotConnect, codeShutdown, codeCrash:
			return true
		}
		return strings.HasPrefix(pg.Code, "08") // connection exceptions
	}
	if errors.Is(err, ErrSlotLost) {
		return false
	}
	_, known := errors.AsType[*AwayError](err)
	_, network := errors.AsType[net.Error](err)
	_, unreachable := errors.AsType[*lineError](err) // connectError's
	return known || network || unreachable || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, errShutdown) || errors.Is(err, errPromoted)
}
