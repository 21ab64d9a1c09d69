note: role pgwitness gets no password: give it one with psql's \password, or allow it in pg_hba.conf without
wrong: role "o""dd" does not exist
  mend: create it, or leave it out
-- pgwitness setup, database shop, PostgreSQL 18.1.
-- Run it with psql as it stands, or let `pgwitness setup --apply` do it. What is done is not printed again.
-- Already as it should be: 4 of 13 parts.

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
revoke execute on function pgwitness.set_actor(jsonb), pgwitness.set_actor(text, text, text, text, text) from public;
commit;
\set ON_ERROR_STOP on

-- Roles that may call it.
-- Needs: superuser, or the owner of the functions.
grant usage on schema pgwitness to "batch";
grant execute on function pgwitness.set_actor(jsonb), pgwitness.set_actor(text, text, text, text, text) to "batch";
grant usage on schema pgwitness to "o""dd";
grant execute on function pgwitness.set_actor(jsonb), pgwitness.set_actor(text, text, text, text, text) to "o""dd";

-- The slot: from now on the server keeps its log until pgwitness has delivered it. It waits for the
-- transactions that run now to end.
-- Needs: superuser, or a role with REPLICATION.
set lock_timeout = 0;
select pg_create_logical_replication_slot('pgwitness', 'pgoutput');
