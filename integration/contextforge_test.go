//go:build integration

package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"pgwitness/integration/servers"
)

// aForgery has the shape of what set_actor writes.
const aForgery = `{"v": 1, "user": "postgres", "pid": 1, "application": "psql", "client": null, "context": {"forged": true}}`

// evidences describes the records of the table t, by the word in each.
func (tr *trail) evidences(t *testing.T) []string {
	t.Helper()
	var list []string
	for _, e := range tr.entries(t) {
		a := e.actor(t)
		list = append(list, strings.TrimSpace(e.word(t)+": "+a.Evidence+" "+string(a.Context)))
	}
	return list
}

// overloads are the signatures of pg_logical_emit_message, without its defaults.
func overloads(t *testing.T, c *pgx.Conn) []string {
	t.Helper()
	rows, err := c.Query(t.Context(), "select oid::regprocedure::text from pg_proc where proname = 'pg_logical_emit_message' order by 1")
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestForgedContexts: whoever may write logical messages can write contexts, and while somebody may no context is
// believed: not those from before a run saw the right withdrawn either.
func TestForgedContexts(t *testing.T) {
	for _, version := range []int{14, 18} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			tr, app, other := contextTrail(t, version)
			tr.settings = append(tr.settings, "PGWITNESS_SAMPLE_INTERVAL=0")
			c, forger := newCaller(t, tr, app), servers.Connect(t, tr.URLAs(other, rolePassword))
			functions := overloads(t, forger)
			if len(functions) != 2 {
				t.Fatalf("the overloads are %q", functions)
			}
			for _, f := range functions {
				arguments := map[bool]string{true: "'x'::text", false: `'\x78'::bytea`}[strings.Contains(f, "text, text")]
				if version >= 17 {
					arguments += ", false"
				}
				for _, as := range []*pgx.Conn{c.Conn, forger} {
					expectRefusal(t, as, "select pg_logical_emit_message(true, 'pgwitness', "+arguments+")", "42501", "permission denied")
				}
			}
			honest := func(word string) {
				t.Helper()
				mustExec(t, c.Conn, "insert into t select '"+word+"' from (select pgwitness.set_actor('u')) m")
			}
			const forge = "insert into t select '%s' from (select pg_logical_emit_message(true, 'pgwitness', '" + aForgery + "')) m"
			var granted, withdrawn []string
			for _, f := range functions {
				granted = append(granted, "grant execute on function "+f+" to "+other)
				withdrawn = append(withdrawn, "revoke execute on function "+f+" from "+other)
			}

			run := tr.sealed(t)
			honest("believed")
			tr.Exec(t, granted...)
			honest("after the grant") // the stream tells of it, before a run has looked
			mustExec(t, forger, fmt.Sprintf(forge, "forged"))
			for i, wrong := range wrongContexts {
				mustExec(t, forger, fmt.Sprintf("insert into t select 'wrong %d' from (select pg_logical_emit_message(%s)) m", i, wrong))
			}
			tr.awaitSeal(t, false)
			expectEnd(t, tr.command(t, tr.URLAs(tr.slot, rolePassword), "check"), 0, "warning logical messages: "+other+" and its members", "contexts read context-unverified")
			honest("while granted")

			// What was begun while it was granted can go on writing, and can be committed long after.
			mustExec(t, forger, "begin", fmt.Sprintf(forge, "forged, committed late"), "prepare transaction '"+tr.slot+"'")
			end := busyForger(t, tr, other)
			tr.Exec(t, withdrawn...)
			honest("just withdrawn")
			tr.awaitObservations(t, `privilege {"change":"revoked","name":"pg_logical_emit_message","was":"`+other+`"}`)
			honest("a forger still runs")
			end()
			tr.awaitSeal(t, true)
			honest("believed again")
			tr.Exec(t, "commit prepared '"+tr.slot+"'")
			tr.awaitConfirmed(t, time.Minute)
			run.Stop(t, 10*time.Second)
			honest("between two runs")
			tr.catchUp(t, time.Minute)
			honest("before an unseen grant") // only that the privileges were changed is known to the next run, and not when
			tr.Exec(t, granted...)
			mustExec(t, forger, fmt.Sprintf(forge, "forged unseen"))
			tr.Exec(t, withdrawn...)
			honest("withdrawn unseen")
			run = tr.run(t)
			tr.awaitConfirmed(t, time.Minute)
			tr.awaitSeal(t, true)
			honest("believed at last")
			tr.Exec(t, granted...)
			tr.awaitConfirmed(t, time.Minute)
			run.Stop(t, 10*time.Second) // it knows of the grant, mostly, and has not looked again
			mustExec(t, forger, fmt.Sprintf(forge, "forged after the end"))
			tr.Exec(t, withdrawn...)
			tr.catchUp(t, time.Minute)

			const said, forged = `context {"user_id": "u"}`, `context-unverified {"forged": true}`
			const unverified = `context-unverified {"user_id": "u"}`
			want := []string{"believed: " + said, "after the grant: " + unverified, "forged: " + forged}
			for i := range wrongContexts {
				want = append(want, fmt.Sprintf("wrong %d: none", i))
			}
			want = append(want, "while granted: "+unverified, "just withdrawn: "+unverified, "a forger still runs: "+unverified, "begun early: "+forged,
				"believed again: "+said, "forged, committed late: "+forged, "between two runs: "+said, "before an unseen grant: "+unverified,
				"forged unseen: "+forged, "withdrawn unseen: "+unverified,
				"believed at last: "+said, "forged after the end: "+forged)
			if got := tr.evidences(t); !slices.Equal(got, want) {
				t.Errorf("\n got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
			}
			told := 0
			for _, e := range tr.everything(t) {
				if e.Op == "unverified" {
					told++
				}
			}
			if told != len(wrongContexts) {
				t.Errorf("%d of %d messages of a wrong shape are in the control topic", told, len(wrongContexts))
			}
		})
	}
}

