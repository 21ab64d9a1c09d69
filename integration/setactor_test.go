//go:build integration

package integration

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"pgwitness/integration/servers"
)

// newRole makes a role that may log in, and is dropped when the test's database is gone.
func newRole(t *testing.T, tr *trail, prefix string) string {
	t.Helper()
	role := servers.Unique(prefix)
	tr.Exec(t, "create role "+role+" login password '"+rolePassword+"'")
	return role
}

// contextTrail is a trail with a table that two roles may write: one that may call set_actor, and one that may not.
func contextTrail(t *testing.T, version int) (tr *trail, app, other string) {
	t.Helper()
	server := servers.SharedPostgres(t, version)
	var roles []string
	t.Cleanup(func() {
		for _, role := range roles {
			dropRole(t, server, role)
		}
	})
	tr = newTrailOn(t, server, servers.SharedKafka(t))
	tr.Exec(t, "create table t (v text)")
	app, other = newRole(t, tr, "a"), newRole(t, tr, "o")
	roles = []string{app, other}
	tr.Exec(t, "grant select, insert on t to "+app+", "+other)
	tr.setup(t, "public.*", "--context-roles", app)
	return tr, app, other
}

// told peeks what the slot has and moves it on: one entry a message of pgoutput, of logical messages the content.
func (tr *trail) told(t *testing.T) []string {
	t.Helper()
	rows, err := tr.Connect(t).Query(t.Context(), `select data from pg_logical_slot_get_binary_changes($1::name, null, null,
		'proto_version', '1', 'publication_names', $2, 'messages', 'true')`, tr.slot, tr.slot)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, m := range raw {
		switch m[0] {
		case 'M': // flags, LSN, prefix, length, content (logicalrep_write_message in proto.c)
			prefix, rest, _ := strings.Cut(string(m[10:]), "\x00")
			if n := binary.BigEndian.Uint32([]byte(rest)); int(n) != len(rest)-4 || m[1] != 1 {
				t.Errorf("message %q", m)
			}
			if prefix == "pgwitness.end" && rest[4:] == "" && len(list) > 0 && list[len(list)-1] != "I" {
				continue // keeps the one before it in its place
			}
			if prefix != "pgwitness" {
				t.Errorf("message %q", m)
			}
			list = append(list, rest[4:])
		case 'B', 'C', 'R':
		default:
			list = append(list, string(m[:1]))
		}
	}
	return list
}

