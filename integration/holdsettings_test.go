//go:build integration

package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"pgwitness/integration/servers"
)

// A standby reads the log through a physical slot and answers for all that it has seen, as any synchronous standby does.
type standby struct {
	cancel context.CancelFunc
	ended  chan struct{}
}

// startStandby returns when the standby streams. It ends with the test, or by stop.
func startStandby(t *testing.T, url, name string) *standby {
	t.Helper()
	return startStandbyOn(t, url, name, name)
}

func startStandbyOn(t *testing.T, url, slot, name string) *standby {
	t.Helper()
	cc, err := pgconn.ParseConfig(url + "&replication=on&application_name=" + name)
	if err != nil {
		t.Fatal(err)
	}
	c, err := pgconn.ConnectConfig(t.Context(), cc)
	if err != nil {
		t.Fatal(err)
	}
	system, err := pglogrepl.IdentifySystem(t.Context(), c)
	if err == nil {
		err = pglogrepl.StartReplication(t.Context(), c, slot, system.XLogPos, pglogrepl.StartReplicationOptions{Mode: pglogrepl.PhysicalReplication, Timeline: system.Timeline})
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s := &standby{cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		defer c.Close(context.Background())
		answer(ctx, c, system.XLogPos)
	}()
	t.Cleanup(s.stop)
	return s
}

func (s *standby) stop() {
	s.cancel()
	<-s.ended
}

// answer confirms everything at once until the connection or the context ends.
func answer(ctx context.Context, c *pgconn.PgConn, seen pglogrepl.LSN) {
	for {
		if pglogrepl.SendStandbyStatusUpdate(ctx, c, pglogrepl.StandbyStatusUpdate{WALWritePosition: seen}) != nil {
			return
		}
		wait, cancel := context.WithTimeout(ctx, time.Second)
		message, err := c.ReceiveMessage(wait)
		cancel()
		if pgconn.Timeout(err) && ctx.Err() == nil {
			continue
		}
		data, ok := message.(*pgproto3.CopyData)
		if err != nil || !ok {
			return
		}
		if data.Data[0] == pglogrepl.XLogDataByteID {
			x, err := pglogrepl.ParseXLogData(data.Data[1:])
			if err != nil {
				return
			}
			seen = x.WALStart + pglogrepl.LSN(len(x.WALData))
		}
	}
}

// awaitIt waits until a query says true.
func awaitIt(t *testing.T, c *pgx.Conn, query string, args ...any) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		var yes bool
		if err := c.QueryRow(t.Context(), query, args...).Scan(&yes); err != nil {
			t.Fatal(err)
		}
		if yes {
			return
		}
	}
	t.Fatalf("never true: %s", query)
}

// A commit is one statement on a connection of its own, which may have to wait.
type commit struct {
	ended chan error
}

func startCommit(t *testing.T, url string) *commit {
	t.Helper()
	c := servers.Connect(t, url)
	done := &commit{ended: make(chan error, 1)} // one result
	go func() {
		_, err := c.Exec(t.Context(), "insert into t values ('waits')")
		done.ended <- err
	}()
	return done
}

func (c *commit) isThrough(t *testing.T, limit time.Duration) {
	t.Helper()
	select {
	case err := <-c.ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(limit):
		t.Errorf("a commit still waits after %s", limit)
	}
}

// holdTrail is a trail on a server of its own, whose connections for looking wait for nobody.
func holdTrail(t *testing.T, version int) (tr *trail, look *pgx.Conn, list func() string) {
	t.Helper()
	tr = newTrailOn(t, servers.StartPostgres(t, version, "autovacuum=off"), servers.SharedKafka(t))
	tr.Exec(t, "create table t (v text)")
	look = tr.Connect(t)
	mustExec(t, look, "set synchronous_commit = local")
	t.Cleanup(func() { // the server must not hang while it is cleaned
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		for _, s := range []string{"alter system reset synchronous_standby_names", "select pg_reload_conf()", "revoke all on parameter synchronous_standby_names from " + tr.slot} {
			if c, err := pgx.Connect(ctx, tr.URL()); err == nil {
				c.Exec(ctx, s)
				c.Close(ctx)
			}
		}
	})
	return tr, look, func() string { return tr.Text(t, "current_setting('synchronous_standby_names')") }
}

