note: role pgwitness gets no password: give it one with psql's \password, or allow it in pg_hba.conf without
-- pgwitness setup, database shop, PostgreSQL 18.1.
-- Run it with psql as it stands, or let `pgwitness setup --apply` do it. What is done is not printed again.

\set ON_ERROR_STOP on
set synchronous_commit = local;
set search_path = '';
set standard_conforming_strings = on;
set lock_timeout = '5000ms';

-- The role that `pgwitness run` connects as: it may replicate, and read no table.
-- Needs: superuser; from 16 on, a role with CREATEROLE and REPLICATION.
create role "pgwitness" login replication;

-- It sees who is connected: which session made which change.
-- Needs: superuser, or the ADMIN option on pg_read_all_stats; up to 15, a role with CREATEROLE.
grant pg_read_all_stats to "pgwitness";

-- The publication says what is captured: all four verbs, each partition under its own name. It lists tables by
-- name; FOR ALL TABLES would make updates fail on every later table without a key.
-- Needs: CREATE on the database.
create publication "pgwitness" with (publish = 'insert, update, delete, truncate', publish_via_partition_root = false);

-- Replica identity full: the log carries the whole row as it was before a change.
-- Needs: the owner of the table.
alter table only "billing"."invoice" replica identity full;

-- The tables, by name.
-- Needs: the owner of the table and of the publication.
alter publication "pgwitness" add table only "billing"."invoice";

-- The schema of pgwitness's own functions.
-- Needs: CREATE on the database.
\set ON_ERROR_STOP off
begin;
create schema pgwitness;
commit;
\set ON_ERROR_STOP on

-- Event triggers tell the trail of what sends no rows: tables that are rewritten, columns, types and names that
-- change, tables that leave the publication, replica identities that weaken. They make no statement fail.
-- Needs: superuser.
\set ON_ERROR_STOP off
begin;
create or replace function pgwitness.publications() returns name[]
language sql stable
set search_path = pg_catalog, pg_temp
as $pgwitness$
select array(select jsonb_array_elements_text($list$["pgwitness"]$list$)::name)
$pgwitness$;
create or replace function pgwitness.look(what text, oids oid[]) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set jit = off
as $pgwitness$
-- What the catalogue says, by oid or name. It reads with the snapshot of its caller.
declare
  version constant int := current_setting('server_version_num');
  watched constant name[] := pgwitness.publications();
  by_schema text[] := '{}'; -- publication.schema
  found jsonb;
