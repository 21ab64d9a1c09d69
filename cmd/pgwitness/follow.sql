create or replace function pgwitness.follows() returns jsonb
language sql stable
set search_path = pg_catalog, pg_temp
as $pgwitness$
select $list${}$list$::jsonb
$pgwitness$;

create or replace function pgwitness.take_up(relation oid, publication name, enlist bool, tag text) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set lock_timeout = 5000
as $pgwitness$
-- Gives a table the replica identity that setup would, and lists it in the publication if that is asked for. Whatever goes
-- wrong, the statement goes on: that the table is not witnessed is a WARNING, and stands in the trail.
declare
  version constant int := current_setting('server_version_num');
  target record;
  pub record;
  why text;
begin
  select c.oid::regclass::text as name, c.relreplident, c.relnamespace,
         exists (select from pg_index where indrelid = c.oid and indisprimary) as keyed,
         exists (select from pg_attribute where attrelid = c.oid and attgenerated = 'v' and not attisdropped) as virtual,
         exists (select from pg_attribute where attrelid = c.oid and attgenerated = 's' and not attisdropped) as stored
    into target
    from pg_class c
   where c.oid = relation and c.relkind in ('r', 'p') and c.relpersistence = 'p'
     and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e');
  if not found then
    return;
  end if;
  select p.oid, p.puballtables, to_jsonb(p)->>'pubgencols' as generated into pub from pg_publication p where p.pubname = publication;
  if not found then
    raise 'publication % does not exist', quote_ident(publication);
  end if;
  if version >= 180000 and (target.virtual or target.stored) then
    if target.virtual and not target.keyed then
      raise 'it has a virtual generated column and no primary key: its updates would fail';
    end if;
    select string_agg(quote_ident(p.pubname), ', ') into why
      from pg_publication_tables t join pg_publication p using (pubname) join pg_class c on c.oid = relation
     where t.schemaname = c.relnamespace::regnamespace::name and t.tablename = c.relname and p.pubname <> publication
       and (p.pubupdate or p.pubdelete) and to_jsonb(p)->>'pubgencols' = 'n';
    if why is not null and not target.virtual then
      raise 'it has a generated column, which publication % leaves out: its updates would fail', why;
    end if;
    if target.stored and pub.generated is distinct from 's' then
      execute format('alter publication %I set (publish_generated_columns = stored)', publication);
    end if;
  end if;
  if target.relreplident <> 'f' and not target.virtual then
    execute format('alter table only %s replica identity full', target.name);
  end if;
  if not enlist or pub.puballtables or exists (select from pg_publication_rel where prpubid = pub.oid and prrelid = relation) then
    return;
  end if;
  if version >= 150000 then
    if exists (select from pg_publication_namespace where pnpubid = pub.oid and pnnspid = target.relnamespace) then
      return;
    end if;
  end if;
  execute format('alter publication %I add table only %s', publication, target.name);
exception when others then
  raise warning 'pgwitness does not witness table %: %', coalesce(target.name, relation::text), sqlerrm
    using hint = 'Mend that, and run pgwitness setup --apply with this table in --tables.';
  begin
    perform pgwitness.say('ddl', tag, jsonb_build_object('op', 'unexamined', 'sqlstate', sqlstate));
  exception when others then
    raise warning 'pgwitness could not tell the trail of %: %', tag, sqlerrm;
  end;
end
$pgwitness$;

create or replace function pgwitness.on_follow() returns event_trigger
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $pgwitness$
-- Takes up the tables that have come into the schemas that are followed, or into the publication, by this statement: it
-- compares what the statement saw with what it made. What was there already is left as its operator has it. Stable, so
-- that look has the statement's own snapshot; take_up is not.
declare
  relations oid[];
  was jsonb;
  now jsonb;
  entry record;
begin
  select array_agg(distinct objid) into relations
    from pg_event_trigger_ddl_commands()
   where classid = 'pg_class'::regclass and object_type = 'table' and not in_extension and schema_name is distinct from 'pg_temp';
  if relations is null then
    return;
  end if;
  was := pgwitness.look('tables', relations);
  now := pgwitness.look_again('tables', relations || array(select jsonb_object_keys(was)::oid));
  was := pgwitness.look('tables', relations || array(select jsonb_object_keys(now)::oid));
  for entry in
    select n.key::oid as relation, f.key::name as publication, chosen.now as enlist
      from jsonb_each(now) n left join jsonb_each(was) w using (key)
      left join pg_class c on c.oid = n.key::oid -- as it was
     cross join jsonb_each(pgwitness.follows()) f
     cross join lateral (select n.value->>'schema' <> 'pgwitness' and (f.value = '[]' or f.value ? (n.value->>'schema')) as now,
                                c.relpersistence = 'p' and (f.value = '[]' or f.value ? (w.value->>'schema')) as was) chosen
     where n.value->>'kind' in ('r', 'p')
       and (chosen.now and chosen.was is not true or n.value->'members' ? f.key and (w.value->'members' ? f.key) is not true)
     order by 1, 2
  loop
    perform pgwitness.take_up(entry.relation, entry.publication, entry.enlist, tg_tag);
  end loop;
exception when others then
  perform pgwitness.give_up(tg_tag, sqlstate, sqlerrm);
end
$pgwitness$;