// TestSetActor: what set_actor writes, in every way that clients call it.
func TestSetActor(t *testing.T) {
	for _, version := range []int{14, 18} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			tr, app, other := contextTrail(t, version)
			c := servers.Connect(t, tr.URLAs(app, rolePassword)+"&application_name=it's%20%22me%22")
			told := func(c *pgx.Conn, words, client any) string {
				text, err := json.Marshal(map[string]any{"v": 1, "user": app, "pid": c.PgConn().PID(), "application": `it's "me"`, "client": client, "context": words})
				if err != nil {
					t.Fatal(err)
				}
				return string(text)
			}
			client := any(c.PgConn().Conn().LocalAddr().String())
			if tr.Server.SockDir == "" {
				client = nil // behind a container's network the server sees another address
			}
			object := map[string]any{"user_id": "u_42", "nested": map[string]any{"ü": []any{1.0, nil}}}
			const literal = `'{"user_id": "u_42", "nested": {"ü": [1, null]}}'`
			for _, tt := range []struct {
				sql  string
				args []any
				want any
			}{
				{"set_actor(" + literal + "::jsonb)", nil, object},
				{"set_actor(" + literal + ")", nil, object},
				{"set_actor(e' \\t\\r\\n{}')", nil, map[string]any{}},
				{"set_actor(context => '{\"a\": 1}')", nil, map[string]any{"a": 1.0}},
				{"set_actor($1)", []any{`{"a": 1}`}, map[string]any{"a": 1.0}},
				{"set_actor($1::jsonb)", []any{map[string]any{"a": 1}}, map[string]any{"a": 1.0}},
				{"set_actor($1::varchar)", []any{`{"a": 1}`}, map[string]any{"a": 1.0}},
				{"set_actor($1)", []any{"u_42"}, map[string]any{"user_id": "u_42"}},
				{"set_actor('u_42')", nil, map[string]any{"user_id": "u_42"}},
				{"set_actor('u', 'r', 't', 'q', 'a')", nil, map[string]any{"user_id": "u", "reason": "r", "ticket": "t", "request_id": "q", "approval": "a"}},
				{"set_actor('{u}', ticket => 't')", nil, map[string]any{"user_id": "{u}", "ticket": "t"}},
				{"set_actor(user_id => null, reason => 'r')", nil, map[string]any{"reason": "r"}},
				{"set_actor('')", nil, map[string]any{"user_id": ""}},
				{"set_actor(null)", nil, nil},
				{"set_actor(null::jsonb)", nil, nil},
				{"set_actor('null'::jsonb)", nil, nil},
			} {
				for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeDescribeExec} {
					if mode == pgx.QueryExecModeSimpleProtocol && strings.Contains(tt.sql, "$1::jsonb") {
						continue // pgx cannot know there what a map is for
					}
					if _, err := c.Exec(t.Context(), "select pgwitness."+tt.sql, append([]any{mode}, tt.args...)...); err != nil {
						t.Errorf("%s: %v", tt.sql, err)
						continue
					}
					sameJSON(t, tt.sql, tr.told(t), told(c, tt.want, client))
				}
			}
			if tr.Server.SockDir != "" {
				local := servers.Connect(t, fmt.Sprintf("host=%s port=%d user=%s password=%s dbname=%s application_name='it\\'s \"me\"'",
					tr.Server.SockDir, tr.Server.Port, app, rolePassword, tr.Name))
				mustExec(t, local, "select pgwitness.set_actor('u')")
				sameJSON(t, "unix socket", tr.told(t), told(local, map[string]any{"user_id": "u"}, nil))
			}

			t.Run("order", func(t *testing.T) {
				mustExec(t, c, "insert into t select 'x' from (select pgwitness.set_actor('u_1')) m")
				if got := tr.told(t); len(got) != 2 || !strings.Contains(got[0], "u_1") || got[1] != "I" {
					t.Errorf("in one statement: %q", got)
				}
				mustExec(t, c, "begin", "select pgwitness.set_actor('u_1')", "insert into t values ('1')", "savepoint s",
					"select pgwitness.set_actor('u_2')", "rollback to s", "insert into t values ('2')",
					"select pgwitness.set_actor('u_3')", "insert into t values ('3')", "commit")
				if got := tr.told(t); len(got) != 5 || !strings.Contains(got[0], "u_1") || got[1] != "I" || got[2] != "I" || !strings.Contains(got[3], "u_3") || got[4] != "I" {
					t.Errorf("with a savepoint: %q", got)
				}
				mustExec(t, c, "begin", "select pgwitness.set_actor('u_1')", "rollback")
				if got := tr.told(t); len(got) != 0 {
					t.Errorf("rolled back: %q", got)
				}
			})
			t.Run("refused", func(t *testing.T) {
				long := func(bytes int) string { return `{"a": "` + strings.Repeat("x", bytes-len(`{"a": ""}`)) + `"}` }
				mustExec(t, c, "select pgwitness.set_actor('"+long(8192)+"'::jsonb)")
				for _, tt := range []struct{ sql, code, says string }{
					{"set_actor('" + long(8193) + "'::jsonb)", "54000", "8192 bytes at most: the object has 8193"},
					{"set_actor('" + long(8193) + "')", "54000", "8192 bytes at most"},
					{"set_actor('u', repeat('x', 8200))", "54000", "8192 bytes at most"},
					{"set_actor('{\"a\": 1e9000}'::jsonb)", "54000", "the object has 9008"},
					{"set_actor('[1]'::jsonb)", "22023", "or null: not a JSON array"},
					{"set_actor('\"u\"'::jsonb)", "22023", "not a JSON string"},
					{"set_actor('{broken')", "22P02", "json"},
				} {
					expectRefusal(t, c, "select pgwitness."+tt.sql, tt.code, tt.says)
				}
			})
			t.Run("forged", func(t *testing.T) {
				tr.told(t)
				stranger := servers.Connect(t, tr.URLAs(other, rolePassword))
				for _, as := range []*pgx.Conn{c, stranger} {
					for _, content := range []string{"'{}'", `'\x7b7d'::bytea`} {
						expectRefusal(t, as, "select pg_logical_emit_message(true, 'pgwitness', "+content+")", "42501", "permission denied")
					}
				}
				expectRefusal(t, stranger, "select pgwitness.set_actor('u')", "42501", "permission denied")
				tr.Exec(t, "create schema evil", "grant all on schema evil to "+app, "grant "+other+" to "+app)
				mustExec(t, c, "create function evil.pg_backend_pid() returns int language sql as 'select 1'",
					"create function evil.host(inet) returns text language sql as $$ select 'elsewhere' $$",
					"create temp table json_build_object (x int)", "set search_path = evil, pg_temp, pg_catalog", "set role "+other)
				expectRefusal(t, c, "select pgwitness.set_actor('u')", "42501", "permission denied")
				mustExec(t, c, "reset role", "select pgwitness.set_actor('u')")
				sameJSON(t, "evil search_path", tr.told(t), told(c, map[string]any{"user_id": "u"}, client))
			})
		})
	}
}

