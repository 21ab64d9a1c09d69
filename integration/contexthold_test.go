//go:build integration

package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"pgwitness/integration/servers"
)

// TestContextUnderHold: the recommended profile. People are held, applications say for whom they act and do not wait;
// where both are known both are shown, and what contradicts the login is shown as well.
func TestContextUnderHold(t *testing.T) {
	for _, version := range []int{14, 18} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			tr, run := held(t, version)
			tr.Exec(t, "create table t (v text)", "grant insert on t to alice, bob")
			tr.setup(t, "public.*", "--hold", "--context-roles", "alice,bob", "--unheld-roles", "bob")
			tr.awaitSeal(t, true)
			as := func(role string) *pgx.Conn {
				return servers.Connect(t, tr.URLAs(role, loginPassword)+"&application_name=shop")
			}
			said := func(word string) string {
				return "insert into t select '" + word + "' from (select pgwitness.set_actor('{\"user_id\": \"u_42\"}')) m"
			}
			alice, bob, boss := as("alice"), as("bob"), tr.Connect(t)
			mustExec(t, alice, said("held, says"), "insert into t values ('held')")
			for range 20 { // a commit that does not wait may be seen all the same, when the server is slow
				mustExec(t, bob, said("unheld, says"), "insert into t values ('unheld')")
			}
			mustExec(t, boss, "set session authorization alice", said("another name"), "reset session authorization", said("own name"))
			tr.awaitConfirmed(t, time.Minute)
			expectEnd(t, tr.command(t, tr.URL(), "hold", "off"), 0, "hold is off") // before 15 the run may not
			expectEnd(t, run.Stop(t, 10*time.Second), 0)

			got := map[string]map[string]int{} // by the word, what the records say of it, and how many
			for _, e := range tr.entries(t) {
				a := e.actor(t)
				if got[e.word(t)] == nil {
					got[e.word(t)] = map[string]int{}
				}
				got[e.word(t)][strings.Join(strings.Fields(fmt.Sprintf("%s %s %s %s %s", a.Evidence, a.User, a.Reason, a.Context, a.Conflict)), " ")]++
				pid := map[string]*pgx.Conn{"alice": alice, "bob": bob, "postgres": boss}[a.User]
				if pid != nil && (a.PID != int(pid.PgConn().PID()) || a.SessionStart == "" && a.Evidence == "hold" || a.Client == "" || a.User != "postgres" && a.Application != "shop") {
					t.Errorf("%s: the actor is %+v", e.word(t), a)
				}
			}
			const words = `{"user_id": "u_42"}`
			for word, want := range map[string]string{
				"held, says": "hold alice " + words, "held": "hold alice",
				"another name": "hold postgres " + words + ` {"user":"alice"}`, "own name": "hold postgres " + words,
			} {
				if len(got[word]) != 1 || got[word][want] != 1 {
					t.Errorf("%s: got %v, want %q", word, got[word], want)
				}
			}
			// The sampler sees for some seconds after hold came into force that it did.
			for word, want := range map[string][3]string{
				"unheld, says": {"context bob " + words, "hold bob " + words, "sample bob " + words},
				"unheld":       {"none not waiting when looked up", "hold bob", "sample bob"},
			} {
				if n := got[word]; n[want[0]] == 0 || n[want[0]]+n[want[1]]+n[want[2]] != 20 {
					t.Errorf("%s: got %v, want %q", word, n, want)
				}
			}
			t.Logf("%v", got)
			tr.judgeCoverage(t)
		})
	}
}

// judgeCoverage looks at how the trail counts the changes of TestContextUnderHold.
func (tr *trail) judgeCoverage(t *testing.T) {
	t.Helper()
	var counted []string
	for _, o := range tr.observations(t) {
		if _, evidence, ok := strings.Cut(o, `"evidence":`); ok && strings.HasPrefix(o, "coverage ") {
			counted = append(counted, evidence)
		}
	}
	t.Logf("coverage: %s", counted)
	if all := strings.Join(counted, " "); !strings.Contains(all, `"context":{`) || !strings.Contains(all, `"none":{`) || !strings.Contains(all, `"hold":{`) {
		t.Errorf("the coverage is %s", all)
	}
}
