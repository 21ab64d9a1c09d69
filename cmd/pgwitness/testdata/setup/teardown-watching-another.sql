-- pgwitness teardown, database shop, PostgreSQL 18.1.
-- Run it with psql as it stands, or let `pgwitness teardown --apply` do it. What is done is not printed again.

\set ON_ERROR_STOP on
set synchronous_commit = local;
set search_path = '';
set standard_conforming_strings = on;
set lock_timeout = '5000ms';

-- The event triggers watch other publications as well, and stay.
-- Needs: superuser.
create or replace function pgwitness.publications() returns name[]
language sql stable
set search_path = pg_catalog, pg_temp
as $pgwitness$
select array(select jsonb_array_elements_text($list$["another"]$list$)::name)
$pgwitness$;
