package capture

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// A catalogue asks the server over an ordinary connection, opened when needed.
type catalogue struct {
	config *pgx.ConnConfig

	mu   sync.Mutex // guards the rest, and is held for a whole question
	conn *pgx.Conn
	made time.Time // when conn was opened
}

// Bounds of a question, so that nobody waits for a server that has gone without a word.
const (
	questionTime = 30 * time.Second
	farewellTime = time.Second
	lookupTries  = 5
	lookupPause  = 200 * time.Millisecond // doubled after each try
)

// query runs ask on the connection. Where it has been lost it is opened again, once: asking twice changes nothing. An
// AwayError says that there was no answer.
func (c *catalogue) query(ctx context.Context, ask func(context.Context, *pgx.Conn) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, questionTime)
	defer cancel()
	for fresh := false; ; {
		if c.conn == nil || c.conn.IsClosed() {
			fresh = true
			conn, err := c.connect(ctx)
			if err != nil {
				return Away(err)
			}
			c.conn, c.made = conn, time.Now()
		}
		err := ask(ctx, c.conn)
		if err == nil || fresh || ctx.Err() != nil || !c.conn.IsClosed() {
			return Away(err)
		}
	}
}

// lookup is query for those who cannot do without the answer: where no connection is to be had, it tries again for some
// seconds, because the stream may be well while the server has no place for another session.
func (c *catalogue) lookup(ctx context.Context, ask func(context.Context, *pgx.Conn) error) error {
	pause := lookupPause
	for try := 1; ; try++ {
		err := c.query(ctx, ask)
		_, unreachable := errors.AsType[*lineError](err) // connectError's
		if !unreachable || try == lookupTries {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
			pause *= 2
		}
	}
}

func (c *catalogue) connect(ctx context.Context) (*pgx.Conn, error) {
	conn, err := pgx.ConnectConfig(ctx, c.config.Copy())
	if err != nil {
		mend := fmt.Sprintf("GRANT CONNECT ON DATABASE %s TO %s", quoteIdentifier(c.config.Database), quoteIdentifier(c.config.User))
		if c.config.RuntimeParams["replication"] != "" {
			mend = grantReplication(c.config.User)
		}
		return nil, connectError(c.config, err, mend)
	}
	var version int
	err = conn.QueryRow(ctx, `select current_setting('server_version_num')::int`).Scan(&version)
	if err == nil {
		for name, value := range timeouts(version) {
			if _, err = conn.Exec(ctx, `select set_config($1, $2, false)`, name, value); err != nil {
				break
			}
		}
	}
	if err != nil {
		conn.Close(ctx)
		return nil, fmt.Errorf("prepare the catalogue connection: %w", err)
	}
	return conn, nil
}

// rest closes a connection of that age, also one that is asked again and again: who needs it gets another, unless the
// server is waiting for the last sessions to end.
func (c *catalogue) rest(ctx context.Context, age time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil && time.Since(c.made) > age {
		ctx, cancel := context.WithTimeout(ctx, farewellTime)
		defer cancel()
		c.conn.Close(ctx)
		c.conn = nil
	}
}

func (c *catalogue) close(ctx context.Context) { c.rest(ctx, -1) }
