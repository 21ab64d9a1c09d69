package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
)

// ownSchema is where setup keeps functions of its own; it is never part of the trail.
const ownSchema = "pgwitness"

// A survey is what a source's catalogue says about everything that setup makes, check judges and teardown removes.
type survey struct {
	version     int // server_version_num
	versionText string
	database    string
	recovery    bool
	walLevel    string
	anyConnect  bool      // PUBLIC may connect to the database
	me          roleState // the session's own role
	role        *roleState
	tables      []*table // of all schemas but the system's, sorted by name
	publication *publication
	slot        *slot
	triggers    triggerState
	actor       actorState
	hold        holdState
	follow      followState
	schemas     map[string]bool
	named       map[string]bool // roles that were asked for, if they exist
}

// A roleState is a role and what it may do.
type roleState struct {
	name                          string
	superuser, login, replication bool
	createRole, createDB          bool     // createDB: CREATE on this database
	readStats, connect, granted   bool     // granted: has rights of its own on this database
	setStandbys, reload           bool     // may change synchronous_standby_names by ALTER SYSTEM; may call pg_reload_conf
	grantedHold                   []string // grants of its own to that end, as REVOKE names them
}

// A table is a relation that a publication may, or may not, list.
type table struct {
	oid, parent     uint32 // parent: of a partition
	schema, name    string
	kind            string // relkind: r p f v m
	persistence     string // relpersistence: p u
	identity        string // relreplident: d n f i
	owned           bool   // by the session's role, or a role that it is a member of
	primaryKey      bool
	identityIndex   bool
	extension       bool     // it belongs to one
	stored, virtual []string // its generated columns, by kind

	listed            bool // in the publication, by name
	filtered, columns bool // there, with a row filter or a column list
	published         bool // in the publication, by whatever way

	// From 18: with generated columns, other publications of updates or deletes that leave such columns out. Under
	// FULL they make every update fail in the application.
	publishedElsewhere string

	in       *table   // a partition's parent
	children []*table // partitions
}

func (t *table) String() string { return displayName(t.schema, t.name) }

// A publication is a row of pg_publication.
type publication struct {
	owned, allTables                 bool
	insert, update, delete, truncate bool
	viaRoot                          bool
	generated                        bool // publish_generated_columns = stored
	schemas                          []string
}

// A slot is a row of pg_replication_slots.
type slot struct {
	kind, plugin, database     string
	temporary, active          bool
	failover, twoPhase         bool
	walStatus, invalidation    string
	restart, confirmed         string // as pg_lsn's text
	retainedBytes, behindBytes int64
	now                        pglogrepl.LSN // the server's position
	pid                        int           // of the holder, 0 without one
	holder                     string        // "pid 4711 (pgwitness, role pgwitness, 10.0.0.7)"
}

// takeSurvey reads the catalogue, and which of the named roles exist. It changes nothing and takes no lock that anybody could notice.
func takeSurvey(ctx context.Context, conn *pgx.Conn, cfg *config, role string, named ...string) (*survey, error) {
	s := &survey{}
	for _, part := range []struct {
		what string
		read func() error
	}{
		{"server settings", func() error { return s.readServer(ctx, conn) }},
		{"role", func() error { return s.readRoles(ctx, conn, role) }},
		{"roles", func() error { return s.readNamed(ctx, conn, named) }},
		{"publication", func() error { return s.readPublication(ctx, conn, cfg.Source.Publication) }},
		{"tables", func() error { return s.readTables(ctx, conn, cfg.Source.Publication) }},
		{"slot", func() error { return s.readSlot(ctx, conn, cfg.Source.Slot) }},
		{"event triggers", func() error { return s.readTriggers(ctx, conn) }},
		{"schemas", func() error { return s.readSchemas(ctx, conn) }},
		{"event trigger for new tables", func() error { return s.readFollow(ctx, conn) }},
		{"set_actor", func() error { return s.readActor(ctx, conn) }},
		{"hold settings", func() error { return s.readHold(ctx, conn, cfg.Source.Slot) }},
	} {
		if err := part.read(); err != nil {
			return nil, fmt.Errorf("read the source's %s: %w", part.what, err)
		}
	}
	return s, nil
}

func (s *survey) readServer(ctx context.Context, conn *pgx.Conn) error {
	return conn.QueryRow(ctx, `
		select current_setting('server_version_num')::int, current_setting('server_version'), current_database(),
		       pg_is_in_recovery(), current_setting('wal_level'),
		       has_database_privilege('public', current_database(), 'CONNECT')`,
	).Scan(&s.version, &s.versionText, &s.database, &s.recovery, &s.walLevel, &s.anyConnect)
}

