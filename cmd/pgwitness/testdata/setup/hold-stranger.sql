wrong: pid 99 streams as pgwitness_witness and does not read that slot: it would answer in the witness's place
  mend: stop it, or give it another application_name
-- pgwitness setup, database shop, PostgreSQL 18.1.
-- Run it with psql as it stands, or let `pgwitness setup --apply` do it. What is done is not printed again.
-- Already as it should be: 10 of 14 parts.

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

-- Hold: from now on the commits of the whole cluster, in every database, wait until pgwitness has seen whose they
-- are. While it is away they hang; `pgwitness hold off` frees them.
-- Needs: superuser; from 15 on, a role with ALTER SYSTEM on synchronous_standby_names and EXECUTE on pg_reload_conf.
-- Not yet: nobody streams as pgwitness_witness, and every commit would hang.
-- So no commit waits for the witness yet: start pgwitness run --hold, then run pgwitness setup --hold again. It will be:
-- alter system set synchronous_standby_names = 'FIRST 1 ("pgwitness_witness")';
-- select pg_reload_conf();
