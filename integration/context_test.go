//go:build integration

package integration

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"pgwitness/integration/product"
	"pgwitness/integration/servers"
)

// An actor is what a record says of who made the change, its JSON as it stands there.
type actor struct {
	Evidence     string          `json:"evidence"`
	Reason       string          `json:"reason"`
	User         string          `json:"user"`
	PID          int             `json:"pid"`
	Application  string          `json:"application"`
	Client       string          `json:"client"`
	SessionStart string          `json:"session_start"`
	GID          string          `json:"gid"`
	Context      json.RawMessage `json:"context"`
	Conflict     json.RawMessage `json:"conflict"`
}

func (e *entry) actor(t *testing.T) actor {
	t.Helper()
	var r struct{ Actor actor }
	if err := json.Unmarshal(e.value, &r); err != nil {
		t.Fatal(err)
	}
	return r.Actor
}

// word is the column v of a row that was inserted.
func (e *entry) word(t *testing.T) string {
	t.Helper()
	var row struct{ V string }
	if len(e.After) > 0 {
		if err := json.Unmarshal(e.After, &row); err != nil {
			t.Fatal(err)
		}
	}
	return row.V
}

// sealed starts a run and waits until it knows that nobody can forge a context.
func (tr *trail) sealed(t *testing.T) *product.Process {
	t.Helper()
	run := tr.run(t)
	tr.awaitSeal(t, true)
	return run
}

// awaitSeal waits until the newest look at the catalogue that a run has written down says that contexts can be
// believed, or that they cannot.
func (tr *trail) awaitSeal(t *testing.T, want bool) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if seal, ok := tr.seal(t); ok && (seal != "") == want {
			return
		}
	}
	t.Fatalf("not within three minutes: sealed is %t", want)
}

// seal is the position since which contexts can be believed, as the control topic has it last.
func (tr *trail) seal(t *testing.T) (seal string, looked bool) {
	t.Helper()
	partitions, err := tr.reader.ReadAll(t.Context(), tr.prefix)
	if err != nil {
		t.Log(err) // topics that are being made
	}
	for _, p := range partitions {
		if p.Topic != tr.prefix+".control" {
			continue
		}
		for _, raw := range p.Records {
			var r struct {
				Op    string
				Whole struct{ Sealed string }
			}
			if err := json.Unmarshal(raw.Value, &r); err != nil {
				t.Fatal(err)
			}
			if r.Op == "observed" {
				seal, looked = r.Whole.Sealed, true
			}
		}
	}
	return seal, looked
}

// A caller is a session of the application, whose contexts are judged.
type caller struct {
	*pgx.Conn
	actor
}

// newCaller connects as a role, under a name that has to be escaped.
func newCaller(t *testing.T, tr *trail, role string) *caller {
	t.Helper()
	const name = `it's "me"\`
	c := servers.Connect(t, tr.URLAs(role, rolePassword)+`&application_name=it's%20%22me%22%5C`)
	who := &caller{Conn: c, actor: actor{Evidence: "context", User: role, PID: int(c.PgConn().PID()), Application: name}}
	if err := c.QueryRow(t.Context(), "select host(inet_client_addr()) || ':' || inet_client_port()").Scan(&who.Client); err != nil {
		t.Fatal(err)
	}
	return who
}

// judge holds each entry against the words that its transaction gave, in the order of the log. An entry is described as
// "op word context": null is that of a call that ended the words, and nothing stands there before the first call.
func (c *caller) judge(t *testing.T, entries []*entry, want []string) {
	t.Helper()
	var got []string
	for _, e := range entries {
		a := e.actor(t)
		got = append(got, strings.TrimSpace(e.Op+" "+e.word(t))+suffix(a))
		switch {
		case a.Evidence == "context":
			if a.User != c.User || a.PID != c.PID || a.Application != c.Application || a.Client != c.Client || a.Reason != "" || a.SessionStart != "" || a.Conflict != nil {
				t.Errorf("%s: the actor is %+v, want %+v", got[len(got)-1], a, c.actor)
			}
		case a.Context != nil:
			t.Errorf("%s: the evidence is %s", got[len(got)-1], a.Evidence)
		case a.Evidence == "none" && a.Reason == "no hold, not seen by sampling":
		case a.Evidence == "sample" && a.User == c.User && a.PID == c.PID && a.SessionStart != "":
		default:
			t.Errorf("%s: the actor is %+v", got[len(got)-1], a)
		}
	}
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Fatalf("record %d of %d:\n got %q\nwant %q", i, len(got), got[min(i, len(got)):min(i+5, len(got))], want[min(i, len(want)):min(i+5, len(want))])
		}
	}
}

func suffix(a actor) string {
	switch {
	case a.Context != nil:
		return " " + string(a.Context)
	case a.Evidence == "context":
		return " null"
	}
	return ""
}

