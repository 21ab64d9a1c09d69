//go:build integration

package integration

import "testing"

// transactionShapes are the ways in which rows come to be changed.
var transactionShapes = []shape{
	{name: "truncate", create: []string{
		"create table a (id int generated always as identity primary key, v text)", "create table b (id int primary key, a int references a)", "create table c (id int)", "create table other (id int)",
	},
		work: []string{
			"insert into a (v) values ('x'), ('y')", "insert into b values (1, 1)", "insert into c values (1)", "insert into other values (1)",
			"truncate c, other", transaction("insert into c values (2)", "truncate c", "insert into c values (3)"), "truncate a restart identity cascade",
			"insert into a (v) values ('z')", "truncate a, b, c restart identity", "begin; truncate a cascade; rollback", "insert into a (v) values ('end')",
		},
		check: want(
			`insert a key {"id":1} after {"id":1,"v":"x"}`, `insert a key {"id":2} after {"id":2,"v":"y"}`, `insert b key {"id":1} after {"id":1,"a":1}`,
			`insert c after {"id":1}`, `insert other after {"id":1}`, `truncate c`, `truncate other`, `insert c after {"id":2}`, `truncate c`, `insert c after {"id":3}`,
			`truncate a cascade restart identity`, `truncate b cascade restart identity`, `insert a key {"id":1} after {"id":1,"v":"z"}`,
			`truncate a restart identity`, `truncate b restart identity`, `truncate c restart identity`, `insert a key {"id":1} after {"id":1,"v":"end"}`,
		)},
	{name: "savepoints", create: []string{"create table t (id int primary key, v text)"},
		work: []string{
			transaction("insert into t values (1, 'a')", "savepoint s1", "insert into t values (2, 'b')", "savepoint s2", "insert into t values (3, 'c')", "update t set v = 'lost'", "rollback to s2",
				"insert into t values (4, 'd')", "release s1", "savepoint s3", "delete from t", "rollback to s3", "update t set v = v || '!' where id < 3"),
			transaction("savepoint s", "insert into t values (5, 'all lost')", "rollback to s"),
			`do $$ begin for i in 100..400 loop
				begin insert into t values (i, 'kept'); if i % 3 = 0 then raise exception 'lost'; end if; exception when raise_exception then null; end;
			end loop; end $$`,
			transaction("insert into t select n, repeat('x', 200) from generate_series(1000, 2000) n", "savepoint s", "update t set v = 'y' where id > 1500", "rollback to s",
				"delete from t where id > 1900"), /* more than the walsender keeps in memory */
		}},
	{name: "prepared", create: []string{"create table t (id int primary key, v text)"},
		work: []string{
			"begin; insert into t values (1, 'a'); select pg_logical_emit_message(true, 'prepared', 'in it'); savepoint s; insert into t values (9, 'lost'); rollback to s; prepare transaction '\"p1\"'",
			"insert into t values (2, 'between')", "begin; insert into t values (3, 'never'); prepare transaction 'p2'", "commit prepared '\"p1\"'", "rollback prepared 'p2'", "update t set v = 'b' where id = 1",
		},
		check: want(`insert t key {"id":2} after {"id":2,"v":"between"}`, `insert t key {"id":1} after {"id":1,"v":"a"}`, `message "in it"`,
			`update t key {"id":1} before {"id":1,"v":"a"} after {"id":1,"v":"b"} changed v`)},
	{name: "constraints", create: []string{
		"create table parent (id int primary key, v text)",
		"create table child (id int primary key, parent int references parent on delete cascade on update cascade deferrable initially deferred)",
		"create table pet (id int primary key, owner int default 0 references parent on delete set null on update cascade)",
		"create table tree (id int primary key, up int references tree on delete cascade on update cascade)",
		"create table swap (id int primary key deferrable initially deferred, v text)",
	},
		work: []string{
			transaction("insert into child values (1, 10), (2, 10), (3, 20)", "insert into parent values (10, 'x'), (20, 'y')"), "insert into pet values (1, 10), (2, 20)",
			"update parent set id = 11 where id = 10", "delete from parent where id = 11",
			"insert into tree values (1, null), (2, 1), (3, 2), (4, 3), (5, 1)", "update tree set id = 20 where id = 2", "delete from tree where id = 1",
			"insert into swap values (1, 'a'), (2, 'b')", "update swap set id = 3 - id", transaction("update swap set id = 5 where id = 1", "update swap set id = 1 where id = 2", "update swap set id = 2 where id = 5"),
			"begin; insert into child values (99, 99); rollback",
		}},
	{name: "triggers", create: []string{
		"create table t (id int primary key, v text, n int)", "create table log (id int generated always as identity, what text)", "create view w as select id, v from t",
		"create function before_row() returns trigger language plpgsql as $$ begin if new.v = 'refused' then return null; end if; new.n := coalesce(new.n, 0) + 1; return new; end $$",
		"create trigger a before insert or update on t for each row execute function before_row()",
		`create function after_row() returns trigger language plpgsql as $$ begin
			insert into log (what) values (tg_op || ' ' || coalesce(old.v, '-') || ' ' || coalesce(new.v, '-'));
			if tg_op = 'INSERT' and new.id < 100 then update t set v = v || '+' where id = new.id; insert into t values (new.id + 100, 'made'); end if; return null; end $$`,
		"create trigger b after insert or update or delete on t for each row execute function after_row()",
		"create function after_statement() returns trigger language plpgsql as $$ begin insert into log (what) select 'statement ' || count(*) from rows; return null; end $$",
		"create trigger c after insert on t referencing new table as rows for each statement execute function after_statement()",
		"create rule r as on delete to w do instead (update t set v = 'by rule' where id = old.id)",
	},
		work: []string{
			"insert into t values (1, 'a'), (2, 'refused'), (3, 'c')", "update t set v = 'x'", "update w set v = 'by view' where id = 1", "delete from w where id = 3", "delete from t where id = 101",
			"set session_replication_role = replica; update t set v = 'quietly'; insert into t values (50, 'quietly')",
		}},
	{name: "statements", create: []string{"create table t (id int primary key, v text)", "create table source (id int, v text)", "create table many (n int, v text)"},
		work: []string{
			"insert into t values (1, 'a'), (2, 'b') on conflict do nothing", "insert into t values (1, 'x'), (3, 'c') on conflict (id) do update set v = t.v || excluded.v", "insert into t values (1, 'y') on conflict do nothing",
			"with d as (delete from t where id = 2 returning *), i as (insert into source select * from d returning *) insert into t select id + 10, v from i",
			"with u as (update t set v = 'u' where id = 1 returning *) update source set v = u.v from u", "update t set v = s.v from source s where t.id = 3 and s.id = 2",
			"delete from t using source s where t.id = 12 and s.id = 2", transaction("insert into t values (7, 'short lived')", "update t set v = 'still' where id = 7", "delete from t where id = 7"),
			transaction("declare c cursor for select * from t for update", "fetch c", "update t set v = 'by cursor' where current of c"), transaction("select * from t for update", "lock table t"),
			"copy many (n) from program 'seq 1 300' where n > 5", `copy many (v) from program $p$printf 'a\tb\n\\N\nplain\n'$p$ with (delimiter '|')`,
			"update many set v = n::text where n % 7 = 0", "delete from many where n % 2 = 0", "insert into many select n, 'more' from generate_series(1, 200) n",
			"create table copied as select * from many; select audit.publish('copied'); insert into copied select * from copied limit 0; truncate copied; insert into copied values (1, null)",
		}},
	{name: "merge", since: 15, create: []string{"create table t (id int primary key, v text)", "create table source (id int, v text)"},
		work: []string{
			"insert into t values (1, 'a'), (2, 'b'), (3, 'c')", "insert into source values (1, 'gone'), (2, 'new'), (4, 'd'), (5, 'nothing')",
			`merge into t using source s on t.id = s.id when matched and s.v = 'gone' then delete when matched then update set v = s.v
				when not matched and s.v = 'nothing' then do nothing when not matched then insert values (s.id, s.v)`,
		},
		check: func(t *testing.T, s *sights) {
			ops := make(map[string]int)
			for _, e := range s.all {
				ops[e.Op]++
			}
			if ops["insert"] != 8 || ops["update"] != 1 || ops["delete"] != 1 {
				t.Errorf("%v", ops)
			}
		}},
	{name: "merge by source", since: 17, create: []string{"create table t (id int primary key, v text)"},
		work: []string{
			"insert into t values (1, 'a'), (2, 'b'), (3, 'c')",
			`with m as (merge into t using (values (1), (9)) s(id) on t.id = s.id when matched then update set v = 'm' when not matched then insert values (s.id, 'n')
				when not matched by source and t.id = 2 then delete when not matched by source then update set v = 's' returning merge_action(), t.*) select count(*) from m`,
		}},
}