begin
  if version >= 150000 and what <> 'enums' then
    by_schema := array(select concat(pnpubid, '.', pnnspid) from pg_publication_namespace);
  end if;
  case what
  when 'concern' then -- can the tables matter? Quick, and yes in doubt
    if by_schema <> '{}' or exists (select from pg_publication where puballtables and pubname = any (watched))
      or exists (select from pg_publication_rel where prrelid = any (oids))
      or exists (select from pg_inherits where inhrelid = any (oids) or inhparent = any (oids))
      or exists (select from pg_class c join pg_type t on t.oid = c.reltype
          join pg_depend d on d.refclassid = 'pg_type'::regclass and d.refobjid in (t.oid, t.typarray)
           and (d.objsubid > 0 or d.classid = 'pg_type'::regclass and d.deptype = 'n') where c.oid = any (oids))
    then
      found := '{"concern": true}';
    end if;
  when 'tables' then
    with recursive
    wanted (oid) as ( -- what was asked for, and everything below it
      select unnest(oids)
      union
      select i.inhrelid from wanted w join pg_inherits i on i.inhparent = w.oid
    ),
    chain (oid, link, height) as ( -- a table, and the partitioned tables that it is a partition of
      select c.oid, c.oid, 0 from wanted w join pg_class c on c.oid = w.oid
       where c.relkind in ('r', 'p', 'c', 'v', 'm', 'f') and c.relpersistence <> 't'
      union all
      select h.oid, i.inhparent, h.height + 1
        from chain h join pg_class c on c.oid = h.link and c.relispartition join pg_inherits i on i.inhrelid = h.link
    ),
    root as (
      select distinct on (h.oid) h.oid, jsonb_build_object('schema', n.nspname, 'table', c.relname) as place
        from chain h join pg_class c on c.oid = h.link join pg_namespace n on n.oid = c.relnamespace
       where h.height > 0
       order by h.oid, h.height desc
    ),
    listing as (
      select prpubid, prrelid, to_jsonb(r)->>'prqual' as prqual, to_jsonb(r)->>'prattrs' as prattrs from pg_publication_rel r
    ),
    member as (
      select h.oid, p.pubname, jsonb_build_object('row_filter', bool_or(l.prqual is not null), 'column_list', bool_or(l.prattrs is not null),
             'limits', string_agg(concat_ws(' ', l.prqual, l.prattrs), ' ' order by h.height)) as terms
        from chain h join pg_class c on c.oid = h.link
        join pg_publication p on p.pubname = any (watched)
        left join listing l on l.prpubid = p.oid and l.prrelid = h.link
       where l.prrelid is not null or p.puballtables or concat(p.oid, '.', c.relnamespace) = any (by_schema)
       group by h.oid, p.pubname
    ),
    membership as (
      select m.oid, jsonb_object_agg(m.pubname, m.terms) as members
        from member m join pg_class c on c.oid = m.oid and c.relkind in ('r', 'p') and c.relpersistence = 'p'
       group by m.oid
    )
    select jsonb_object_agg(c.oid, jsonb_build_object(
      'schema', n.nspname, 'table', c.relname, 'kind', c.relkind, 'type', c.reltype,
      'identity', case c.relreplident when 'd' then 'default' when 'i' then 'index' when 'f' then 'full' else 'nothing' end,
      'root', root.place, 'members', coalesce(m.members, '{}'), 'columns', coalesce((
        select jsonb_object_agg(a.attnum, jsonb_build_object('name', a.attname, 'type', a.atttypid, 'text', t.typcategory = 'S',
                 'logged', a.attgenerated = '' or a.attgenerated = 's' and version >= 180000,
                 'filled', a.atthasmissing or a.atthasdef or a.attidentity <> '' or t.typtype = 'd'))
          from pg_attribute a join pg_type t on t.oid = a.atttypid
         where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped), '{}')))
      into found
      from chain h join pg_class c on c.oid = h.oid join pg_namespace n on n.oid = c.relnamespace
      left join root on root.oid = h.oid
      left join membership m on m.oid = h.oid
     where h.height = 0;
  when 'publications' then
    select jsonb_object_agg(p.pubname, jsonb_build_object(
      'insert', p.pubinsert, 'update', p.pubupdate, 'delete', p.pubdelete, 'truncate', p.pubtruncate,
      'via_root', p.pubviaroot, 'all_tables', p.puballtables, 'generated', coalesce(to_jsonb(p)->>'pubgencols' = 's', false),
      'schemas', coalesce((
        select jsonb_object_agg(n.nspname, true) from pg_namespace n where concat(p.oid, '.', n.oid) = any (by_schema)), '{}'),
      'tables', coalesce((
        select jsonb_object_agg(r.prrelid, concat_ws(' ', to_jsonb(r)->>'prqual', to_jsonb(r)->>'prattrs'))
          from pg_publication_rel r where r.prpubid = p.oid), '{}')))
      into found
      from pg_publication p where p.pubname = any (watched);
  when 'enums' then
    select jsonb_object_agg(enumtypid, labels) into found
      from (select enumtypid, jsonb_object_agg(oid, enumlabel) as labels from pg_enum where enumtypid = any (oids) group by enumtypid) e;
  when 'grants' then
    select jsonb_object_agg(oid, coalesce(proacl, acldefault('f', proowner))::text) into found from pg_proc
     where proname = 'pg_logical_emit_message' and pronamespace = 'pg_catalog'::regnamespace;
  end case;
  return coalesce(found, '{}');
end
$pgwitness$;
create or replace function pgwitness.look_again(what text, oids oid[]) returns jsonb
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $pgwitness$
begin
  return pgwitness.look(what, oids); -- volatile: with a snapshot of its own, which sees what the statement has done
end
$pgwitness$;
create or replace function pgwitness.differences(before jsonb, after jsonb, out name text, out was jsonb, out now jsonb) returns setof record
language sql immutable
set search_path = pg_catalog, pg_temp
as $pgwitness$
select key, b.value, a.value
  from jsonb_each(before) b full join jsonb_each(after) a using (key)
 where b.value is distinct from a.value
 order by key collate "C"
