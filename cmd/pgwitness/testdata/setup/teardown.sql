note: what slot pgwitness has not delivered, 118 MB of log, is not delivered any more
note: PUBLIC may not call pg_logical_emit_message any more: grant it where an application writes messages
-- pgwitness teardown, database shop, PostgreSQL 18.1.
-- Run it with psql as it stands, or let `pgwitness teardown --apply` do it. What is done is not printed again.

\set ON_ERROR_STOP on
set synchronous_commit = local;
set search_path = '';
set standard_conforming_strings = on;
set lock_timeout = '5000ms';

-- The slot: the server keeps no log for it any more. The trail ends here.
-- Needs: superuser, or a role with REPLICATION.
select pg_drop_replication_slot('pgwitness');

-- The event triggers, and their functions.
-- Needs: superuser.
drop event trigger pgwitness_rewrite;
drop event trigger pgwitness_ddl;
drop event trigger pgwitness_drop;
drop function pgwitness.on_rewrite;
drop function pgwitness.on_ddl;
drop function pgwitness.tell_rewrite;
drop function pgwitness.tell_ddl;
drop function pgwitness.tell_types;
drop function pgwitness.tell_tables;
drop function pgwitness.tell_publications;
drop function pgwitness.give_up;
drop function pgwitness.say;
drop function pgwitness.made_of;
drop function pgwitness.table_changes;
drop function pgwitness.columns;
drop function pgwitness.place;
drop function pgwitness.differences;
drop function pgwitness.look_again;
drop function pgwitness.look;
drop function pgwitness.publications;

-- set_actor. Applications that call it fail from now on.
-- Needs: the owner of the functions.
drop function pgwitness.set_actor(jsonb), pgwitness.set_actor(text, text, text, text, text);

-- The schema, which is empty now.
-- Needs: the owner of the schema.
drop schema pgwitness;

-- The publication. Without it a slot that still existed could not be read any more.
-- Needs: the owner of the publication.
drop publication "pgwitness";