// TestContext: what the application says of a change stands in its record, and concerns what comes after the call in
// its transaction.
func TestContext(t *testing.T) {
	for _, version := range []int{14, 18} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			tr, app, _ := contextTrail(t, version)
			tr.Exec(t, "grant all on t to "+app)
			run := tr.sealed(t)
			c := newCaller(t, tr, app)
			var want []string
			words := func(literal string) string { // as the server prints them
				var text string
				if err := c.QueryRow(t.Context(), "select $1::jsonb::text", literal).Scan(&text); err != nil {
					t.Fatal(err)
				}
				return text
			}
			for _, literal := range []string{
				`{}`, `{"b": 1, "aa": 2, "a": 1e2, "n": 1.10, "large": 123456789012345678901234567890.5}`, `{"a": 1, "a": 2}`,
				`{"ü漢𝄞": "\u00e9 \" \\ \/ \n \u0001", "deep": {"list": [1, [null, true], {}, []], "html": "<&'>"}}`,
				`{"a": "` + strings.Repeat("é", 4090) + `"}`,
			} {
				mustExec(t, c.Conn, "begin", "insert into t values ('before')", "select pgwitness.set_actor("+quoteLiteral(literal)+"::jsonb)",
					"insert into t values ('after')", "update t set v = 'u'", "delete from t",
					`select pgwitness.set_actor('u_1', ticket => 'OPS-1')`, "insert into t values ('second')",
					"select pgwitness.set_actor(null::jsonb)", "insert into t values ('ended')", "truncate t", "commit", "insert into t values ('later')", "truncate t")
				said := words(literal)
				want = append(want, "insert before", "insert after "+said, "update u "+said, "update u "+said, "delete "+said, "delete "+said,
					`insert second {"ticket": "OPS-1", "user_id": "u_1"}`, "insert ended null", "truncate null", "insert later", "truncate")
			}
			mustExec(t, c.Conn, "begin", "insert into t values ('1')", "savepoint s", `select pgwitness.set_actor('{"n": 1}')`, "insert into t values ('2')", "rollback to s", "insert into t values ('3')",
				`select pgwitness.set_actor('{"n": 2}')`, "savepoint s", `select pgwitness.set_actor('{"n": 3}')`, "release s", "insert into t values ('4')",
				"savepoint s", `select pgwitness.set_actor(null::jsonb)`, "insert into t values ('5')", "rollback to s", "insert into t values ('6')", "commit")
			want = append(want, "insert 1", "insert 3", `insert 4 {"n": 3}`, `insert 6 {"n": 3}`)
			want = append(want, randomShapes(t, c.Conn, 500)...)
			tr.awaitConfirmed(t, time.Minute)
			run.Stop(t, 10*time.Second)
			c.judge(t, tr.entries(t), want)
		})
	}
}

// randomShapes makes transactions of calls, rows, savepoints and blocks, and returns what their records must be. Each is
// sent at once, so that message and row lie close together in the log.
func randomShapes(t *testing.T, c *pgx.Conn, transactions int) (want []string) {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("shapes: seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for n := range transactions {
		s := callShape{random: random, name: fmt.Sprintf("s%d", n)}
		sql := s.make()
		if _, err := c.Exec(t.Context(), sql); err != nil {
			t.Fatalf("seed %d: %v\nin %s", seed, err, sql)
		}
		want = append(want, s.rows...)
	}
	return want
}

// A callShape is a transaction as it grows, and the model of what the log has of it.
type callShape struct {
	random *rand.Rand
	name   string
	sql    []string
	calls  int

	state
	saved []state
}

// A state is what a savepoint goes back to.
type state struct {
	words string // "" before the first call, null when it was ended
	rows  []string
}

func (s *callShape) make() string {
	s.sql = []string{"begin"}
	for range 1 + s.random.IntN(12) {
		s.step()
	}
	end := "commit"
	if s.random.IntN(8) == 0 {
		end, s.rows = "rollback", nil
	}
	return strings.Join(append(s.sql, end), "; ")
}

func (s *callShape) step() {
	switch s.random.IntN(9) {
	case 0, 1, 2:
		s.sql = append(s.sql, s.row())
	case 3, 4:
		s.sql = append(s.sql, "select "+s.call())
	case 5:
		s.sql = append(s.sql, "savepoint s")
		s.save()
	case 6:
		if len(s.saved) > 0 {
			s.sql = append(s.sql, "release s")
			s.saved = s.saved[:len(s.saved)-1]
			s.sql = append(s.sql, s.row()) // at once
		}
	case 7:
		if len(s.saved) > 0 {
			s.sql = append(s.sql, "rollback to s")
			s.state = s.saved[len(s.saved)-1] // which stays
			s.rows = slices.Clone(s.rows)
		}
	case 8: // a block with EXCEPTION is a subtransaction
		s.save()
		body := "perform " + s.call()
		if s.random.IntN(2) == 0 {
			body += "; " + s.row()
		}
		fails := s.random.IntN(3) == 0
		if fails {
			body += "; raise 'x'"
			s.state = s.saved[len(s.saved)-1]
		}
		s.saved = s.saved[:len(s.saved)-1]
		s.sql = append(s.sql, "do $$ begin "+body+"; exception when raise_exception then null; end $$")
	}
}