$pgwitness$;
create or replace function pgwitness.place(relation jsonb) returns jsonb
language sql immutable
set search_path = pg_catalog, pg_temp
as $pgwitness$
select jsonb_strip_nulls(jsonb_build_object('schema', relation->'schema', 'table', relation->'table', 'root', relation->'root'))
$pgwitness$;
create or replace function pgwitness.columns(was jsonb, now jsonb) returns jsonb
language sql immutable
set search_path = pg_catalog, pg_temp
as $pgwitness$
-- The columns that read differently in rows that nothing was sent of, {} for none. Between types of strings, which
-- need no rewriting, nothing reads differently.
select jsonb_strip_nulls(jsonb_build_object(
  'added', jsonb_agg(now->'name' order by id) filter (where has and was is null and not filled),
  'filled', jsonb_agg(now->'name' order by id) filter (where has and (was is null and filled or was is not null and not had)),
  'dropped', jsonb_agg(was->'name' order by id) filter (where had and not has),
  'renamed', jsonb_agg(jsonb_build_object('was', was->'name', 'now', now->'name') order by id)
    filter (where had and has and was->'name' <> now->'name'),
  'retyped', jsonb_agg(now->'name' order by id)
    filter (where had and has and was->'type' <> now->'type' and not ((was->>'text')::bool and (now->>'text')::bool))))
  from (select d.name::int as id, d.was, d.now, coalesce((d.was->>'logged')::bool, false) as had,
               coalesce((d.now->>'logged')::bool, false) as has, (d.now->>'filled')::bool as filled
          from pgwitness.differences(was, now) d) c
$pgwitness$;
create or replace function pgwitness.table_changes(was jsonb, now jsonb) returns setof jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $pgwitness$
-- What of a table has changed, as the trail has to tell it. was is null of a new table, now of a dropped one.
declare
  place constant jsonb := pgwitness.place(coalesce(now, was));
begin
  if coalesce(was->'members', '{}') = '{}' and coalesce(now->'members', '{}') = '{}' then
    return; -- not published
  end if;
  return query
    select place || jsonb_build_object('op', 'publication', 'publication', jsonb_strip_nulls(jsonb_build_object('name', d.name,
             'change', case when d.now is null then 'left' when d.was is null then 'joined' else 'changed' end,
             'row_filter', d.now->'row_filter', 'column_list', d.now->'column_list')))
      from pgwitness.differences(coalesce(was->'members', '{}'), coalesce(now->'members', '{}')) d;
  if now->>'kind' = 'r' and now->>'identity' <> coalesce(was->>'identity', 'full') then
    return next place || jsonb_strip_nulls(jsonb_build_object('op', 'identity', 'identity', now->'identity', 'was_identity', was->'identity'));
  end if;
  if was is null or now is null then
    return;
  end if;
  if pgwitness.place(was) <> place then
    return next place || jsonb_build_object('op', 'baseline_broken', 'from', pgwitness.place(was), 'reason',
      case when pgwitness.place(was) - 'root' = place - 'root' then 'partition' else 'renamed' end);
  end if;
  if pgwitness.columns(was->'columns', now->'columns') <> '{}' then
    return next place || jsonb_build_object('op', 'baseline_broken', 'reason', 'columns',
      'columns', pgwitness.columns(was->'columns', now->'columns'));
  end if;
end
$pgwitness$;
create or replace function pgwitness.made_of(type oid) returns oid[]
language sql stable
set search_path = pg_catalog, pg_temp
set jit = off
as $pgwitness$
-- The tables with a column of a type, of its arrays, domains or ranges, or of a composite type that has such an attribute.
with recursive made (class, oid) as (
  select 'pg_type'::regclass::oid, type
  union
  select d.classid, case when d.classid = 'pg_type'::regclass then d.objid else c.reltype end
    from made m
    join pg_depend d on d.refclassid = 'pg_type'::regclass and d.refobjid = m.oid and d.deptype in ('n', 'i')
    left join pg_class c on d.classid = 'pg_class'::regclass and c.oid = d.objid and d.objsubid > 0
   where d.classid = 'pg_type'::regclass or c.reltype <> 0
)
select coalesce(array_agg(distinct c.oid), '{}')
  from made m join pg_class c on m.class = 'pg_class'::regclass and c.reltype = m.oid and c.relkind in ('r', 'p')
