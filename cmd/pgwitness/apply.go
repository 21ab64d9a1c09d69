package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// PostgreSQL's error codes (errcodes.txt) that setup tells apart.
const (
	insufficientPrivilege = "42501"
	lockNotAvailable      = "55P03"
)

// An application runs a plan, statement by statement, and proves what it did by planning anew. A statement that fails
// does not stop those that do not need it.
type application struct {
	command     string
	conn        *pgx.Conn
	lockTimeout time.Duration
	out, notes  io.Writer
	replan      func() (*plan, error)
}

func (a *application) run(ctx context.Context, p *plan) error {
	for _, setting := range applySettings(a.lockTimeout) {
		if err := a.exec(ctx, setting); err != nil {
			return fmt.Errorf("%s: %w", setting, err)
		}
	}
	ran, failed := map[string]*step{}, map[*step]bool{}
	for _, s := range p.steps {
		switch {
		case s.done:
		case s.waits != "":
			failed[s] = true
			a.report("left", s, s.waits)
		case s.requires != nil && failed[s.requires]:
			failed[s] = true
			a.report("skipped", s, "it needs the "+s.requires.subject)
		default:
			err := a.apply(ctx, s)
			switch {
			case err == nil:
				ran[s.sql] = s
				a.report("done", s, "")
			case ctx.Err() != nil || a.conn.IsClosed():
				return fmt.Errorf("%s stopped at the %s: %w", a.command, s.subject, err)
			default:
				failed[s] = true
				a.report("failed", s, a.explain(ctx, s, err))
			}
		}
	}
	return a.verify(ran)
}

// verify plans once more: what the new plan still wants has not taken effect, whatever the server answered. (A GRANT
// without the right to it succeeds with a warning and changes nothing.)
func (a *application) verify(ran map[string]*step) error {
	p, err := a.replan()
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	if len(p.problems) > 0 {
		return p.reportProblems(a.notes)
	}
	var left []*step
	needed := 0
	for _, s := range p.steps {
		if s.done {
			continue
		}
		left = append(left, s)
		if s.without == "" {
			needed++
		}
		if ran[s.sql] != nil {
			a.report("failed", s, "the server accepted the statement, but it took no effect (needs: "+s.needs+")")
		}
	}
	switch {
	case len(left) > 0:
		fmt.Fprintf(a.out, "\n-- What is left, for psql and a role that may:\n")
		writeStatements(a.out, left, a.lockTimeout)
		if needed > 0 {
			return fmt.Errorf("%s is not complete, %d statements are left: run those above as a role that may, or %s --apply again", a.command, needed, a.command)
		}
		fmt.Fprintf(a.out, "\n%s is complete and verified but for what is above\n", a.command)
		for _, s := range left {
			fmt.Fprintf(a.notes, "note: without the %s: %s\n", s.subject, s.without)
		}
	case len(ran) == 0:
		fmt.Fprintf(a.out, "nothing to do: everything is as it should be\n")
	default:
		fmt.Fprintf(a.out, "%s is complete and verified\n", a.command)
	}
	return nil
}

func (a *application) report(outcome string, s *step, why string) {
	if why != "" {
		why = ": " + oneLine(why)
	}
	fmt.Fprintf(a.out, "%-8s %s%s\n", outcome, s.subject, why)
}

// apply runs one step.
func (a *application) apply(ctx context.Context, s *step) error {
	if s.patient {
		if err := a.announceWait(ctx); err != nil {
			return err
		}
		if err := a.exec(ctx, "set lock_timeout = 0"); err != nil {
			return err
		}
	}
	if s.standbys != nil {
		return setStandbys(ctx, a.conn, *s.standbys)
	}
	return a.exec(ctx, s.sql+s.secret)
}

// exec uses the simple protocol: utility statements have nothing to prepare.
func (a *application) exec(ctx context.Context, sql string) error {
	return a.conn.PgConn().Exec(ctx, sql).Close()
}

// announceWait names the transactions that a new slot has to wait for (SnapBuildWaitSnapshot in snapbuild.c), so that a
// long wait explains itself.
func (a *application) announceWait(ctx context.Context) error {
	holders, err := a.sessions(ctx, `
		select `+sessionText+` from pg_stat_activity
		 where backend_xid is not null and pid <> pg_backend_pid() and xact_start < now() - interval '1 second'
		 order by xact_start limit 3`)
	for _, h := range holders {
		fmt.Fprintf(a.notes, "note: the slot waits for a running transaction: %s\n", printable(h))
	}
	return err
}

// sessionText names a session of pg_stat_activity.
const sessionText = `concat('pid ', pid, coalesce(', role ' || usename, ''), coalesce(', application ' || nullif(application_name, ''), ''),
	coalesce(', in a transaction for ' || date_trunc('second', now() - xact_start), ''))`

func (a *application) sessions(ctx context.Context, sql string, args ...any) ([]string, error) {
	rows, err := a.conn.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// explain turns the server's answer into what to do about it.
func (a *application) explain(ctx context.Context, s *step, err error) string {
	var pe *pgconn.PgError
	if !errors.As(err, &pe) {
		return err.Error()
	}
	switch pe.Code {
	case insufficientPrivilege:
		return pe.Message + " (needs: " + s.needs + ")"
	case lockNotAvailable:
		return fmt.Sprintf("locked for longer than %v%s; nobody waits behind setup: run it again", a.lockTimeout, a.lockedBy(ctx, s.oid))
	}
	return pe.Message + " (SQLSTATE " + pe.Code + ")"
}

// lockedBy names who holds a lock on the table, if they can be seen still.
func (a *application) lockedBy(ctx context.Context, oid uint32) string {
	holders, err := a.sessions(ctx, `
		select `+sessionText+` from pg_stat_activity
		 where pid <> pg_backend_pid() and pid in (select l.pid from pg_locks l
		       where l.locktype = 'relation' and l.relation = $1 and l.granted
		         and l.database = (select oid from pg_database where datname = current_database()))
		 order by xact_start limit 1`, oid)
	if err != nil || len(holders) == 0 {
		return ""
	}
	return " by " + holders[0]
}
