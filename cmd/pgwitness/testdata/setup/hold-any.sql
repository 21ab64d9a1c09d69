wrong: synchronous_standby_names (ANY 1 (a, b)) cannot say that every commit waits for the witness: it is ANY 1: others answer in our place
  mend: alter system set synchronous_standby_names = 'FIRST 2 ("a", "b")'; select pg_reload_conf();  -- or list what has to answer
-- pgwitness setup, database shop, PostgreSQL 18.1.
-- Run it with psql as it stands, or let `pgwitness setup --apply` do it. What is done is not printed again.
-- Already as it should be: 11 of 13 parts.

\set ON_ERROR_STOP on
set synchronous_commit = local;
set search_path = '';
set standard_conforming_strings = on;
set lock_timeout = '5000ms';

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
