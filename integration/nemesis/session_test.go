//go:build integration

package nemesis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// begin connects where that is needed, and gives the session a name for this transaction alone: so the books and the
// client mean the same one.
func (s *session) begin(ctx context.Context) error {
	if err := s.connect(ctx); err != nil {
		return err
	}
	s.turn++
	s.freed = false
	return s.exec(ctx, fmt.Sprintf("set application_name = '%s'", s.application()))
}

func (s *session) application() string { return fmt.Sprintf("nemesis %d.%d", s.number, s.turn) }

func (s *session) connect(ctx context.Context) error {
	if s.conn != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	config, err := pgx.ParseConfig(s.urls[s.login.IntN(len(s.urls))])
	if err != nil {
		return err
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol // tables change under the statements
	config.RuntimeParams["lock_timeout"] = "2s"
	config.RuntimeParams["application_name"] = fmt.Sprintf("nemesis %d", s.number)
	if s.login.IntN(4) == 0 {
		config.RuntimeParams["role"] = "postgres" // which the session may use, and which it is not
	}
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		// SyncRepWaitForLSN in syncrep.c, of a statement that is cancelled in its wait.
		s.freed = s.freed || strings.HasPrefix(n.Message, "canceling wait for synchronous replication")
	}
	s.conn, err = pgx.ConnectConfig(ctx, config)
	return err
}

// exec runs a statement. A server that stands still is waited for, but not for ever.
func (s *session) exec(ctx context.Context, sql string) error {
	limit := 30 * time.Second
	if s.hold {
		limit = 3 * time.Minute // pgwitness may be away
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	_, err := s.conn.Exec(bounded, sql)
	switch {
	case err == nil:
		return nil
	case s.hold && errors.Is(bounded.Err(), context.DeadlineExceeded):
		s.fault(fmt.Errorf("stood still for %s in %.200s", limit, sql))
	}
	return fmt.Errorf("%w in %.200s", err, sql)
}

func (s *session) fault(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures = append(s.failures, fmt.Errorf("writer %d: %w", s.number, err))
}

// committed notes that the client saw its commit succeed. One whose wait was cancelled was told that, too.
func (s *session) committed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commits++
	if !s.freed {
		s.succeed[s.application()] = true
	}
}

// inTwoPhases prepares the block's transaction and, mostly, ends it. What the changes' maker waits for is the prepare.
func (s *session) inTwoPhases(ctx context.Context) error {
	gid := fmt.Sprintf("%d %s", s.seed, s.application())
	if err := s.exec(ctx, "prepare transaction '"+gid+"'"); err != nil {
		return err
	}
	s.committed()
	switch s.login.IntN(6) {
	case 0:
		return s.exec(ctx, "rollback prepared '"+gid+"'")
	case 1:
		return nil // for another session to end
	}
	return s.commitPrepared(ctx, gid)
}

// commitPrepared commits what was prepared, and notes who tried. Another session may be quicker (undefined_object), or about
// to be (object_not_in_prerequisite_state).
func (s *session) commitPrepared(ctx context.Context, gid string) error {
	s.mu.Lock()
	s.enders[gid] = append(s.enders[gid], maker{s.conn.Config().User, int32(s.conn.PgConn().PID()), s.application()})
	s.mu.Unlock()
	err := s.exec(ctx, "commit prepared '"+gid+"'")
	if pg := (*pgconn.PgError)(nil); errors.As(err, &pg) && (pg.Code == "42704" || pg.Code == "55000") {
		return nil
	}
	return err
}

// endPrepared ends what others prepared that long ago, and left.
func (s *session) endPrepared(ctx context.Context, ago time.Duration) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	rows, err := s.conn.Query(ctx, "select gid from pg_prepared_xacts where database = current_database() and prepared < clock_timestamp() - make_interval(secs => $1)",
		ago.Seconds())
	if err != nil {
		return err
	}
	left, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, gid := range left {
		if err := s.commitPrepared(ctx, gid); err != nil {
			return err
		}
	}
	return nil
}

// finish ends what is prepared when the workload has ended: nobody else does.
func (w *workload) finish(ctx context.Context) {
	s := &session{workload: w, login: w.random(1000), number: writers + 1}
	defer s.close()
	var err error
	for range 20 {
		if err = s.begin(ctx); err == nil {
			err = s.endPrepared(ctx, 0)
		}
		if err == nil {
			return
		}
		s.close()
		rest(ctx, time.Second)
	}
	s.fault(err)
}
