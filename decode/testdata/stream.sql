create schema app;
create extension hstore schema app;
create extension citext schema app;
create extension ltree schema app;
create publication rec for all tables;
create table audit_log(id bigserial primary key, table_name text, action text, old_data text, new_data text);
create function audit() returns trigger language plpgsql
  set datestyle = iso set intervalstyle = postgres set timezone = utc set bytea_output = hex set extra_float_digits = 1 set lc_monetary = 'C' set search_path = ''
as $$ begin
  insert into public.audit_log(table_name, action, old_data, new_data)
  values (tg_table_schema || '.' || tg_table_name, tg_op, row_to_json(old)::text, row_to_json(new)::text);
  return null;
end $$;
create type app.mood as enum ('sad', 'ok', 'it''s "fine", \o/');
create type app.pair as (a int, "b ""c" text);
create type app.nest as (p app.pair, ps app.pair[], m app.mood, t timestamptz, n numeric, j json, "ü" bytea, h app.hstore);
create type app.one as (x text);
create domain app.posint as int check (value > 0);
create domain app.dpair as app.pair;
create domain app.ints as int[];
create domain app.chain as app.ints;
create type app.textrange as range (subtype = text);
create function app.mood_json(app.mood) returns json language sql immutable as 'select to_json($1::text)';
create type app.cheer as enum ('yes', 'no');
create function app.cheer_json(app.cheer) returns json language sql immutable as $$ select json_build_object('cheer', $1::text) $$;
create cast (app.cheer as json) with function app.cheer_json(app.cheer);

