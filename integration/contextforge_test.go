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

// A forgery is a trail with somebody who says the truth of himself, and somebody who would not if he could.
type forgery struct {
	*trail
	other              string // the role of the one who would not
	honest, forger     *pgx.Conn
	granted, withdrawn []string // statements: the right to write messages is given to other, and taken
	want               []string // evidences, as they must be
}

func (f *forgery) say(t *testing.T, word, evidence string) {
	t.Helper()
	mustExec(t, f.honest, "insert into t select '"+word+"' from (select pgwitness.set_actor('u')) m")
	f.want = append(f.want, word+": "+evidence+` {"user_id": "u"}`)
}

const forge = "insert into t select '%s' from (select pg_logical_emit_message(true, 'pgwitness', '" + aForgery + "')) m"

// forge writes a context by hand. It must never be believed.
func (f *forgery) forge(t *testing.T, word string) {
	t.Helper()
	mustExec(t, f.forger, fmt.Sprintf(forge, word))
	f.forged(word)
}

func (f *forgery) forged(word string) {
	f.want = append(f.want, word+`: context-unverified {"forged": true}`)
}

// TestForgedContexts: whoever may write logical messages can write contexts, and while somebody may no context is
// believed: not those from before a run saw the right withdrawn either.
func TestForgedContexts(t *testing.T) {
	for _, version := range []int{14, 18} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			t.Parallel()
			tr, app, other := contextTrail(t, version)
			tr.settings = append(tr.settings, "PGWITNESS_SAMPLE_INTERVAL=0")
			f := &forgery{trail: tr, other: other, honest: newCaller(t, tr, app).Conn, forger: servers.Connect(t, tr.URLAs(other, rolePassword))}
			f.isRefused(t)
			f.whileWatched(t)
			f.betweenRuns(t)
			if got := tr.evidences(t); !slices.Equal(got, f.want) {
				t.Errorf("\n got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(f.want, "\n\t"))
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

// isRefused: after setup nobody may write a message, by whatever overload of this version.
func (f *forgery) isRefused(t *testing.T) {
	t.Helper()
	functions := overloads(t, f.forger)
	if len(functions) != 2 {
		t.Fatalf("the overloads are %q", functions)
	}
	for _, function := range functions {
		arguments := `'\x78'::bytea`
		if strings.Contains(function, "text,text") {
			arguments = "'x'::text"
		}
		if strings.Count(function, ",") == 3 {
			arguments += ", false"
		}
		for _, as := range []*pgx.Conn{f.honest, f.forger} {
			expectRefusal(t, as, "select pg_logical_emit_message(true, 'pgwitness', "+arguments+")", "42501", "permission denied")
		}
		f.granted = append(f.granted, "grant execute on function "+function+" to "+f.other)
		f.withdrawn = append(f.withdrawn, "revoke execute on function "+function+" from "+f.other)
	}
}

// whileWatched grants the right and takes it, and a run sees both.
func (f *forgery) whileWatched(t *testing.T) {
	t.Helper()
	run := f.sealed(t)
	f.say(t, "believed", "context")
	f.Exec(t, f.granted...)
	f.say(t, "after the grant", "context-unverified") // the stream tells of it, before a run has looked
	f.forge(t, "forged")
	for i, wrong := range wrongContexts {
		mustExec(t, f.forger, fmt.Sprintf("insert into t select 'wrong %d' from (select pg_logical_emit_message(%s)) m", i, wrong))
		f.want = append(f.want, fmt.Sprintf("wrong %d: none", i))
	}
	f.awaitSeal(t, false)
	expectEnd(t, f.command(t, f.URLAs(f.slot, rolePassword), "check"), 0, "warning logical-messages: "+f.other+" and its members", "contexts read context-unverified")
	f.say(t, "while granted", "context-unverified")

	// What was begun while it was granted can go on writing, and can be committed long after.
	const late = "forged, committed late"
	mustExec(t, f.forger, "begin", fmt.Sprintf(forge, late), "prepare transaction '"+f.slot+"'")
	end := f.busy(t)
	f.Exec(t, f.withdrawn...)
	f.say(t, "just withdrawn", "context-unverified")
	f.awaitObservations(t, `privilege {"change":"revoked","name":"pg_logical_emit_message","was":"`+f.other+`"}`)
	f.say(t, "a forger still runs", "context-unverified")
	end()
	f.awaitSeal(t, true)
	f.say(t, "believed again", "context")
	f.Exec(t, "commit prepared '"+f.slot+"'")
	f.forged(late)
	f.awaitConfirmed(t, time.Minute)
	run.Stop(t, 10*time.Second)
}

// betweenRuns grants the right and takes it while nobody looks.
func (f *forgery) betweenRuns(t *testing.T) {
	t.Helper()
	f.say(t, "between two runs", "context")
	f.catchUp(t, time.Minute)
	f.say(t, "before an unseen grant", "context-unverified") // only that the privileges were changed is known to the next run, and not when
	f.Exec(t, f.granted...)
	f.forge(t, "forged unseen")
	f.Exec(t, f.withdrawn...)
	f.say(t, "withdrawn unseen", "context-unverified")
	run := f.run(t)
	f.awaitConfirmed(t, time.Minute)
	f.awaitSeal(t, true)
	f.say(t, "believed at last", "context")
	f.Exec(t, f.granted...)
	f.awaitConfirmed(t, time.Minute)
	run.Stop(t, 10*time.Second) // it has read of the grant, and mostly not looked again
	f.forge(t, "forged after the end")
	f.Exec(t, f.withdrawn...)
	f.catchUp(t, time.Minute)
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

// busy starts a transaction that goes on writing contexts whatever is withdrawn from its role: the server asks for the
// right once, where a statement begins. It returns how to end it: the transaction inserts a row and commits.
func (f *forgery) busy(t *testing.T) (end func()) {
	t.Helper()
	gate, busy := f.Connect(t), servers.Connect(t, f.URLAs(f.other, rolePassword))
	mustExec(t, gate, "select pg_advisory_lock(42)")
	const word = "begun early"
	ended := make(chan error, 1) // one result
	go func() {
		_, err := busy.Exec(t.Context(), `do $$ declare told pg_lsn; begin
			while not pg_try_advisory_xact_lock(42) loop told := pg_logical_emit_message(true, 'pgwitness', '`+aForgery+`'); perform pg_sleep(0.05); end loop;
			insert into t values ('`+word+`'); end $$`)
		ended <- err
	}()
	awaitIt(t, gate, "select coalesce((select backend_xid is not null from pg_stat_activity where pid = $1), false)", int32(busy.PgConn().PID()))
	return func() {
		mustExec(t, gate, "select pg_advisory_unlock(42)")
		if err := <-ended; err != nil {
			t.Errorf("the busy forger: %v", err)
		}
		f.forged(word)
	}
}
