//go:build integration

package integration

// partitionShapes are partitioned tables, each of whose partitions is published under its own name.
var partitionShapes = []shape{
	{name: "partitions", create: []string{
		"create table root (id int, at date, v text, primary key (id, at)) partition by range (at)",
		"create table p1 partition of root for values from ('2026-01-01') to ('2026-02-01')",
		"create table p2 (v text, gone int, at date not null, id int not null)", "alter table p2 drop gone", "alter table root attach partition p2 for values from ('2026-02-01') to ('2026-03-01')",
		"create table rest partition of root default partition by list (id)", "create table rest1 partition of rest for values in (1, 2)", "create table rest2 partition of rest default",
	},
		work: []string{
			"insert into root values (1, '2026-01-05', 'a'), (1, '2026-02-05', 'b'), (1, '2027-01-01', 'c'), (9, '2027-01-01', 'd')",
			"update root set v = v || '!'", "update root set at = '2026-02-06' where v = 'a!'", "update root set id = 7 where v = 'c!'", "update p2 set v = 'by leaf' where v = 'b!'",
			"delete from root where id = 9", "truncate p1", "insert into p1 values (5, '2026-01-06', 'e')", "truncate root", `copy root from program $p$printf '3\t2026-01-02\tx\n4\t2026-02-02\ty\n'$p$`,
			"insert into root values (3, '2026-01-02', 'z') on conflict (id, at) do update set v = root.v || excluded.v",
			transaction("create table p3 partition of root for values from ('2026-03-01') to ('2026-04-01')", "select audit.publish('p3')", "insert into root values (6, '2026-03-03', 'f')", "update root set v = 'g' where id = 6"),
			"update root set at = '2026-03-04' where id = 4", "alter table root add n int; select audit.tell(json_build_object('schema', 'partitions', 'table', t, 'do', 'add column', 'column', 'n', 'value', null)) from unnest(array['p1', 'p2', 'p3', 'rest1', 'rest2']) t",
			"update root set n = id",
		},
		check: each(func(e *entry) string {
			return unless(e.Root != nil && e.Root.Schema == "partitions" && e.Root.Table == "root" && e.Table != "root", "not a partition of root")
		})},
	{name: "partitions come and go", create: []string{
		"create table root (id int primary key, v text) partition by hash (id)", "create table h0 partition of root for values with (modulus 2, remainder 0)", "create table h1 partition of root for values with (modulus 2, remainder 1)",
		"create table list (k text, id int) partition by list (k)", "create table list_a partition of list for values in ('a')", "create table list_b (k text, id int)",
	},
		work: []string{
			"insert into root select n, 'v' || n from generate_series(1, 20) n", "update root set v = null where id % 3 = 0", "update root set id = id + 100 where id < 5", "delete from root where id > 15 and id < 100",
			"insert into list values ('a', 1)", "insert into list_b values ('b', 2)", "alter table list attach partition list_b for values in ('b')", "update list set k = 'b' where id = 1",
			"alter table list detach partition list_a", "insert into list_a values ('any', 3)", "delete from list where id = 2",
		}},
	{name: "partitions merged", since: 15, create: []string{
		"create table root (id int primary key, v text) partition by range (id)", "create table low partition of root for values from (0) to (100)", "create table high partition of root for values from (100) to (200)",
	},
		work: []string{
			"insert into root values (1, 'a'), (2, 'b'), (101, 'c')",
			"merge into root using (values (1), (101), (150)) s(id) on root.id = s.id when matched and s.id = 1 then delete when matched then update set id = 50 when not matched then insert values (s.id, 'new')",
		}},
}