func (s *callShape) save() {
	s.saved = append(s.saved, state{s.words, slices.Clone(s.rows)})
}

func (s *callShape) row() string {
	word := fmt.Sprintf("%s-%d", s.name, len(s.sql))
	s.rows = append(s.rows, strings.TrimSpace("insert "+word+" "+s.words))
	return "insert into t values ('" + word + "')"
}

func (s *callShape) call() string {
	s.calls++
	if s.random.IntN(6) == 0 {
		s.words = "null"
		return "pgwitness.set_actor(null::jsonb)"
	}
	s.words = fmt.Sprintf(`{"n": "%s.%d"}`, s.name, s.calls)
	return "pgwitness.set_actor('" + s.words + "'::jsonb)"
}

// TestContextStatements: every way in which a change and its context come into one transaction.
func TestContextStatements(t *testing.T) {
	for _, version := range []int{14, 18} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			tr, app, _ := contextTrail(t, version)
			tr.Exec(t, "grant all on t to "+app, "create table u (v text)", "grant all on u to "+app,
				`create function says() returns trigger language plpgsql as $$ begin perform pgwitness.set_actor('trigger'); return new; end $$`,
				"create trigger says before insert on u for each row execute function says()")
			tr.setup(t, "public.*")
			run := tr.sealed(t)
			c := newCaller(t, tr, app)
			mustExec(t, c.Conn,
				`insert into t select 'one' from (select pgwitness.set_actor('{"n": 1}')) m`,
				"insert into t values ('none')",
				`with who as materialized (select pgwitness.set_actor('{"n": 2}')) insert into t select 'used' from who`,
				`with who as materialized (select pgwitness.set_actor('{"n": 3}')) insert into t values ('unused')`,
				`do $$ begin perform pgwitness.set_actor('{"n": 4}'); insert into t values ('do'); end $$`,
				`do $$ begin perform pgwitness.set_actor('{"n": 5}'); insert into t values ('five'); commit; insert into t values ('committed'); end $$`,
				"insert into u values ('row')",
				"begin", `select pgwitness.set_actor('{"n": 6}')`)
			if _, err := c.PgConn().CopyFrom(t.Context(), strings.NewReader("copied\ncopied\n"), "copy t from stdin"); err != nil {
				t.Fatal(err)
			}
			mustExec(t, c.Conn, "truncate t", "commit",
				"begin", `select pgwitness.set_actor('{"n": 7}')`, "insert into t values ('prepared')", "prepare transaction '"+tr.slot+"'")
			tr.Exec(t, "commit prepared '"+tr.slot+"'")
			tr.awaitConfirmed(t, time.Minute)
			own := tr.Connect(t) // only a superuser may write messages of his own
			mustExec(t, own, "begin", `select pgwitness.set_actor('{"n": 8}')`, "select pg_logical_emit_message(true, 'app', 'x')", "commit", "select pg_logical_emit_message(false, 'app', 'x')")
			tr.awaitConfirmed(t, time.Minute)
			run.Stop(t, 10*time.Second)

			entries := tr.entries(t)
			if n := len(entries); n < 2 {
				t.Fatalf("%d records", n)
			}
			messages := entries[len(entries)-2:]
			c.judge(t, entries[:len(entries)-2], []string{
				`insert one {"n": 1}`, "insert none", `insert used {"n": 2}`, "insert unused", `insert do {"n": 4}`, `insert five {"n": 5}`, "insert committed",
				`insert row {"user_id": "trigger"}`, `insert copied {"n": 6}`, `insert copied {"n": 6}`, `truncate {"n": 6}`, `insert prepared {"n": 7}`,
			})
			if a := entries[len(entries)-3].actor(t); a.GID != "" { // without a witness nobody saw the PREPARE
				t.Errorf("the prepared transaction's gid is %q", a.GID)
			}
			if a := messages[0].actor(t); a.Evidence != "context" || a.User != "postgres" || a.PID != int(own.PgConn().PID()) || string(a.Context) != `{"n": 8}` {
				t.Errorf("the message's actor is %+v", a)
			}
			if a := messages[1].actor(t); a.Evidence != "none" || a.Reason != "not transactional" || a.Context != nil {
				t.Errorf("the actor of the message outside every transaction is %+v", a)
			}
		})
	}
}