// wrongContexts are arguments of pg_logical_emit_message: messages under our prefix that set_actor cannot have written.
var wrongContexts = []string{
	"true, 'pgwitness', ''", "true, 'pgwitness', 'x'", "true, 'pgwitness', '{}'", `true, 'pgwitness', '\xff'::bytea`,
	"true, 'pgwitness', '" + strings.Replace(aForgery, `"v": 1`, `"v": 2`, 1) + "'",
	"true, 'pgwitness', '" + strings.Replace(aForgery, `"pid": 1`, `"pid": 0`, 1) + "'",
	"true, 'pgwitness', '" + strings.Replace(aForgery, `{"forged": true}`, `[true]`, 1) + "'",
	"true, 'pgwitness', '" + strings.Replace(aForgery, `"v": 1`, `"v": 1, "start": 1`, 1) + "'",
	"true, 'pgwitness', '" + strings.Replace(aForgery, `{"forged": true}`, `{"a": "'||repeat('x', 20000)||'"}`, 1) + "'",
	"false, 'pgwitness', '" + aForgery + "'",
}

// busyForger starts a transaction that goes on writing contexts whatever is withdrawn from its role: the server asks for
// the right once, where a statement begins. It returns how to end it.
func busyForger(t *testing.T, tr *trail, role string) (end func()) {
	t.Helper()
	gate, busy := tr.Connect(t), servers.Connect(t, tr.URLAs(role, rolePassword))
	mustExec(t, gate, "select pg_advisory_lock(42)")
	ended := make(chan error, 1) // one result
	go func() {
		_, err := busy.Exec(t.Context(), `do $$ declare told pg_lsn; begin
			while not pg_try_advisory_xact_lock(42) loop told := pg_logical_emit_message(true, 'pgwitness', '`+aForgery+`'); perform pg_sleep(0.05); end loop;
			insert into t values ('begun early'); end $$`)
		ended <- err
	}()
	awaitIt(t, gate, "select coalesce((select backend_xid is not null from pg_stat_activity where pid = $1), false)", int32(busy.PgConn().PID()))
	return func() {
		mustExec(t, gate, "select pg_advisory_unlock(42)")
		if err := <-ended; err != nil {
			t.Errorf("the busy forger: %v", err)
		}
	}
}