// TestHoldSettings: the way of an operator through setup --hold, the emergency and teardown.
func TestHoldSettings(t *testing.T) {
	for _, version := range []int{14, 15, 18} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			t.Parallel()
			tr, look, list := holdTrail(t, version)
			witness := tr.slot + "_witness"
			app := servers.Unique("a")
			mustExec(t, look, "create role "+app+" login password '"+rolePassword+"'", "grant insert on t to "+app)
			tr.setup(t, "public.*", "--context-roles", app)
			role, appURL := tr.URLAs(tr.slot, rolePassword), tr.URLAs(app, rolePassword)
			expectEnd(t, tr.command(t, role, "check"), 0, "note    hold: not set up")

			setup := []string{"setup", "--role", tr.slot, "--hold", "--unheld-roles", app, "--apply"}
			for range 2 { // without a stream the commits are left alone
				expectEnd(t, tr.command(t, tr.URL(), setup...), 0, "left     hold: nobody streams as "+witness, "setup is complete and verified but for what is above", "start pgwitness run --hold")
				if got := list(); got != "" {
					t.Fatalf("the list is %q", got)
				}
			}
			expectEnd(t, tr.command(t, role, "hold", "on"), 1, witness+" does not stream")
			expectEnd(t, tr.command(t, role, "check"), 0, "warning hold: "+witness+" is not in synchronous_standby_names (empty)", "roles whose commits do not wait (synchronous_commit local or off): "+app)

			s := startStandby(t, role, witness)
			awaitIt(t, look, "select exists (select from pg_stat_replication where application_name = $1 and state = 'streaming')", witness)
			expectEnd(t, tr.command(t, tr.URL(), setup...), 0, "done     hold", "setup is complete and verified")
			want := `FIRST 1 ("` + witness + `")`
			if got := list(); got != want {
				t.Fatalf("the list is %q, want %q", got, want)
			}
			expectEnd(t, tr.command(t, tr.URL(), setup...), 0, "nothing to do")
			expectEnd(t, tr.command(t, tr.URL(), "hold", "off"), 0, "and is empty", "no session waited")
			if version > 14 {
				expectEnd(t, tr.command(t, role, "hold", "on"), 0, "hold is on: synchronous_standby_names is "+want)
			}
			for range 2 {
				expectEnd(t, tr.command(t, tr.URL(), "hold", "on"), 0, "hold is on: synchronous_standby_names is "+want)
			}
			awaitIt(t, look, "select sync_state = 'sync' from pg_stat_replication where application_name = $1", witness)
			startCommit(t, tr.URL()).isThrough(t, 20*time.Second)
			givesUp := "ok      hold-release: the run may give hold up"
			if version == 14 {
				givesUp = "only a superuser may change"
			}
			expectEnd(t, tr.command(t, role, "check"), 0, "ok      hold: every commit waits for the witness", "ok      hold-level: synchronous_commit is on", givesUp)
			expectEnd(t, tr.command(t, tr.URL(), "teardown", "--apply"), 1, "slot "+witness+" is in use by pid", "nothing was changed")

			s.stop()
			waits := startCommit(t, tr.URL())
			awaitIt(t, look, "select count(*) = 1 from pg_stat_activity where wait_event = 'SyncRep'")
			startCommit(t, appURL).isThrough(t, 20*time.Second)
			expectEnd(t, tr.command(t, role, "check"), 1, "wrong   hold: every commit of the cluster waits: "+witness)
			as := role
			if version == 14 {
				expectEnd(t, tr.command(t, role, "hold", "off"), 1, "needs: superuser")
				as = tr.URL()
			}
			expectEnd(t, tr.command(t, as, "hold", "off"), 0, "hold is off: synchronous_standby_names was "+want+" and is empty", "sessions that waited and are free: 1")
			waits.isThrough(t, 5*time.Second)
			startCommit(t, tr.URL()).isThrough(t, 20*time.Second)
			expectEnd(t, tr.command(t, as, "hold", "off"), 0, "nothing to do: "+witness+" is not in synchronous_standby_names, which is empty")

			// Teardown by itself frees those that wait, too.
			mustExec(t, look, "alter system set synchronous_standby_names = 'FIRST 1 (a, "+strings.ToUpper(witness)+")'", "select pg_reload_conf()")
			awaitIt(t, look, "select current_setting('synchronous_standby_names') <> ''")
			expectEnd(t, tr.command(t, tr.URL(), "teardown", "--role", tr.slot, "--drop-role", "--unheld-roles", app, "--apply"), 0, "done     hold", "done     slot "+witness, "done     synchronous_commit of role "+app, "teardown is complete and verified")
			if got := list(); got != `FIRST 1 ("a")` {
				t.Errorf("the list is %q", got)
			}
			left := tr.Text(t, `concat_ws(' ', (select count(*) from pg_replication_slots), (select count(*) from pg_db_role_setting where setconfig::text like '%synchronous_commit%'),
				(select count(*) from pg_namespace where nspname = 'pgwitness'), (select count(*) from pg_roles where rolname = '`+tr.slot+`'))`)
			if left != "0 0 0 0" {
				t.Errorf("teardown left %s", left)
			}
		})
	}
}

