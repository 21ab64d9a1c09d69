//go:build integration

package nemesis

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// In a round with hold every commit of the workload waits for the witness from the first one on, and through whatever
// happens to it. One time in four that is before pgwitness has begun; otherwise most of a short round would be waiting. The
// suite's own sessions, which are the superuser's, wait for nobody.

// logins are the roles of the workload's sessions. They may do what the superuser may, so that every session can change
// every table's definition.
var logins = []string{"alice", "bob", "carol"}

const loginPassword = "login-secret"

// letIn makes the logins.
func (s *source) letIn(ctx context.Context, admin *pgx.Conn) error {
	statements := []string{"alter role postgres set synchronous_commit = local"}
	for _, name := range logins {
		statements = append(statements, fmt.Sprintf("create role %s superuser login password '%s'", name, loginPassword))
	}
	for _, sql := range statements {
		if _, err := admin.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// drawHold decides whether a round is one with hold, and whether the workload begins before the witness.
func drawHold(seed uint64) (hold, early bool) {
	random := rand.New(rand.NewPCG(seed, 2))
	hold, early = random.IntN(2) == 0, random.IntN(4) == 0
	switch os.Getenv("NEMESIS_HOLD") {
	case "0":
		hold = false
	case "1":
		hold = true
	}
	return hold, early
}

// witness is the name of the witness, and of its slot.
func (r *round) witness() string { return r.slot + "_witness" }

// holdOn lets commits wait.
func (r *round) holdOn(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		if err := r.holdOff(); err != nil {
			t.Errorf("commits go on waiting: %v", err)
		}
	})
	ctx := t.Context()
	err := r.exec(ctx, "select pg_create_physical_replication_slot($1, true)", r.witness())
	if err == nil {
		err = r.exec(ctx, fmt.Sprintf(`alter system set synchronous_standby_names = 'FIRST 1 ("%s")'`, r.witness()))
	}
	if err == nil {
		err = r.exec(ctx, "select pg_reload_conf()")
	}
	if err == nil {
		err = r.awaitStandbys(ctx, r.witness())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// holdOff lets everybody go, for the rounds that follow. It may be called twice.
func (r *round) holdOff() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	return r.ask(ctx, func(c *pgx.Conn) error {
		for _, sql := range []string{"alter system reset synchronous_standby_names", "select pg_reload_conf()"} {
			if _, err := c.Exec(ctx, sql); err != nil {
				return err
			}
		}
		if err := r.awaitStandbys(ctx, ""); err != nil {
			return err
		}
		_, err := c.Exec(ctx, "select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = $1 and active", r.witness())
		if err != nil {
			return err
		}
		rest(ctx, 100*time.Millisecond)
		_, err = c.Exec(ctx, "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = $1", r.witness())
		return err
	})
}

// awaitStandbys waits until the server has taken up who must answer.
func (r *round) awaitStandbys(ctx context.Context, name string) error {
	for ; ctx.Err() == nil; rest(ctx, 20*time.Millisecond) {
		var now string
		err := r.ask(ctx, func(c *pgx.Conn) error {
			return c.QueryRow(ctx, "select current_setting('synchronous_standby_names')").Scan(&now)
		})
		if err != nil {
			return err
		}
		if want := fmt.Sprintf(`FIRST 1 ("%s")`, name); now == want || name == "" && now == "" {
			return nil
		}
	}
	return ctx.Err()
}

// awaitWitness waits until the witness can let commits go.
func (r *round) awaitWitness(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	for there := false; !there; rest(ctx, 20*time.Millisecond) {
		err := r.ask(ctx, func(c *pgx.Conn) error {
			return c.QueryRow(ctx, "select exists (select from pg_stat_replication where application_name = $1 and sync_state = 'sync')", r.witness()).Scan(&there)
		})
		if err != nil {
			return fmt.Errorf("wait for the witness: %w", err)
		}
	}
	return nil
}

// endOne ends, or only cancels, one of the sessions that wait for the witness.
func (r *round) endOne(ctx context.Context, function string) {
	var name string
	err := r.ask(ctx, func(c *pgx.Conn) error {
		return c.QueryRow(ctx, `select coalesce(min(application_name) filter (where `+function+`(pid)), '')
			from (select pid, application_name from pg_stat_activity where wait_event = 'SyncRep' limit 1) one`).Scan(&name)
	})
	r.tell("%s of %q: %v", function, name, err)
}

// endSessions ends the sessions that pgwitness asks questions on.
func (r *round) endSessions(ctx context.Context) {
	var ended int
	err := r.ask(ctx, func(c *pgx.Conn) error {
		return c.QueryRow(ctx, `select count(*) filter (where pg_terminate_backend(pid)) from pg_stat_activity
			where usename = $1 and backend_type = 'client backend'`, role).Scan(&ended)
	})
	r.tell("ended %d sessions: %v", ended, err)
}