// TestCheckForgers: check says who could forge a context, and who may give one.
func TestCheckForgers(t *testing.T) {
	tr, app, other := contextTrail(t, 18)
	role := tr.URLAs(tr.slot, rolePassword)
	expectEnd(t, tr.command(t, role, "check"), 0, "ok      logical-messages: nobody but superusers may write them", "ok      context-roles: set_actor may be called by "+app)
	again := []string{"setup", "--apply", "--tables", "public.*", "--role", tr.slot, "--context-roles", app}
	expectEnd(t, tr.command(t, tr.URL(), again...), 0, "nothing to do")
	expectEnd(t, tr.command(t, tr.URL(), append(again, "--context-roles", "nobody_"+app)...), 1, "role nobody_"+app+" does not exist", "nothing was changed")

	tr.Exec(t, "grant execute on function pg_logical_emit_message(boolean, text, text, boolean) to "+other,
		"grant execute on function pgwitness.set_actor(jsonb) to public")
	r := tr.command(t, role, "check")
	expectEnd(t, r, 0, "warning logical-messages: "+other+" and its members may call", "contexts read context-unverified", "warning set-actor: PUBLIC may call it")
	for line := range strings.Lines(r.Stdout) {
		if mend, ok := strings.CutPrefix(strings.TrimSpace(line), "mend: revoke"); ok {
			tr.Exec(t, "revoke"+strings.TrimSuffix(mend, ";  -- as superuser"))
		}
	}
	expectEnd(t, tr.command(t, tr.URL(), again...), 0, "done     set_actor", "setup is complete and verified")
	tr.Exec(t, "alter function pgwitness.set_actor(jsonb) security invoker")
	expectEnd(t, tr.command(t, role, "check"), 0, "ok      logical-messages: nobody but", "warning set-actor: not that of this version")
	expectEnd(t, tr.command(t, tr.URL(), again...), 0, "done     set_actor")
	expectEnd(t, tr.command(t, role, "check"), 0, "ok      context-roles: set_actor may be called by "+app)
}

// TestSetActorCost: a call costs microseconds. The least of many short loops is what it costs when nobody disturbs.
func TestSetActorCost(t *testing.T) {
	for _, version := range []int{14, 18} {
		tr, _, _ := contextTrail(t, version)
		c := tr.Connect(t)
		least := func(statement string) time.Duration {
			best := time.Hour
			for range 15 {
				start := time.Now()
				mustExec(t, c, "do $$ begin for i in 1..2000 loop perform "+statement+"; end loop; end $$")
				best = min(best, time.Since(start))
			}
			return best
		}
		empty := least("1")
		for _, call := range []string{`pgwitness.set_actor('{"user_id": "u_42", "reason": "refund", "ticket": "OPS-1"}'::jsonb)`, "pgwitness.set_actor('u_42', 'refund', 'OPS-1')"} {
			cost := (least(call) - empty) / 2000
			t.Logf("PostgreSQL %d: %s costs %v", version, call, cost)
			if cost > 100*time.Microsecond { // 10 to 20 where nothing else runs
				t.Errorf("%s costs %v", call, cost)
			}
		}
	}
}

func mustExec(t *testing.T, c *pgx.Conn, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := c.Exec(t.Context(), s); err != nil {
			t.Fatalf("%v\nin %s", err, s)
		}
	}
}

func expectRefusal(t *testing.T, c *pgx.Conn, sql, code, says string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err := c.Exec(ctx, sql)
	var pe *pgconn.PgError
	if !errors.As(err, &pe) || pe.Code != code || !strings.Contains(pe.Message, says) {
		t.Errorf("%.80s: %v, want %s: %s", sql, err, code, says)
	}
}

// sameJSON compares one message with what it has to mean.
func sameJSON(t *testing.T, about string, got []string, want string) {
	t.Helper()
	var g, w any
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || json.Unmarshal([]byte(got[0]), &g) != nil || !reflect.DeepEqual(g, w) {
		t.Errorf("%s: the log has %q\nwant %s", about, got, want)
	}
}