$pgwitness$;
create or replace function pgwitness.say(prefix text, tag text, said jsonb) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $pgwitness$
-- A message's place among the rows is the end of its WAL record (logicalmsg_decode in decode.c), which is the start of
-- the next one: where that belongs to another subtransaction, either may be sent first. So one that says nothing follows.
begin
  perform pg_logical_emit_message(true, 'pgwitness.' || prefix, (said || jsonb_build_object('command', tag))::text);
  perform pg_logical_emit_message(true, 'pgwitness.end', '');
end
$pgwitness$;
create or replace function pgwitness.give_up(tag text, state text, why text) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $pgwitness$
-- The statement goes on, whatever is wrong with us, and the trail says that it was not looked at.
begin
  raise warning 'pgwitness could not look at %: %', tag, why;
  perform pgwitness.say('ddl', tag, jsonb_build_object('op', 'unexamined', 'sqlstate', state));
exception when others then
  raise warning 'pgwitness could not tell the trail of %: %', tag, sqlerrm;
end
$pgwitness$;
create or replace function pgwitness.tell_publications(tag text) returns oid[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $pgwitness$
-- Tells what has changed of the publications, and returns the tables whose listing has.
declare
  was constant jsonb := pgwitness.look('publications', null);
  now constant jsonb := pgwitness.look_again('publications', null);
  parts constant text[] := array['schemas', 'tables'];
begin
  perform pgwitness.say('ddl', tag, jsonb_build_object('op', 'publication', 'publication', jsonb_strip_nulls(jsonb_build_object('name', d.name,
            'change', case when d.now is null then 'dropped' when d.was is null then 'created' else 'changed' end,
            'was', d.was - parts, 'now', d.now - parts))))
     from pgwitness.differences(was, now) d where d.was - parts is distinct from d.now - parts;
  perform pgwitness.say('ddl', tag, jsonb_build_object('op', 'publication', 'schema', d.name, 'publication', jsonb_build_object('name', p.name,
            'change', case when d.now is null then 'left' else 'joined' end)))
     from pgwitness.differences(was, now) p cross join pgwitness.differences(p.was->'schemas', p.now->'schemas') d
    where p.was is not null and p.now is not null;
  return array(
    select d.name::oid from pgwitness.differences(was, now) p cross join pgwitness.differences(p.was->'tables', p.now->'tables') d
     where p.was is not null and p.now is not null);
end
$pgwitness$;
create or replace function pgwitness.tell_tables(tag text, relations oid[]) returns oid[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $pgwitness$
-- Tells what has changed of the tables and those below them, and returns the row types that read differently now.
declare
  was jsonb;
  now jsonb;
begin
  if pgwitness.look('concern', relations) || pgwitness.look_again('concern', relations) = '{}' then
    return '{}';
  end if;
  was := pgwitness.look('tables', relations);
  now := pgwitness.look_again('tables', relations || array(select jsonb_object_keys(was)::oid));
  was := pgwitness.look('tables', relations || array(select jsonb_object_keys(now)::oid)); -- with partitions that are new to their parent
  perform pgwitness.say('ddl', tag, said)
     from pgwitness.differences(was, now) d cross join pgwitness.table_changes(d.was, d.now) said;
  return array(
    select (d.now->>'type')::oid from pgwitness.differences(was, now) d where d.was->'columns' <> d.now->'columns');
end
$pgwitness$;
create or replace function pgwitness.tell_types(tag text, types oid[]) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $pgwitness$
-- Tells the tables with columns of types whose values read differently now.
begin
  perform pgwitness.say('ddl', tag, pgwitness.place(r.value) || jsonb_build_object('op', 'baseline_broken', 'reason', 'type',
            'type', jsonb_build_object('schema', n.nspname, 'name', t.typname)))
     from pg_type t join pg_namespace n on n.oid = t.typnamespace
    cross join jsonb_each(pgwitness.look('tables', pgwitness.made_of(t.oid))) r
    where t.oid = any (types) and r.value->'members' <> '{}';
end
$pgwitness$;
create or replace function pgwitness.tell_ddl(event text, tag text) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $pgwitness$
-- Tells what a statement has changed. This function and its caller must be stable: so look has the statement's own
-- snapshot, which does not see what the statement did, and look_again does.
declare
  relations oid[];
  types oid[];
  publications bool := tag in ('CREATE PUBLICATION', 'ALTER PUBLICATION', 'ALTER SCHEMA');
  was jsonb;
  now jsonb;
begin
  if event = 'sql_drop' then
    if tag not like 'DROP %' then
      return; -- the end of the command tells it
    end if;
    select array_agg(distinct objid) filter (where classid = 'pg_class'::regclass), bool_or(object_type like 'publication%')
      into relations, publications
      from pg_event_trigger_dropped_objects() where not is_temporary;
  elsif tag in ('GRANT', 'REVOKE') then
    was := pgwitness.look('grants', null);
    now := pgwitness.look_again('grants', null);
    if was <> now then
      perform pgwitness.say('ddl', tag, jsonb_build_object('op', 'privilege', 'privilege', jsonb_build_object('function', 'pg_logical_emit_message',
        'public', (select bool_or(has_function_privilege('public', key::oid, 'EXECUTE')) from jsonb_each(now)))));
    end if;
    return;
  else
    select array_agg(distinct objid) filter (where classid = 'pg_class'::regclass),
           array_agg(distinct objid) filter (where classid = 'pg_type'::regclass and tag = 'ALTER TYPE')
      into relations, types
      from pg_event_trigger_ddl_commands() where schema_name is distinct from 'pg_temp';
    if tag = 'ALTER SCHEMA' then
      relations := array(select c.oid from pg_event_trigger_ddl_commands() d join pg_class c on c.relnamespace = d.objid
        where d.classid = 'pg_namespace'::regclass and c.relkind in ('r', 'p'));
    end if;
  end if;
  if publications then
    relations := relations || pgwitness.tell_publications(tag);
  end if;
  if types is not null then
    was := pgwitness.look('enums', types);
    now := pgwitness.look_again('enums', types);
    types := array(select o.key::oid from jsonb_each(was) o join jsonb_each(now) n using (key)
       where exists (select from jsonb_each(o.value) ol join jsonb_each(n.value) nl using (key) where ol.value <> nl.value));
  end if;
  if relations is not null then
    types := types || pgwitness.tell_tables(tag, relations);
  end if;
  if types <> '{}' then
    perform pgwitness.tell_types(tag, types);
  end if;
end
$pgwitness$;
create or replace function pgwitness.tell_rewrite(tag text, relation oid, reasons int) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $pgwitness$
-- Tells that a table is about to be rewritten (AT_REWRITE_* in event_trigger.h). Another access method changes no value.
declare
  place jsonb;
begin
  select pgwitness.place(r.value) into place
    from (values (pgwitness.look('tables', array[relation])), (pgwitness.look_again('tables', array[relation]))) l (found)
   cross join jsonb_each(l.found) r
   where r.value->'members' <> '{}' limit 1;
  if place is not null and reasons <> 8 then
    perform pgwitness.say('rewrite', tag, place || jsonb_build_object('op', 'baseline_broken', 'reason', 'rewrite', 'rewrite',
      array_remove(array[
        case when reasons & 1 <> 0 then 'persistence' end, case when reasons & 2 <> 0 then 'default' end,
        case when reasons & 4 <> 0 then 'type' end, case when reasons & ~15 <> 0 then 'other' end], null)));
  end if;
end
$pgwitness$;
create or replace function pgwitness.on_ddl() returns event_trigger
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $pgwitness$
begin
  perform pgwitness.tell_ddl(tg_event, tg_tag);
exception when others then
  perform pgwitness.give_up(tg_tag, sqlstate, sqlerrm);
end
$pgwitness$;
create or replace function pgwitness.on_rewrite() returns event_trigger
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $pgwitness$
begin
  perform pgwitness.tell_rewrite(tg_tag, pg_event_trigger_table_rewrite_oid(), pg_event_trigger_table_rewrite_reason());
exception when others then
  perform pgwitness.give_up(tg_tag, sqlstate, sqlerrm);
end
$pgwitness$;
create event trigger pgwitness_rewrite on table_rewrite execute function pgwitness.on_rewrite();
alter event trigger pgwitness_rewrite enable always;
create event trigger pgwitness_ddl on ddl_command_end when tag in ('ALTER PUBLICATION', 'ALTER SCHEMA', 'ALTER TABLE', 'ALTER TYPE', 'CREATE PUBLICATION', 'CREATE SCHEMA', 'CREATE TABLE', 'CREATE TABLE AS', 'GRANT', 'REVOKE', 'SELECT INTO') execute function pgwitness.on_ddl();
alter event trigger pgwitness_ddl enable always;
create event trigger pgwitness_drop on sql_drop execute function pgwitness.on_ddl();
alter event trigger pgwitness_drop enable always;
commit;
\set ON_ERROR_STOP on

-- Nobody else tells the trail such things, or for whom a transaction acts. An application that writes logical
-- messages of its own needs a grant to its role.
-- Needs: superuser.
\set ON_ERROR_STOP off
begin;
revoke execute on function pg_logical_emit_message(boolean, text, text, boolean), pg_logical_emit_message(boolean, text, bytea, boolean) from public;
commit;
\set ON_ERROR_STOP on

-- set_actor: an application says in its transaction for whom it acts. Nobody may call it without a grant
-- (--context-roles).
-- Needs: the owner of schema pgwitness; what contexts say is verified if that is a superuser.
\set ON_ERROR_STOP off
begin;
create or replace function pgwitness.set_actor(context jsonb) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $pgwitness$
-- Says for whom this transaction acts from here on; null: for nobody any more. The log gets the words, and of the session
-- what its user cannot choose. When it began stays out: reading that costs more than all of this. Assignments are
-- quicker than queries (exec_simple_check_plan in pl_exec.c).
declare
  address constant text := host(inet_client_addr());
  size constant int := octet_length(context::text);
  told pg_lsn;
begin
  if jsonb_typeof(context) not in ('object', 'null') then
    raise exception 'set_actor wants a JSON object such as {"user_id": "u_42"}, or null: not a JSON %', jsonb_typeof(context)
      using errcode = 'invalid_parameter_value';
  end if;
  if size > 8192 then
    raise exception 'set_actor takes 8192 bytes at most: the object has %', size
      using errcode = 'program_limit_exceeded', hint = 'It is repeated with every change of the transaction.';
  end if;
  told := pg_logical_emit_message(true, 'pgwitness', json_build_object(
    'v', 1, 'user', session_user, 'pid', pg_backend_pid(), 'application', current_setting('application_name'),
    'client', case when strpos(address, ':') > 0 then '[' || address || ']' else address end || ':' || inet_client_port(),
    'context', context)::text);
  -- A message stands in the stream where its record ends, a row where its record begins (logicalmsg_decode in decode.c):
  -- behind a savepoint that ends here, the next row could come before it.
  told := pg_logical_emit_message(true, 'pgwitness.end', '');
end
$pgwitness$;
create or replace function pgwitness.set_actor(user_id text, reason text default null::text, ticket text default null::text, request_id text default null::text, approval text default null::text) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $pgwitness$
-- The same for the usual words. What is null stays out. A literal without a type is text: set_actor('{"user_id": "u_42"}')
-- comes here, and means the object.
declare
  words jsonb;
begin
  if coalesce(reason, ticket, request_id, approval) is not null then
    words := jsonb_strip_nulls(jsonb_build_object(
      'user_id', user_id, 'reason', reason, 'ticket', ticket, 'request_id', request_id, 'approval', approval));
  elsif left(ltrim(user_id, ' ' || chr(9) || chr(10) || chr(13)), 1) = '{' then
    words := user_id::jsonb;
  elsif user_id is not null then
    words := jsonb_build_object('user_id', user_id);
  end if;
  perform pgwitness.set_actor(words);
end
$pgwitness$;
revoke execute on function pgwitness.set_actor(jsonb), pgwitness.set_actor(text, text, text, text, text) from public;
commit;
\set ON_ERROR_STOP on

-- The slot: from now on the server keeps its log until pgwitness has delivered it. It waits for the
-- transactions that run now to end.
-- Needs: superuser, or a role with REPLICATION.
set lock_timeout = 0;
select pg_create_logical_replication_slot('pgwitness', 'pgoutput');