func (s *survey) readNamed(ctx context.Context, conn *pgx.Conn, named []string) error {
	s.named = map[string]bool{}
	rows, err := conn.Query(ctx, "select rolname::text from pg_roles where rolname = any ($1)", named)
	if err != nil {
		return err
	}
	var name string
	_, err = pgx.ForEachRow(rows, []any{&name}, func() error { s.named[name] = true; return nil })
	return err
}

func (s *survey) readSchemas(ctx context.Context, conn *pgx.Conn) error {
	s.schemas = map[string]bool{}
	rows, err := conn.Query(ctx, "select nspname::text from pg_namespace")
	if err != nil {
		return err
	}
	var name string
	_, err = pgx.ForEachRow(rows, []any{&name}, func() error { s.schemas[name] = true; return nil })
	return err
}

func (s *survey) readRoles(ctx context.Context, conn *pgx.Conn, role string) error {
	// Up to 14 ALTER SYSTEM is for superusers alone.
	setStandbys, grantedStandbys := "rolsuper", "null"
	if s.version >= 150000 {
		setStandbys = "has_parameter_privilege(r.oid, 'synchronous_standby_names', 'ALTER SYSTEM')"
		grantedStandbys = `(select 'alter system on parameter synchronous_standby_names' from pg_parameter_acl p cross join aclexplode(p.paracl) a
		       where p.parname = 'synchronous_standby_names' and a.grantee = r.oid and a.privilege_type = 'ALTER SYSTEM')`
	}
	rows, err := conn.Query(ctx, `
		select rolname::text, rolname = current_user, rolsuper, rolcanlogin, rolreplication, rolcreaterole,
		       has_database_privilege(r.oid, current_database(), 'CREATE'), pg_has_role(r.oid, 'pg_read_all_stats', 'USAGE'),
		       has_database_privilege(r.oid, current_database(), 'CONNECT'),
		       exists (select from pg_database d, aclexplode(d.datacl) a where d.datname = current_database() and a.grantee = r.oid),
		       `+setStandbys+`, has_function_privilege(r.oid, 'pg_catalog.pg_reload_conf()', 'EXECUTE'),
		       array_remove(array[`+grantedStandbys+`,
		         (select 'execute on function pg_catalog.pg_reload_conf()' from pg_proc p cross join aclexplode(p.proacl) a
		           where p.oid = 'pg_catalog.pg_reload_conf()'::regprocedure and a.grantee = r.oid and a.grantee <> p.proowner)], null)
		  from pg_roles r where rolname in ($1, current_user)`, role)
	if err != nil {
		return err
	}
	var r roleState
	var me bool
	_, err = pgx.ForEachRow(rows, []any{&r.name, &me, &r.superuser, &r.login, &r.replication, &r.createRole,
		&r.createDB, &r.readStats, &r.connect, &r.granted, &r.setStandbys, &r.reload, &r.grantedHold}, func() error {
		if me {
			s.me = r
		}
		if r.name == role {
			found := r
			s.role = &found
		}
		return nil
	})
	return err
}

// The catalogues of the versions differ; a row as jsonb lacks the column where the server lacks it.
func (s *survey) readPublication(ctx context.Context, conn *pgx.Conn, name string) error {
	var p publication
	err := conn.QueryRow(ctx, `
		select pg_has_role(pubowner, 'USAGE'), puballtables, pubinsert, pubupdate, pubdelete, pubtruncate, pubviaroot,
		       coalesce(to_jsonb(p)->>'pubgencols' = 's', false)
		  from pg_publication p where pubname = $1`, name,
	).Scan(&p.owned, &p.allTables, &p.insert, &p.update, &p.delete, &p.truncate, &p.viaRoot, &p.generated)
	if err == pgx.ErrNoRows {
		return nil
	}
	if err != nil {
		return err
	}
	s.publication = &p
	if s.version < 150000 {
		return nil
	}
	rows, err := conn.Query(ctx, `
		select n.nspname::text from pg_publication p
		  join pg_publication_namespace pn on pn.pnpubid = p.oid join pg_namespace n on n.oid = pn.pnnspid
		 where pubname = $1 order by 1`, name)
	if err != nil {
		return err
	}
	p.schemas, err = pgx.CollectRows(rows, pgx.RowTo[string])
	return err
}

