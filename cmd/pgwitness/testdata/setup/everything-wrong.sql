note: role pgwitness is a superuser: more than pgwitness needs
note: publication pgwitness is FOR ALL TABLES: updates and deletes fail on tables without a replica identity
wrong: the server is a standby
  mend: run setup against the primary
wrong: wal_level is replica: the log carries no rows
  mend: alter system set wal_level = 'logical';  -- then restart the server
wrong: failover slots need PostgreSQL 17; this is 16.1
  mend: leave --failover out
wrong: publication pgwitness leaves verbs out: it publishes insert
  mend: alter publication "pgwitness" set (publish = 'insert, update, delete, truncate');
wrong: publication pgwitness has publish_via_partition_root: a TRUNCATE of one partition would be lost
  mend: alter publication "pgwitness" set (publish_via_partition_root = false);
wrong: publication pgwitness has a row filter on billing.invoice: changes would be missing
  mend: begin; alter publication "pgwitness" drop table only "billing"."invoice"; alter publication "pgwitness" add table only "billing"."invoice"; commit;
wrong: publication pgwitness has a column list on billing.invoice: columns would be missing
  mend: begin; alter publication "pgwitness" drop table only "billing"."invoice"; alter publication "pgwitness" add table only "billing"."invoice"; commit;
wrong: slot pgwitness belongs to the output plugin wal2json\x1b; pgoutput is needed
  mend: choose another name with --slot
-- pgwitness setup, database shop, PostgreSQL 16.1.
-- Run it with psql as it stands, or let `pgwitness setup --apply` do it. What is done is not printed again.
-- Already as it should be: 8 of 11 parts.

\set ON_ERROR_STOP on
set synchronous_commit = local;
set search_path = '';
set standard_conforming_strings = on;
set lock_timeout = '5000ms';

-- It sees who is connected: which session made which change.
-- Needs: superuser, or the ADMIN option on pg_read_all_stats; up to 15, a role with CREATEROLE.
grant pg_read_all_stats to "pgwitness";

-- It may connect to this database.
-- Needs: the owner of the database.
grant connect on database "shop" to "pgwitness";

-- Replica identity full: the log carries the whole row as it was before a change.
-- Needs: the owner of the table.
alter table only "billing"."invoice" replica identity full;
