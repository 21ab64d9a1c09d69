note: left out: public.events_far: a foreign table: its rows are not in this server's log
note: left out: public.remote: a foreign table: its rows are not in this server's log
note: left out: public.scratch: unlogged: its rows are not in the log
note: left out: public.virtual_keyless: it has a virtual generated column, which no replica identity can contain, and no primary key: its updates would fail
note: left out: public.elsewhere: it has a generated column and is in publication reporting too, which leaves such columns out: with replica identity full its updates would fail; set publish_generated_columns there
note: public.virtual has a virtual generated column: its old rows carry the key only
note: role pgwitness gets no password: give it one with psql's \password, or allow it in pg_hba.conf without
-- pgwitness setup, database shop, PostgreSQL 18.1.
-- Run it with psql as it stands, or let `pgwitness setup --apply` do it. What is done is not printed again.
-- Already as it should be: 5 of 22 parts.

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
create publication "pgwitness" with (publish = 'insert, update, delete, truncate', publish_via_partition_root = false, publish_generated_columns = stored);

-- Replica identity full: the log carries the whole row as it was before a change.
-- Needs: the owner of the table.
alter table only "My Schema".U&"evil""; drop table x; --\000A\001B[2J" replica identity full;
alter table only "billing"."invoice" replica identity full;
alter table only "public"."events" replica identity full;
alter table only "public"."events_1" replica identity full;
alter table only "public"."stored" replica identity full;

-- A virtual generated column cannot be part of an identity: old rows carry the key only.
-- Needs: the owner of the table.
alter table only "public"."virtual" replica identity default;

-- The tables, by name.
-- Needs: the owner of the table and of the publication.
alter publication "pgwitness" add table only "My Schema".U&"evil""; drop table x; --\000A\001B[2J";
alter publication "pgwitness" add table only "billing"."invoice";
alter publication "pgwitness" add table only "public"."events";
alter publication "pgwitness" add table only "public"."events_1";
alter publication "pgwitness" add table only "public"."full_already";
alter publication "pgwitness" add table only "public"."stored";
alter publication "pgwitness" add table only "public"."virtual";

-- The slot: from now on the server keeps its log until pgwitness has delivered it. It waits for the
-- transactions that run now to end.
-- Needs: superuser, or a role with REPLICATION.
set lock_timeout = 0;
select pg_create_logical_replication_slot('pgwitness', 'pgoutput');