func (s *survey) readTables(ctx context.Context, conn *pgx.Conn, publication string) error {
	rows, err := conn.Query(ctx, `
		select c.oid, coalesce((select inhparent from pg_inherits where inhrelid = c.oid and c.relispartition), 0),
		       n.nspname::text, c.relname::text, c.relkind::text, c.relpersistence::text, c.relreplident::text,
		       pg_has_role(c.relowner, 'USAGE'),
		       exists (select from pg_index where indrelid = c.oid and indisprimary),
		       exists (select from pg_index where indrelid = c.oid and indisreplident),
		       exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e'),
		       array(select attname::text from pg_attribute where attrelid = c.oid and attgenerated = 's' and not attisdropped order by attnum),
		       array(select attname::text from pg_attribute where attrelid = c.oid and attgenerated = 'v' and not attisdropped order by attnum),
		       r.prrelid is not null, coalesce(to_jsonb(r)->>'prqual' is not null, false),
		       coalesce(to_jsonb(r)->>'prattrs' is not null, false),
		       coalesce(case when exists (select from pg_attribute where attrelid = c.oid and attgenerated <> '') then
		         (select string_agg(p.pubname, ', ' order by p.pubname)
		            from pg_publication_tables t join pg_publication p using (pubname)
		           where t.schemaname = n.nspname and t.tablename = c.relname and p.pubname <> $1
		             and (p.pubupdate or p.pubdelete) and to_jsonb(p)->>'pubgencols' = 'n') end, '')
		  from pg_class c join pg_namespace n on n.oid = c.relnamespace
		  left join pg_publication_rel r
		    on r.prrelid = c.oid and r.prpubid = (select oid from pg_publication where pubname = $1)
		 where c.relkind in ('r', 'p', 'f', 'v', 'm') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
		 order by n.nspname collate "C", c.relname collate "C"`, publication)
	if err != nil {
		return err
	}
	s.tables, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (*table, error) {
		var t table
		return &t, row.Scan(&t.oid, &t.parent, &t.schema, &t.name, &t.kind, &t.persistence, &t.identity, &t.owned,
			&t.primaryKey, &t.identityIndex, &t.extension, &t.stored, &t.virtual, &t.listed, &t.filtered, &t.columns,
			&t.publishedElsewhere)
	})
	s.link()
	return err
}

// link joins partitions to their parents and derives which tables are published.
func (s *survey) link() {
	byOid := map[uint32]*table{}
	for _, t := range s.tables {
		byOid[t.oid] = t
	}
	for _, t := range s.tables {
		if parent := byOid[t.parent]; parent != nil {
			t.in = parent
			parent.children = append(parent.children, t)
		}
	}
	for _, t := range s.tables {
		if s.publication == nil || !publishable(t) {
			continue
		}
		if t.listed || s.publication.allTables || slices.Contains(s.publication.schemas, t.schema) {
			markPublished(t)
		}
	}
}

// root is the partitioned table at the top, or the table itself.
func (t *table) root() *table {
	for t.in != nil {
		t = t.in
	}
	return t
}

// markPublished marks a table and, with it, its partitions: they are published through their parent.
func markPublished(t *table) {
	t.published = true
	for _, child := range t.children {
		if publishable(child) {
			markPublished(child)
		}
	}
}

// publishable is PostgreSQL's rule (is_publishable_class in pg_publication.c).
func publishable(t *table) bool {
	return (t.kind == "r" || t.kind == "p") && t.persistence == "p"
}

func (s *survey) readSlot(ctx context.Context, conn *pgx.Conn, name string) (err error) {
	s.slot, err = findSlot(ctx, conn, name)
	return err
}

// findSlot returns nil where there is none of that name.
func findSlot(ctx context.Context, conn *pgx.Conn, name string) (*slot, error) {
	var k slot
	err := conn.QueryRow(ctx, `
		select slot_type, coalesce(plugin::text, ''), coalesce(s.database::text, ''), temporary, active,
		       coalesce((to_jsonb(s)->>'failover')::bool, false), coalesce((to_jsonb(s)->>'two_phase')::bool, false),
		       coalesce(wal_status, ''), coalesce(to_jsonb(s)->>'invalidation_reason', ''),
		       coalesce(restart_lsn::text, ''), coalesce(confirmed_flush_lsn::text, ''),
		       coalesce(pg_wal_lsn_diff(pos.now, restart_lsn), 0)::bigint,
		       coalesce(pg_wal_lsn_diff(pos.now, confirmed_flush_lsn), 0)::bigint,
		       coalesce('pid ' || active_pid || coalesce(' (' || concat_ws(', ', 'application ' || nullif(a.application_name, ''),
		         'role ' || a.usename, 'from ' || host(a.client_addr)) || ')', ''), ''),
		       coalesce(active_pid, 0), coalesce(pos.now, '0/0')
		  from pg_replication_slots s
		 cross join (select case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end as now) pos
		  left join pg_stat_activity a on a.pid = active_pid
		 where slot_name = $1`, name,
	).Scan(&k.kind, &k.plugin, &k.database, &k.temporary, &k.active, &k.failover, &k.twoPhase, &k.walStatus,
		&k.invalidation, &k.restart, &k.confirmed, &k.retainedBytes, &k.behindBytes, &k.holder, &k.pid, &k.now)
	if err == pgx.ErrNoRows {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &k, nil
}
