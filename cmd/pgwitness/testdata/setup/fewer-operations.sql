note: role pgwitness gets no password: give it one with psql's \password, or allow it in pg_hba.conf without
-- pgwitness setup, database shop, PostgreSQL 17.1.
-- Run it with psql as it stands, or let `pgwitness setup --apply` do it. What is done is not printed again.
-- Already as it should be: 4 of 10 parts.

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

-- The publication says what is captured: insert, delete alone, each partition under its own name. It lists tables by
-- name; FOR ALL TABLES would make updates fail on every later table without a key.
-- Needs: CREATE on the database.
create publication "pgwitness" with (publish = 'insert, delete', publish_via_partition_root = false);

-- Replica identity full: the log carries the whole row as it was before a change.
-- Needs: the owner of the table.
alter table only "billing"."invoice" replica identity full;

-- The tables, by name.
-- Needs: the owner of the table and of the publication.
alter publication "pgwitness" add table only "billing"."invoice";

-- The slot: from now on the server keeps its log until pgwitness has delivered it. It waits for the
-- transactions that run now to end.
-- Needs: superuser, or a role with REPLICATION.
set lock_timeout = 0;
select pg_create_logical_replication_slot('pgwitness', 'pgoutput');
