//go:build integration

package integration

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"pgwitness/integration/product"
	"pgwitness/integration/servers"
)

// TestHoldOutwaitsALeavingStandby: a standby of the witness's name that is about to go, as a predecessor's is when it has
// let go of the slot, does not end the run.
func TestHoldOutwaitsALeavingStandby(t *testing.T) {
	tr := newTrailOn(t, servers.StartPostgres(t, 18), servers.SharedKafka(t))
	tr.Exec(t, "create table t (id int primary key)", "select pg_create_physical_replication_slot('third', true)")
	tr.setup(t, "public.*", "--hold")
	leaving := startStandbyOn(t, tr.URL(), "third", tr.slot+"_witness")
	run := tr.run(t, "--hold")
	awaitLog(t, run, "waiting for another standby to go")
	leaving.stop()
	tr.hold(t)
	tr.Exec(t, "insert into t values (1)")
	tr.end(t, run)
}

// TestHoldWaits: what may happen to a session that waits changes nothing about who it was.
func TestHoldWaits(t *testing.T) {
	t.Parallel()
	tr, run := held(t, 18)
	tr.settings = append(tr.settings, "PGWITNESS_HOLD_MAX_WAIT=0")
	run.Kill(t)
	insert := `insert into held (role, pid, application) values (` + writes + `)`
	waiting := func(n int) {
		tr.await(t, "they wait", "select count(*) = $1 from pg_stat_activity where wait_event = 'SyncRep'", n)
	}
	session := func(name string) (*pgx.Conn, uint32) {
		c, err := pgx.Connect(t.Context(), tr.URLAs("alice", loginPassword)+"&application_name="+name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close(context.Background()) })
		return c, c.PgConn().PID()
	}
	var wg sync.WaitGroup
	start := func(c *pgx.Conn, sql string) {
		wg.Go(func() { c.Exec(t.Context(), sql) }) // it may be cut off: the commit stands
	}
	cancelled, pid := session("cancelled")
	start(cancelled, insert)
	waiting(1)
	tr.Text(t, "select pg_cancel_backend($1)", int32(pid)) // a warning; the commit stands, and is over before we are back
	wg.Wait()
	killed, pid := session("killed")
	start(killed, insert)
	waiting(1)
	tr.Text(t, "select pg_terminate_backend($1)", int32(pid))
	wg.Wait()
	for i := range 3 {
		c, _ := session(fmt.Sprintf("patient-%d", i))
		start(c, insert)
	}
	waiting(3)
	gone, _ := session("gone")
	raw, err := gone.PgConn().Hijack() // the client would have its statement cancelled
	if err != nil {
		t.Fatal(err)
	}
	raw.Frontend.SendQuery(&pgproto3.Query{String: insert})
	if err := raw.Frontend.Flush(); err != nil {
		t.Fatal(err)
	}
	waiting(4)
	raw.Conn.Close() // the client leaves; its session goes on waiting
	run = tr.run(t, "--hold")
	wg.Wait()
	tr.end(t, run)
	got := map[string]string{}
	for _, r := range tr.attributed(t) {
		got[r.After.Application] = cmp.Or(r.Actor.Application, r.Actor.Reason)
	}
	const over = "released before a restart"
	want := map[string]string{"cancelled": over, "killed": over, "patient-0": "patient-0", "patient-1": "patient-1", "patient-2": "patient-2", "gone": "gone"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestHoldSessions: whose login a change is made under is the one that is named, whatever the statement's form.
func TestHoldSessions(t *testing.T) {
	t.Parallel()
	tr, run := held(t, 16, "wal_compression=on")
	tr.Exec(t, "create role boss", "grant boss to alice", "grant all on held, held_id_seq to boss",
		`create function by_owner() returns void security definer language sql as $$ insert into held (role, pid, application) values (`+writes+`) $$`,
		"grant execute on function by_owner() to alice")
	c, err := pgx.Connect(t.Context(), tr.URLAs("alice", loginPassword)+"&application_name=forms")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	insert := `insert into held (role, pid, application) values (` + writes + `)`
	for _, sql := range []string{
		"set role boss", insert, "reset role", "select by_owner()",
		"do $$ begin " + insert + "; commit; " + insert + "; end $$",
		"begin; " + insert + "; select pg_export_snapshot(); commit",
		"set application_name = 'renamed'", insert,
	} {
		if _, err := c.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	row := fmt.Sprintf("alice\t%d\trenamed\n", c.PgConn().PID())
	if _, err := c.PgConn().CopyFrom(t.Context(), strings.NewReader(strings.Repeat(row, 100)), "copy held (role, pid, application) from stdin"); err != nil {
		t.Fatal(err)
	}
	tr.Exec(t, "select pg_switch_wal()", "checkpoint")
	for range 20 {
		if _, err := c.Exec(t.Context(), insert); err != nil {
			t.Fatal(err)
		}
	}
	tr.Exec(t, "select pg_switch_wal()")
	tr.end(t, run)
	if named, reasons := tr.judgeWho(t); named != 126 || len(reasons) > 0 {
		t.Errorf("%d of 126 are attributed, %v not", named, reasons)
	}
}

// TestHoldPrepared: the author of a prepared transaction is who prepared it, also when the witness was started anew since.
// The committer is named where it is certain.
func TestHoldPrepared(t *testing.T) {
	t.Parallel()
	tr, run := held(t, 18)
	as := func(role string, statements ...string) {
		c, err := pgx.Connect(t.Context(), tr.URLAs(role, loginPassword)+"&application_name=prepared")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(context.Background())
		for _, sql := range statements {
			if _, err := c.Exec(t.Context(), sql); err != nil {
				t.Fatalf("%s: %v", sql, err)
			}
		}
	}
	insert := `insert into held (role, pid, application) values (` + writes + `)`
	as("alice", "begin", insert, "prepare transaction 'it''s one'")
	as("bob", "begin", insert, "prepare transaction 'two'")
	as("carol", "begin", insert, "prepare transaction 'three'", "rollback prepared 'three'")
	tr.awaitConfirmed(t, time.Minute)
	run.Kill(t)
	run = tr.run(t, "--hold")
	as("alice", "commit prepared 'it''s one'")
	as("bob", "COMMIT  PREPARED 'two' ;")
	tr.end(t, run)
	var got []string
	for _, r := range tr.attributed(t) {
		committer := "nobody"
		if r.Actor.Committer != nil {
			committer = r.Actor.Committer.User
		}
		got = append(got, fmt.Sprintf("%s %s %s by %s", r.Actor.Evidence, r.Actor.User, r.Actor.GID, committer))
	}
	if want := []string{"hold alice it's one by alice", "hold bob two by bob"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestHoldForgetsPrepared: what became of a prepared transaction while nobody could read the log is not known. It does
// not stay among the open ones for ever, and another one that is open does.
func TestHoldForgetsPrepared(t *testing.T) {
	t.Parallel()
	tr, run := held(t, 18)
	c := tr.Connect(t)
	do := func(statements ...string) {
		t.Helper()
		for _, sql := range statements {
			if _, err := c.Exec(t.Context(), sql); err != nil {
				t.Fatalf("%s: %v", sql, err)
			}
		}
	}
	insert := `insert into held (role, pid, application) values (` + writes + `)`
	do("begin", insert, "prepare transaction 'ends'", "begin", insert, "prepare transaction 'stays'")
	tr.end(t, run)
	do("select pg_drop_replication_slot('"+tr.slot+"_witness')", "commit prepared 'ends'",
		"checkpoint") // a new slot begins at the last one
	tr.setup(t, "public.*", "--hold")
	run = tr.run(t, "--hold")
	tr.hold(t)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Second) {
		do(insert)
		open := tr.openPrepared(t)
		if slices.Equal(open, []string{"stays"}) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("open are, by the who topic, %q", open)
		}
	}
	do("commit prepared 'stays'")
	tr.end(t, run)
	reasons := map[string]int{}
	for _, r := range tr.attributed(t) {
		reasons[r.Actor.Evidence+" "+r.Actor.GID]++
	}
	if reasons["hold stays"] != 1 || reasons["none ends"]+reasons["none "] != 1 {
		t.Errorf("%v", reasons)
	}
}

// openPrepared is the newest list of prepared transactions in the who topic.
func (tr *trail) openPrepared(t *testing.T) []string {
	t.Helper()
	var gids []string
	for _, value := range tr.whoRecords(t) {
		var r struct {
			To       string
			Prepared []struct{ GID string }
			State    struct{ Prepared string }
		}
		if err := json.Unmarshal(value, &r); err != nil {
			t.Fatal(err)
		}
		if r.State.Prepared != r.To {
			continue
		}
		gids = nil
		for _, p := range r.Prepared {
			gids = append(gids, p.GID)
		}
	}
	return gids
}

// TestHoldSegments: whatever the size of the log's segments, also across switches and checkpoints under load.
func TestHoldSegments(t *testing.T) {
	t.Parallel()
	for _, size := range []string{"1", "64"} {
		t.Run(size, func(t *testing.T) {
			tr, run := held(t, 17, "--wal-segsize="+size, "min_wal_size=256MB", "wal_compression=on")
			done := make(chan int)
			go func() {
				done <- crowd{clients: 8, time: crowdTime(t, 3*time.Second), seed: uint64(time.Now().UnixNano())}.work(t, tr)
			}()
			for range 10 {
				tr.Exec(t, "select pg_switch_wal()", "checkpoint")
				time.Sleep(200 * time.Millisecond)
			}
			t.Logf("%d transactions", <-done)
			tr.end(t, run)
			if named, reasons := tr.judgeWho(t); named == 0 || len(reasons) > 0 {
				t.Errorf("%d are attributed, %v not", named, reasons)
			}
		})
	}
}

// TestHoldApply: what logical replication applies is its apply worker's, and comes with its origin.
func TestHoldApply(t *testing.T) {
	t.Parallel()
	tr, run := held(t, 18)
	from := tr.Server.NewDatabase(t)
	const table = "create table applied (id int primary key)"
	from.Exec(t, table, "create publication outgoing for table applied", "select pg_create_logical_replication_slot('outgoing', 'pgoutput')")
	tr.Exec(t, table, "alter table applied replica identity full", "alter publication "+tr.slot+" add table applied",
		fmt.Sprintf("create subscription into_%s connection '%s' publication outgoing with (create_slot = false, slot_name = outgoing, synchronous_commit = on)",
			tr.slot, from.URL()))
	from.Exec(t, "insert into applied values (1)", "insert into applied values (2)")
	tr.await(t, "both rows are applied", "select count(*) = 2 from applied")
	tr.end(t, run)
	records := 0
	for _, e := range tr.entries(t) {
		records++
		var r attributed
		if err := json.Unmarshal(e.value, &r); err != nil {
			t.Fatal(err)
		}
		if a := r.Actor; a.Evidence != "hold" || !strings.HasPrefix(a.BackendType, "logical replication") || e.Source.Origin == "" {
			t.Errorf("the apply worker: %s", e.value)
		}
	}
	if records != 2 {
		t.Errorf("%d records", records)
	}
	tr.Exec(t, "alter subscription into_"+tr.slot+" disable", "alter subscription into_"+tr.slot+" set (slot_name = none)", "drop subscription into_"+tr.slot)
	from.Exec(t, "select pg_drop_replication_slot('outgoing')")
}

// TestTwoWitnesses: two instances for two databases of one cluster. Both must answer, and each names every change of its
// own.
func TestTwoWitnesses(t *testing.T) {
	t.Parallel()
	p, kafka := servers.StartPostgres(t, 17), servers.SharedKafka(t)
	one, first := heldOn(t, p, kafka)
	two := newTrailOn(t, p, kafka)
	two.Exec(t, logins()[0])
	for _, role := range loadRoles {
		two.Exec(t, "grant all on held, held_id_seq to "+role)
	}
	two.setup(t, "public.*", "--hold")
	second := two.run(t, "--hold")
	two.hold(t)
	names := one.Text(t, "select current_setting('synchronous_standby_names')")
	t.Log(names)
	if !strings.Contains(names, one.slot) || !strings.Contains(names, two.slot) || !strings.Contains(names, "2 (") {
		t.Errorf("synchronous_standby_names is %s", names)
	}
	var wg sync.WaitGroup
	for _, tr := range []*trail{one, two} {
		wg.Go(func() {
			crowd{clients: 4, time: crowdTime(t, 3*time.Second), seed: uint64(time.Now().UnixNano())}.work(t, tr)
		})
	}
	wg.Wait()
	for i, tr := range []*trail{one, two} {
		tr.awaitConfirmed(t, time.Minute)
		run := []*product.Process{first, second}[i]
		if r := run.Stop(t, 10*time.Second); r.Code != 0 {
			t.Errorf("SIGTERM: exit code %d", r.Code)
		}
		if named, reasons := tr.judgeWho(t); named == 0 || len(reasons) > 0 {
			t.Errorf("%d are attributed, %v not", named, reasons)
		}
	}
}

// TestSampling: without hold a transaction that lives long enough is attributed by sampling; the others say why not.
func TestSampling(t *testing.T) {
	tr := newTrail(t, 18)
	tr.Exec(t, logins()[0])
	tr.setup(t, "public.*")
	run := tr.run(t)
	awaitLog(t, run, holds)
	c := tr.Connect(t)
	insert := `insert into held (role, pid, application) values (` + writes + `)`
	for _, sql := range []string{"begin", insert, "select pg_sleep(2)", "commit"} {
		if _, err := c.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	tr.awaitConfirmed(t, time.Minute)
	if r := run.Stop(t, 10*time.Second); r.Code != 0 {
		t.Errorf("SIGTERM: exit code %d", r.Code)
	}
	tr.Exec(t, insert) // while nobody looks
	tr.catchUp(t, time.Minute)
	all := tr.attributed(t)
	if len(all) != 2 {
		t.Fatalf("%d records", len(all))
	}
	if a := all[0].Actor; a.Evidence != "sample" || a.PID != all[0].After.PID || a.User != all[0].After.Role || a.SessionStart == "" {
		t.Errorf("the long one: %+v", all[0])
	}
	if a := all[1].Actor; a.Evidence != "none" || a.Reason != "no hold, not seen by sampling" {
		t.Errorf("the short one: %+v", all[1])
	}
}
