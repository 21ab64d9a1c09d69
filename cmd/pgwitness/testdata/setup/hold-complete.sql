note: role app has synchronous_commit = on in this database, which is stronger: there its commits wait
note: role app is not held and may not call set_actor: nobody would know who acts (--context-roles)
-- pgwitness setup, database shop, PostgreSQL 18.1.
-- Run it with psql as it stands, or let `pgwitness setup --apply` do it. What is done is not printed again.
-- Already as it should be: 15 of 15 parts.
-- Nothing is left to do.