// messageShapes write logical messages, whose prefix is the shape's name.
var messageShapes = []shape{
	{name: "messages", create: []string{"create table t (id int primary key)"},
		work: []string{
			transaction("select pg_logical_emit_message(true, 'messages', 'first')", "insert into t values (1)", `select pg_logical_emit_message(true, 'messages', E'é "q" \\ \n\x01')`, "savepoint s",
				"select pg_logical_emit_message(true, 'messages', 'rolled back')", "rollback to s", "insert into t values (2)", "select pg_logical_emit_message(true, 'messages', '')"),
			"select pg_logical_emit_message(true, 'messages', '\\xff00fe'::bytea)", "select pg_logical_emit_message(true, 'messages', '\\x00'::bytea)",
			"begin; select pg_logical_emit_message(true, 'messages', 'never'); insert into t values (3); rollback",
			"select pg_logical_emit_message(true, 'pgwitness', 'ours'), pg_logical_emit_message(false, 'pgwitness.context', '{}')",
			"select pg_logical_emit_message(true, 'messages', repeat('m', 3000000))",
		},
		check: func(t *testing.T, s *sights) {
			large := s.all[len(s.all)-1]
			if large.Message == nil || large.Message.Content == nil || len(*large.Message.Content) != 3_000_000 {
				t.Error("no message of 3 MB")
			}
			s.all = s.all[:len(s.all)-1]
			want(`message "first"`, `insert t key {"id":1} after {"id":1}`, `message "é \"q\" \\ \n\x01"`, `insert t key {"id":2} after {"id":2}`, `message ""`, `message hex ff00fe`, `message "\x00"`)(t, s)
			each(func(e *entry) string {
				return unless(e.Message == nil || e.Message.Transactional && e.Message.Prefix == "messages" && e.Tx.XID != 0, "not as it was written")
			})(t, s)
		}},
	{name: "messages at once", work: []string{
		"begin; select pg_logical_emit_message(false, 'messages at once', 'in a rolled back one'); select pg_logical_emit_message(true, 'messages at once', 'never'); rollback",
		transaction("select pg_logical_emit_message(true, 'messages at once', 'later')", "select pg_logical_emit_message(false, 'messages at once', 'sooner')"),
		"select pg_logical_emit_message(false, 'messages at once', '\\xfe'::bytea), pg_logical_emit_message(false, 'messages at once', '')",
	},
		check: func(t *testing.T, s *sights) {
			want(`message "in a rolled back one"`, `message "sooner"`, `message "later"`, `message hex fe`, `message ""`)(t, s)
			each(func(e *entry) string {
				at := e.Message.Transactional
				return unless(at == (e.Tx.XID != 0) && at == (e.Tx.Ordinal != 0) && at == (e.Tx.Committed != "") && at == e.Tx.Last, "not as such a message is")
			})(t, s)
		}},
}
