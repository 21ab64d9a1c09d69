package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// sessionSettings are pinned in the start-up packet, so that no role or database setting changes what our own
// statements mean or makes them wait.
var sessionSettings = map[string]string{
	"client_encoding":               "UTF8",
	"search_path":                   "",
	"standard_conforming_strings":   "on",
	"default_transaction_read_only": "off",
	"statement_timeout":             "0",
	"synchronous_commit":            "local", // with hold on, a commit of ours would wait for ourselves
	"DateStyle":                     "ISO",
	"IntervalStyle":                 "postgres",
	"TimeZone":                      "UTC",
}

// connectTimeout holds where the source's URL has no connect_timeout.
const connectTimeout = 10 * time.Second

// connect opens an ordinary session on the source. What the server remarks goes to notes, a line each.
func connect(ctx context.Context, cfg *config, command string, notes io.Writer) (*pgx.Conn, error) {
	cc, err := parseSource(cfg)
	if err != nil {
		return nil, err
	}
	for name, value := range sessionSettings {
		cc.RuntimeParams[name] = value
	}
	cc.RuntimeParams["application_name"] = "pgwitness " + command
	if cc.ConnectTimeout == 0 {
		cc.ConnectTimeout = connectTimeout
	}
	cc.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		fmt.Fprintf(notes, "%s from the server: %s\n", n.Severity, printable(n.Message))
	}
	conn, err := pgx.ConnectConfig(ctx, cc)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %s", sourceName(cc), connectReason(err))
	}
	return conn, nil
}

// tryReplication opens a session in replication mode, "database" for logical and "on" for physical replication, and
// closes it again. It returns synchronous_commit as it holds there: that of a physical session comes from no role and no
// database (InitPostgres in postinit.c).
func tryReplication(ctx context.Context, cfg *config, mode string) (commit string, err error) {
	cc, err := parseSource(cfg)
	if err != nil {
		return "", err
	}
	cc.RuntimeParams["replication"] = mode
	cc.RuntimeParams["application_name"] = "pgwitness check"
	if cc.ConnectTimeout == 0 {
		cc.ConnectTimeout = connectTimeout
	}
	conn, err := pgconn.ConnectConfig(ctx, &cc.Config)
	if err != nil {
		return "", errors.New(connectReason(err))
	}
	defer conn.Close(ctx)
	results, err := conn.Exec(ctx, "SHOW synchronous_commit").ReadAll()
	if err != nil {
		return "", err
	}
	if len(results) != 1 || len(results[0].Rows) != 1 {
		return "", errors.New("the server shows no synchronous_commit")
	}
	return string(results[0].Rows[0][0]), nil
}

// parseSource reads the source's URL. The text of a URL that cannot be parsed is not repeated: a password may stand
// anywhere in it.
func parseSource(cfg *config) (*pgx.ConnConfig, error) {
	cc, err := pgx.ParseConfig(cfg.Source.URL)
	if err != nil {
		return nil, usagef("source.url cannot be read: wanted a libpq URL (postgres://user@host:port/database) or a key/value string (host=… dbname=…); look at host, port, sslmode and service, and at special characters of a password, which a URL wants percent-encoded")
	}
	return cc, nil
}

// sourceName shows the source without its password.
func sourceName(cc *pgx.ConnConfig) string {
	database := cc.Database
	if database == "" { // libpq's rule
		database = cc.User
	}
	return fmt.Sprintf("database %s on %s:%d as %s", database, cc.Host, cc.Port, cc.User)
}

// connectReason leaves out of pgx's error what sourceName has already said, and what it says twice: each address is
// tried with TLS and without.
func connectReason(err error) string {
	var ce *pgconn.ConnectError
	if errors.As(err, &ce) && errors.Unwrap(ce) != nil {
		err = errors.Unwrap(ce)
	}
	var reasons []string
	for line := range strings.Lines(err.Error()) {
		if line = strings.TrimSpace(line); !slices.Contains(reasons, line) {
			reasons = append(reasons, line)
		}
	}
	// With sslmode=prefer a server without TLS is no reason, only the first try.
	if others := slices.DeleteFunc(slices.Clone(reasons), refusedTLS); len(others) > 0 {
		reasons = others
	}
	return strings.Join(reasons, "; ")
}

func refusedTLS(reason string) bool {
	return strings.HasSuffix(reason, "server refused TLS connection")
}
