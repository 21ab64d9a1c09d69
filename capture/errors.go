package capture

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// SQLSTATEs that are told apart (errcodes.txt).
const (
	codeUntranslatable = "22P05"
	codeNotInEncoding  = "22021"
	codeBadAuth        = "28000"
	codeBadPassword    = "28P01"
	codeNoDatabase     = "3D000"
	codeNoPrivilege    = "42501"
	codeNoObject       = "42704"
	codeTooMany        = "53300"
	codeNotReady       = "55000"
	codeInUse          = "55006"
	codeShutdown       = "57P01"
	codeCrash          = "57P02"
	codeCannotConnect  = "57P03"
	codeNoFile         = "58P01"
)

// parseError says what is wrong with a connection string and shows none of it: pgconn masks passwords only as far as
// it recognises them.
func parseError(err error) error {
	text := err.Error()
	if i := strings.LastIndex(text, "`: "); i >= 0 {
		text = text[i+3:]
	}
	return fmt.Errorf("read the source's connection string: %s", oneLine(text))
}

// connectError says in one line why a server could not be reached or did not let us in. noPrivilege tells what it means
// to have none.
func connectError(config *pgx.ConnConfig, err error, noPrivilege string) error {
	where := fmt.Sprintf("connect to %s as %q, database %q", address(config), config.User, config.Database)
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		if connect, is := errors.AsType[*pgconn.ConnectError](err); is {
			err = connect.Unwrap()
		}
		mend := "is the server running, and does it listen there?"
		if end := certificateEnd(config); !end.IsZero() && time.Now().After(end) {
			mend = "the certificate (sslcert) expired on " + end.Format(time.DateTime)
		}
		return &lineError{fmt.Sprintf("%s: %s; %s", where, distinct(err), mend), err}
	}
	mend := ""
	switch pg.Code {
	case codeBadPassword:
		mend = "; set PGPASSWORD or a passfile"
	case codeBadAuth:
		mend = "; look at the role and at pg_hba.conf, where the line for the database also lets logical replication in"
	case codeNoDatabase:
		mend = "; name an existing database in the source"
	case codeNoPrivilege:
		mend = "; run: " + noPrivilege
	case codeTooMany:
		mend = "; raise max_wal_senders or max_connections, or end a session"
	}
	return &lineError{where + ": " + serverSays(pg) + mend, err}
}

// certificateEnd is when our own certificate expires; zero where there is none. With TLS 1.3 a server that refuses it
// hangs up after the handshake, which says nothing.
func certificateEnd(config *pgx.ConnConfig) time.Time {
	if config.TLSConfig == nil || len(config.TLSConfig.Certificates) == 0 {
		return time.Time{}
	}
	leaf, err := x509.ParseCertificate(config.TLSConfig.Certificates[0].Certificate[0])
	if err != nil {
		return time.Time{}
	}
	return leaf.NotAfter
}

// A lineError is an error in a single line of our own words; errors.Is and As see what caused it.
type lineError struct {
	text  string
	cause error
}

func (e *lineError) Error() string { return e.text }
func (e *lineError) Unwrap() error { return e.cause }

// streamError is an ErrorResponse of the replication connection.
func streamError(body []byte) error {
	var response pgproto3.ErrorResponse
	if err := response.Decode(body); err != nil {
		return fmt.Errorf("decode the server's error message: %w", err)
	}
	pg := pgconn.ErrorResponseToPgError(&response)
	switch {
	case pg.Code == codeNoFile && pg.Routine == "WalSndSegmentOpen":
		return &lineError{serverSays(pg), ErrSlotLost}
	case pg.Code == codeNoObject:
		return &lineError{serverSays(pg) + noPublication, pg}
	}
	return &lineError{serverSays(pg), pg}
}

// noPublication: the slot sees the catalogue as it was when a change was made.
const noPublication = "; the publication did not exist when the next change was made (it was dropped meanwhile, or made " +
	"after the slot): the slot cannot deliver that change, and can only be dropped and made anew"

// serverSays is the server's message without what could hold a row: Detail and Where are left out unless they come
// with an object's state.
func serverSays(pg *pgconn.PgError) string {
	text := pg.Message
	if pg.Detail != "" && strings.HasPrefix(pg.Code, "55") {
		text += " (" + pg.Detail + ")"
	}
	return fmt.Sprintf("server says: %s (SQLSTATE %s)", oneLine(text), pg.Code)
}

// distinct joins the lines of an error that holds one for each address that was tried, often twice (with TLS and
// without).
func distinct(err error) string {
	var lines []string
	for line := range strings.Lines(err.Error()) {
		if line = oneLine(line); !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "; ")
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

func address(config *pgx.ConnConfig) string {
	hosts := []string{fmt.Sprintf("%s:%d", config.Host, config.Port)}
	for _, f := range config.Fallbacks { // every host twice where TLS is tried first
		if host := fmt.Sprintf("%s:%d", f.Host, f.Port); host != hosts[len(hosts)-1] {
			hosts = append(hosts, host)
		}
	}
	return strings.Join(hosts, ",")
}

// readNotice logs what the server remarks. One remark is an error: where older servers refuse to go on, PostgreSQL 18
// warns that a publication is missing and leaves out the changes (pgoutput.c, LoadPublications).
func readNotice(log hclog.Logger, body []byte) error {
	var notice pgproto3.NoticeResponse
	if err := notice.Decode(body); err != nil {
		return fmt.Errorf("decode a notice of the server: %w", err)
	}
	if notice.Code == codeNotReady && notice.Routine == "LoadPublications" {
		pg := pgconn.ErrorResponseToPgError((*pgproto3.ErrorResponse)(&notice))
		return &lineError{serverSays(pg) + noPublication, pg}
	}
	log.Warn("notice from the server", "severity", notice.Severity, "message", notice.Message, "code", notice.Code)
	return nil
}

// shuttingDown tells whether the server refuses sessions because it ends, which is not a fault of the connection.
func shuttingDown(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == codeCannotConnect
}

// answered tells whether an error is the server's answer, or only the lack of one.
func answered(err error) bool {
	_, ok := errors.AsType[*pgconn.PgError](err)
	return ok && !errors.Is(err, context.DeadlineExceeded)
}