create table app.kinds (
  id int primary key,
  b bool, i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, num numeric, t text, vc varchar(10), bc char(5), ch "char", nm name,
  u uuid, by bytea, d date, ts timestamp, tz timestamptz, ti time, tt timetz, iv interval, j json, jb jsonb, mo app.mood,
  mny money, bi bit(5), vb varbit, inet inet, cidr cidr, mac macaddr, mac8 macaddr8, pt point, ln line, ls lseg, bx box, pa path, pg polygon, ci circle,
  tv tsvector, tq tsquery, r4 int4range, rn numrange, rt tstzrange, x xml, lsn pg_lsn, o oid, rc regclass, rp regprocedure, ty regtype, xi xid, ti8 xid8, tid tid, jp jsonpath, ov oidvector, i2v int2vector, rtx app.textrange
);
alter table app.kinds replica identity full;
create table app.made (
  id int primary key, p app.pair, ps app.pair[], n app.nest, ns app.nest[], one app.one, pos app.posint, dp app.dpair, dps app.dpair[], ints app.ints, ch app.chain, moods app.mood[], chs app.ints[],
  hs app.hstore, hss app.hstore[], ct app.citext, lt app.ltree, rowt app.kinds, rel pg_class, mr int4multirange, rtx app.textrange[]
);
alter table app.made replica identity full;
create table app.arrays (id int primary key, b bool[], i int[], f float8[], n numeric[], t text[], by bytea[], d date[], ts timestamp[], tz timestamptz[], j json[], jb jsonb[], bx box[], pt point[], u uuid[], iv interval[], m money[], ov oidvector[], c "char"[], bc char(3)[], x xml[]);
alter table app.arrays replica identity full;
create table app.cast_unknown (id int primary key, c app.cheer, cs app.cheer[]);
create table deflt (id int primary key, v text, big text);
alter table deflt alter big set storage external;
create table idx (a int not null, b text not null, c text);
create unique index idx_ab on idx(b, a);
alter table idx replica identity using index idx_ab;
create table nokey (a int, b text);
alter table nokey replica identity full;
create table nothing (a int, b text);
alter table nothing replica identity nothing;
create table nothing_pk (a int primary key, b text);
alter table nothing_pk replica identity nothing;
create table bigkey (k text primary key, v int);
alter table bigkey alter k set storage external;
create table full_pk (z int, y text, x text, primary key (y, z));
alter table full_pk replica identity full;
alter table full_pk alter x set storage external;
create table none ();
alter table none replica identity full;
create schema "we""ird. schéma";
create table "we""ird. schéma"."ta.ble ""q"" \ über" ("c ""o,l" int primary key, "日本語" text, "tab	" text);
alter table "we""ird. schéma"."ta.ble ""q"" \ über" replica identity full;
create table part (id int, v text, primary key (id)) partition by range (id);
create table part_1 partition of part for values from (0) to (10);
create table part_2 partition of part for values from (10) to (100) partition by list (id);
create table part_2_a partition of part_2 for values in (10, 11, 12);
create table parent (id int primary key, v text);
create table child (extra int) inherits (parent);
alter table child replica identity full;
create table ref (id int primary key references deflt on delete cascade);
create table ddl (id int primary key, a int);
alter table ddl replica identity full;
create table rolled (id int);
create trigger audit after insert or update or delete on app.kinds for each row execute function audit();
create trigger audit after insert or update or delete on app.made for each row execute function audit();
create trigger audit after insert or update or delete on app.arrays for each row execute function audit();
create trigger audit after insert or update or delete on nokey for each row execute function audit();
create trigger audit after insert or update or delete on full_pk for each row execute function audit();
create trigger audit after insert or update or delete on none for each row execute function audit();
create trigger audit after insert or update or delete on "we""ird. schéma"."ta.ble ""q"" \ über" for each row execute function audit();
create trigger audit after insert or update or delete on ddl for each row execute function audit();
create function big(seed int) returns text language sql immutable as $$ select string_agg(md5((seed * 1000 + g)::text), '') from generate_series(1, 75) g $$;
-- SLOT
insert into app.kinds(id) values (1);
-- TX
insert into app.kinds values (2, true, -32768, 2147483647, -9223372036854775808, 1.5e-7, 1e300, 12345678901234567890.123456789, E'q" b\\ t\t n\n r\r f\f b\b c\x01\x1f\x7f é日😀 </x>', 'abc', 'ab', 'x', 'n''m',
 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '\x00ff10', '2024-02-29', '2024-02-29 13:14:15.123456', '2024-02-29 13:14:15.5+05:30', '24:00:00', '13:14:15.5-03:30:15', '1 year 2 mons -3 days 04:05:06.789', E' { "a" : 1,  "a" : [1, 2 ] ,\n "b":"\\u00e9"} ', '{"a": 9007199254740993, "b": 1e400, "a": null}', 'it''s "fine", \o/',
 1234567.89, B'10110', B'101', '192.168.0.1/24', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', '(1.5,-2)', '{1,2,3}', '[(0,0),(1,1)]', '(1,1),(0,0)', '[(0,0),(1,1),(2,0)]', '((0,0),(1,1),(2,0))', '<(1,2),3>',
 'a:1A fat:2B,4C "q''s"', 'fat & !rat | cat', '[1,5)', '(,2.5]', '[2024-01-01 00:00+00,)', '<a b="c">x&amp;</a>', '16/B374D848', 4294967295, 'app.kinds', 'lower(text)', 'app.mood[]', '123', '12345678901', '(1,2)', '$.a[*] ? (@ > 1)', '1 2 3', '-1 0 7', '[a,"b c")');
