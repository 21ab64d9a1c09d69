//go:build integration

package nemesis

// statements are the changes that sessions make: {t} is the table, {k} a key out of a few, {n} a number.
var statements = map[shape][]string{
	simple: {
		"insert into {t} (id, n, word) values (nextval('fresh'), {n}, 'é \"{k}\"')",
		"insert into {t} (id, n) values ({k}, {n}) on conflict (id) do update set n = excluded.n, word = 'again'",
		"insert into {t} (id, n) values ({k}, {n}) on conflict do nothing",
		"update {t} set n = n + 1 where id = {k}",
		"update {t} set n = {n}, word = null where id between {k} and {k} + 5",
		"update {t} set id = nextval('fresh') where id = {k}",
		"update {t} set id = id + 100000 where id = (select max(id) from {t} where id < 100000)",
		"delete from {t} where id = {k}",
		"delete from {t} where id = (select max(id) from {t})",
	},
	composite: {
		"insert into {t} values ({n} % 3, 'k' || nextval('fresh'), {n}, null)",
		"insert into {t} values ({n} % 3, 'k{k}', {n}, 'w') on conflict (name, tenant) do update set n = excluded.n",
		"update {t} set n = n - 1 where name = 'k{k}'",
		"update {t} set tenant = tenant + 3 where name = 'k{k}' and tenant < 12",
		"update {t} set name = name || 'x' where name = 'k{k}'",
		"delete from {t} where name = 'k{k}' and tenant = {n} % 3",
	},
	keyless: {
		"insert into {t} values ({k}, {n}, 'line')",
		"insert into {t} values ({k}, {n}, null), ({k}, {n}, null)",
		"update {t} set n = n + 1 where ctid = (select ctid from {t} where id = {k} limit 1)",
		"update {t} set word = 'w{n}' where id = {k} and n % 2 = 0",
		"delete from {t} where ctid = (select ctid from {t} where id = {k} limit 1)",
	},
	wide: {
		"insert into {t} values ({k}, {n}, 'w', '{\"a\": [1, null, {\"b\": \"é\\n\"}]}', repeat(md5('{n}'), 80 + {n} % 100)) on conflict (id) do update set n = excluded.n",
		"insert into {t} (id, n, body) values (nextval('fresh'), {n}, repeat(md5('{n}'), {n} % 200))",
		"update {t} set n = n + 1 where id = {k}", // the body stays where it is
		"update {t} set doc = doc || '{\"k\": {n}}' where id between {k} and {k} + 1",
		"update {t} set body = body || '{n}' where id = {k}",
		"update {t} set id = nextval('fresh') where id = {k}",
		"delete from {t} where id = {k}",
	},
	partitioned: {
		"insert into {t} values (nextval('fresh'), {n}, 'p')",
		"insert into {t} values ({k}, {n}, 'p') on conflict (id) do update set n = excluded.n",
		"update {t} set n = n + 1 where id = {k}",
		"update {t} set id = nextval('fresh') where id = {k}", // into the other leaf, every second time
		"delete from {t} where id = {k}",
	},
}
