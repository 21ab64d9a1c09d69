note: up to PostgreSQL 14 only a superuser may change synchronous_standby_names: the run cannot give hold up by itself: when it cannot answer, commits wait until somebody runs pgwitness hold off
-- pgwitness setup, database shop, PostgreSQL 14.1.
-- Run it with psql as it stands, or let `pgwitness setup --apply` do it. What is done is not printed again.
-- Already as it should be: 11 of 12 parts.

\set ON_ERROR_STOP on
set synchronous_commit = local;
set search_path = '';
set standard_conforming_strings = on;
set lock_timeout = '5000ms';

-- Hold: from now on the commits of the whole cluster, in every database, wait until pgwitness has seen whose they
-- are. While it is away they hang; `pgwitness hold off` frees them.
-- Needs: superuser; from 15 on, a role with ALTER SYSTEM on synchronous_standby_names and EXECUTE on pg_reload_conf.
alter system set synchronous_standby_names = 'FIRST 1 ("pgwitness_witness")';
select pg_reload_conf();
