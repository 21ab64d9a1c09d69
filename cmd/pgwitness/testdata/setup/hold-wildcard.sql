wrong: synchronous_standby_names (*) cannot say that every commit waits for the witness: it holds *: any standby answers in our place
  mend: alter system set synchronous_standby_names = ''; select pg_reload_conf();  -- or list what has to answer
-- pgwitness setup, database shop, PostgreSQL 18.1.
-- Run it with psql as it stands, or let `pgwitness setup --apply` do it. What is done is not printed again.
-- Already as it should be: 10 of 13 parts.

\set ON_ERROR_STOP on
set synchronous_commit = local;
set search_path = '';
set standard_conforming_strings = on;
set lock_timeout = '5000ms';

-- The witness's slot: the server keeps its log until the witness has seen it, so that no commit passes unseen.
-- Needs: superuser, or a role with REPLICATION.
select pg_create_physical_replication_slot('pgwitness_witness', true);

-- The run may give hold up when it cannot answer, and take it up again.
-- Needs: superuser.
\set ON_ERROR_STOP off
begin;
grant alter system on parameter synchronous_standby_names to "pgwitness";
commit;
\set ON_ERROR_STOP on
\set ON_ERROR_STOP off
begin;
grant execute on function pg_catalog.pg_reload_conf() to "pgwitness";
commit;
\set ON_ERROR_STOP on