// TestHoldListsOfOthers: other standbys of the list stay, and lists that cannot hold the witness are refused.
func TestHoldListsOfOthers(t *testing.T) {
	tr, look, list := holdTrail(t, 18)
	tr.setup(t, "public.*")
	witness := tr.slot + "_witness"
	role := tr.URLAs(tr.slot, rolePassword)
	set := func(value string) {
		t.Helper()
		mustExec(t, look, "alter system set synchronous_standby_names = '"+value+"'", "select pg_reload_conf()")
		awaitIt(t, look, "select current_setting('synchronous_standby_names') = '"+value+"'")
	}
	setup := []string{"setup", "--role", tr.slot, "--hold", "--apply"}
	expectEnd(t, tr.command(t, tr.URL(), setup...), 0, "left     hold")
	startStandby(t, role, witness)
	mustExec(t, look, "select pg_create_physical_replication_slot('real', true)")
	startStandby(t, tr.URL(), "real")
	awaitIt(t, look, "select count(*) = 2 from pg_stat_replication where state = 'streaming'")

	set("ANY 1 (real, b)")
	expectEnd(t, tr.command(t, tr.URL(), setup...), 1, "it is ANY 1: others answer in our place", "mend it: alter system set synchronous_standby_names = 'FIRST 2 (\"real\", \"b\")'")
	set("*")
	expectEnd(t, tr.command(t, tr.URL(), setup...), 1, "it holds *", "nothing was changed")
	expectEnd(t, tr.command(t, role, "check"), 0, "warning hold: synchronous_standby_names holds *")
	set("real")
	expectEnd(t, tr.command(t, tr.URL(), append(setup, "--unheld-roles", tr.slot)...), 1, "synchronous_standby_names lists real: unheld roles would not wait for it either")
	expectEnd(t, tr.command(t, tr.URL(), setup...), 0, "done     hold")
	if got, want := list(), `FIRST 2 ("real", "`+witness+`")`; got != want {
		t.Errorf("the list is %q, want %q", got, want)
	}
	startCommit(t, tr.URL()).isThrough(t, 20*time.Second)
	expectEnd(t, tr.command(t, role, "hold", "off"), 0, `and is FIRST 1 ("real")`)
	if got := list(); got != `FIRST 1 ("real")` {
		t.Errorf("the list is %q", got)
	}
	startCommit(t, tr.URL()).isThrough(t, 20*time.Second)
	set("billing_witness, real")
	expectEnd(t, tr.command(t, role, "hold", "off"), 0, "nothing to do", "pgwitness hold off --slot billing")
	set("")

	// Somebody else who bears the witness's name.
	mustExec(t, look, "select pg_create_physical_replication_slot('third', true)")
	cc := strings.Replace(tr.URL(), "sslmode", "options=-csynchronous_commit%3Dlocal&sslmode", 1)
	stranger, err := pgx.Connect(t.Context(), cc+"&replication=database&default_query_exec_mode=simple_protocol&application_name="+witness)
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close(context.Background())
	if err := pglogrepl.StartReplication(t.Context(), stranger.PgConn(), "third", lsn(t, tr.Text(t, "pg_current_wal_lsn()")), pglogrepl.StartReplicationOptions{Mode: pglogrepl.PhysicalReplication}); err != nil {
		t.Fatal(err)
	}
	expectEnd(t, tr.command(t, role, "check"), 1, fmt.Sprintf("pid %d streams as %s and does not read that slot", stranger.PgConn().PID(), witness))
	expectEnd(t, tr.command(t, tr.URL(), setup...), 1, "it would answer in the witness's place", "nothing was changed")
}

// TestHoldOffOfACommandLine: what stands on the server's command line cannot be changed, and is said so.
func TestHoldOffOfACommandLine(t *testing.T) {
	tr := newTrailOn(t, servers.StartPostgres(t, 18, "synchronous_standby_names=cl_witness", "synchronous_commit=local"), servers.SharedKafka(t))
	expectEnd(t, tr.command(t, tr.URL(), "hold", "off", "--slot", "cl"), 1, "is set on the server's command line", "pg_cancel_backend")
	expectEnd(t, tr.command(t, tr.URL(), "hold", "off"), 0, "nothing to do", "pgwitness hold off --slot cl")
	expectEnd(t, tr.command(t, tr.URL(), "teardown", "--slot", "cl", "--apply"), 1, "on the server's command line, where no statement can change it", "nothing was changed")
}
