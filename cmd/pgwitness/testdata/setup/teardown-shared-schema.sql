note: PUBLIC may not call pg_logical_emit_message any more: grant it where an application writes messages
-- pgwitness teardown, database shop, PostgreSQL 18.1.
-- Run it with psql as it stands, or let `pgwitness teardown --apply` do it. What is done is not printed again.

\set ON_ERROR_STOP on
set synchronous_commit = local;
set search_path = '';
set standard_conforming_strings = on;
set lock_timeout = '5000ms';

-- The event triggers, and their functions.
-- Needs: superuser.
drop function pgwitness.say;

-- set_actor. Applications that call it fail from now on.
-- Needs: the owner of the functions.
drop function pgwitness.set_actor(jsonb), pgwitness.set_actor(text, text, text, text, text);