-- TX
insert into app.kinds(id, f4, f8, num, d, ts, tz, iv, ti, t, vc, bc, ch, by, ov, i2v, tv, j, jb, mny) values
 (3, 'NaN', 'Infinity', 'NaN', 'infinity', '-infinity', 'infinity', '-1 day', '00:00', '', '', '', '', '', '', '', '', '""', '""', -0.5),
 (4, '-Infinity', '-0', 'Infinity', '4713-01-01 BC', '0044-03-15 12:00:00 BC', '0044-03-15 12:00:00.25+00 BC', '-178000000 years', '23:59:59.999999', 'null', 'NULL', 'é', E'\\200', '\x22', '26', '5', 'a', 'null', 'null', 0),
 (5, 3.4e38, 5e-324, '-Infinity', '12024-05-06', '12024-05-06 07:08:09', '294276-12-31 23:59:59.999999+00', '00:00:00', null, '{}', '()', '\', E'\n', '\xdeadbeef', '', '', '', '[]', '{}', -92233720368547758.08),
 (6, 1e10, 1e15, 1e-20, '-infinity', '0001-01-01', '0001-01-01 00:00:00+00 BC', '1 mon', '01:02:03.1', '"', '\', ',', '"', '', '', '', '', ' 1e5 ', '-1e-7', 1),
 (7, 123456.789, 0.1, 1.10, '0001-12-31 BC', '99999-01-01 00:00:00.1', '4714-11-24 00:00:00+00 BC', 'P1Y2M3DT4H5M6S', null, E'\x1b[0m', 'a', 'b', ' ', '\x', '0', '0', '', E'\t"x"\n', '"\u00e9\n\t\"\\"', 1000);
-- TX
update app.kinds set i4 = 5 where id = 2;
update app.kinds set t = null, jb = jb || '{"c": 1.50}' where id = 2;
update app.kinds set id = 20 where id = 2;
delete from app.kinds where id in (1, 20);
-- TX
insert into app.arrays values (1, '{t,f,NULL}', '[0:1]={1,NULL}', '{1.5,NaN,-Infinity,1e-7}', '{1.10,NaN,Infinity}', E'{"NULL",NULL,"a\\"b","c,d","","\\\\","{x}"," sp ","é\tt\nn"}', '{"\\x00ff",NULL}', '{2024-01-01,infinity,"0044-03-15 BC"}', '{"2024-01-01 01:02:03",-infinity}', '{"2024-01-01 01:02:03.5+00","0044-03-15 12:00:00+00 BC"}', array[' {"a": [1, "x\"y"]} ', 'null', '"{}"']::json[], array['{"a": "b,c\\d"}', '1.50']::jsonb[], '{(1,1),(0,0);(2,2),(1,1)}', '{"(1,2)","(3,4)"}', '{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}', '{"1 day","-01:02:03"}', '{"$1,234.50",-$0.05}', '{"1 2","3"}', '{a,",","",NULL}', '{a,bcd}', array['<a>"x"</a>']::xml[]),
 (2, '{}', '{{1,2},{3,4}}', '[2:3][-1:0]={{1,2},{3,NULL}}', '{{{1},{2}},{{3},{4}}}', '{{a,"b c"},{NULL,"}"}}', '{}', '{{2024-01-01}}', '{}', '{}', '{}', array[array['1','{"a":2}'],array['[]','null']]::jsonb[], '{{(1,1),(0,0)};{(2,2),(1,1)}}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}'),
 (3, null, '{{{{{{1,2}}}}}}', null, null, array[repeat('x', 40), E'\x01\x7f', 'NuLl', 'null']::text[], null, null, null, null, null, null, null, null, null, null, null, null, null, null, null);
update app.arrays set i = '{}' where id = 1;
-- TX
insert into app.made values (1, (1, 'x'), array[(1,'a"b')::app.pair, (2,null)::app.pair, null, (null,'')::app.pair, (3,E'\\ ,(){}\n')::app.pair],
 ((1,'deep "q" \ ,')::app.pair, array[(1,'a"b\c')::app.pair,null], 'it''s "fine", \o/', '2024-02-29 13:14:15.5+05:30', 'NaN', ' {"k": "v, \"w\""} ', '\x00ff', '"a b"=>"c\"d", "n"=>NULL'::app.hstore),
 array[((1,'deep "q" \ ,')::app.pair, array[(1,'a"b\c')::app.pair,null], 'sad', 'infinity', 1.50, '[1, 2]', '\x', ''::app.hstore), null]::app.nest[],
 row(''), 7, (9, 'dp'), array[(1,'z')::app.dpair], '{1,2}', '[5:6]={3,4}', array['sad','it''s "fine", \o/']::app.mood[], '{"{1,2}",NULL}', '"a b"=>"c\"d\\e", "n"=>NULL, "é"=>"", "t"=>"x	y
z"', array['"a"=>"1"', '"b, c"=>"2=>3"', '']::app.hstore[], 'CiText', 'Top.Sci',
 (select k from app.kinds k where id = 7), (select c from pg_class c where relname = 'pg_type'), '{[1,3),[5,7)}', array['[a,b)', '(,"x y"]']::app.textrange[]),
 (2, (null, null), '{}', row(null,null,null,null,null,null,null,null), '{}', row(null), null, (null, ''), null, null, '{}', null, '{}', '', '{}', '', '', null, null, '{}', '{}'),
 (3, null, null, null, null, row('(x,"y")'), 1, null, null, '{{1,2},{3,4}}', null, null, null, '"NULL"=>"NULL", "x"=>"\\"', null, null, null, null, null, null, null);
update app.made set p.a = 2 where id = 1;
delete from app.made where id = 1;
-- TX
insert into deflt values (1, 'a', big(1)), (2, 'b', null);
update deflt set v = 'aa' where id = 1;
update deflt set v = 'bb', big = 'small' where id = 2;
update deflt set id = 3 where id = 2;
update deflt set id = 4 where id = 1;
insert into ref values (4), (3);
delete from deflt;
-- TX
insert into idx values (1, 'x', 'c'), (2, 'y', null);
update idx set c = 'cc' where a = 1;
update idx set b = 'z' where a = 1;
delete from idx where a = 2;
-- TX
insert into nokey values (1, 'x'), (1, 'x'), (null, null);
update nokey set b = 'y' where a = 1;
delete from nokey where a is null;
-- TX
insert into nothing values (1, 'x');
insert into nothing_pk values (1, 'x');
-- TX
insert into bigkey values (big(2), 1);
update bigkey set v = 2;
update bigkey set k = 'short';
delete from bigkey;
-- TX
insert into full_pk values (1, 'k', big(3)), (2, 'k', null);
update full_pk set z = z + 10;
update full_pk set x = '' where z = 12;
delete from full_pk;
-- TX
insert into app.cast_unknown values (1, 'yes', '{no,NULL}'), (2, null, null);
-- TX
insert into none default values;
-- TX
insert into "we""ird. schéma"."ta.ble ""q"" \ über" values (1, 'val', 'x');
update "we""ird. schéma"."ta.ble ""q"" \ über" set "日本語" = '値';
-- TX
insert into part values (1, 'a'), (10, 'b');
update part set id = 11 where id = 1;
truncate part;
truncate deflt, idx, ref restart identity cascade;
truncate only parent;
-- TX
insert into parent values (1, 'p');
insert into child values (2, 'c', 3);
update parent set v = v || '!';
-- TX
begin; insert into rolled values (1); savepoint a; insert into rolled values (2); select pg_logical_emit_message(true, 'gone', 'x'); rollback to a; insert into rolled values (3); select pg_logical_emit_message(true, 'app', 'hello "w"'); commit;
-- TX
begin; insert into rolled values (9); rollback;
-- TX
begin; insert into rolled select g from generate_series(1, 3000) g; rollback;
-- TX
begin; insert into rolled values (20); savepoint a; insert into rolled select g from generate_series(1, 3000) g; rollback to a; insert into rolled values (21); commit;
-- TX
select pg_logical_emit_message(false, 'app.nontx', '\x00ff'::bytea);
-- TX
select pg_logical_emit_message(false, 'pgwitness.x', 'ours');
-- TX
begin; select pg_logical_emit_message(true, 'pgwitness', '{}'); insert into rolled values (4); select pg_logical_emit_message(true, 'pgwitness.rewrite', '{}'); select pg_logical_emit_message(true, 'app', ''); commit;
-- TX
select pg_logical_emit_message(true, 'alone', 'é');
-- TX
begin; insert into ddl values (1, 1); alter table ddl add b text default 'dd'; insert into ddl values (2, 2, 'x'); alter table ddl drop a; insert into ddl values (3, 'y'); alter table ddl rename b to c; alter table ddl alter c type varchar(9); update ddl set c = 'new' where id = 1; create table made_inside (q int primary key); insert into made_inside values (1); alter table ddl rename to ddl2; insert into ddl2 values (4, 'z'); commit;
-- TX
begin; insert into ddl2 values (5, 'p'); prepare transaction 'p1';
-- TX
commit prepared 'p1';
-- TX
with ins as (insert into parent values (10, 'cte') returning id) insert into rolled select id from ins;
insert into parent values (10, 'again') on conflict (id) do update set v = excluded.v;
-- TX
select pg_replication_origin_create('elsewhere "o"');
-- TX
select pg_replication_origin_session_setup('elsewhere "o"');
-- TX
begin; select pg_replication_origin_xact_setup('0/AABBCC', '2024-05-06 07:08:09.123456+00'); insert into rolled values (5); commit;
-- TX
select pg_replication_origin_session_reset();
-- TX
create table wide ();
do $$ begin for i in 1..1600 loop execute format('alter table wide add c%s "char"', i); end loop; end $$;
alter table wide replica identity full;
insert into wide(c1, c1600) values ('a', 'z');
-- TX
-- CATALOGUE
begin; alter type app.pair add attribute c app.posint; alter table app.made disable trigger audit; insert into app.made(id, p, ps, dp) values (50, (1,'b',2), array[(1,'b',2)::app.pair, null], (1,'b',null)); commit;
