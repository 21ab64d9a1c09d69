package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// revokeMessages takes the right to write logical messages from a role, or "public" (signatures: pg_proc.dat of 14 and 17).
func revokeMessages(version int, from string) string {
	last := ""
	if version >= 170000 {
		last = ", boolean"
	}
	return fmt.Sprintf("revoke execute on function pg_logical_emit_message(boolean, text, text%s), pg_logical_emit_message(boolean, text, bytea%s) from %s", last, last, from)
}

// role judges whether the role may do what it has to.
func (f *findings) role(s *survey) {
	me := quoteIdent(s.me.name)
	switch {
	case s.me.superuser:
		f.ok(aboutRole, "%s may replicate: it is a superuser", displayPart(s.me.name))
	case !s.me.replication:
		f.wrong(aboutRole, "alter role "+me+" replication;", "%s lacks REPLICATION: it cannot read the slot", displayPart(s.me.name))
	default:
		f.ok(aboutRole, "%s may replicate", displayPart(s.me.name))
	}
	if !s.me.readStats {
		f.warn(aboutRoleStats, "grant pg_read_all_stats to "+me+";", "%s is no member of pg_read_all_stats: of other roles' sessions it sees no address", displayPart(s.me.name))
	} else {
		f.ok(aboutRoleStats, "%s sees other roles' sessions", displayPart(s.me.name))
	}
}

// rolePowers is what the role may do and need not.
type rolePowers struct {
	createRole, createDB, bypassRLS bool
	member                          []string // of roles that can do more than it should
	writes, reads, owns             []string // tables
}

// strongRoles are predefined ones (predefined-roles in the manual, 14 to 18) that reach beyond what pgwitness does.
var strongRoles = []string{"pg_read_all_data", "pg_write_all_data", "pg_read_server_files", "pg_write_server_files",
	"pg_execute_server_program", "pg_create_subscription", "pg_maintain"}

func (p *rolePowers) read(ctx context.Context, conn *pgx.Conn) error {
	may := func(right string) string {
		return `array(select quote_ident(n.nspname) || '.' || quote_ident(c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
			where c.relkind in ('r', 'p') and c.relpersistence <> 't' and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', '` + ownSchema + `')
			  and ` + right + ` order by 1 limit 21)`
	}
	return conn.QueryRow(ctx, `
		select rolcreaterole, rolcreatedb, rolbypassrls,
		       array(select g.rolname::text from pg_roles g where g.rolname = any ($1) and pg_has_role(g.oid, 'USAGE') order by 1),
		       `+may("has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')")+`,
		       `+may("has_table_privilege(c.oid, 'SELECT')")+`,
		       `+may("pg_has_role(c.relowner, 'USAGE')")+`
		  from pg_roles where rolname = current_user`, strongRoles,
	).Scan(&p.createRole, &p.createDB, &p.bypassRLS, &p.member, &p.writes, &p.reads, &p.owns)
}

// roleExcess judges what the role may do beyond its work. Whoever takes over pgwitness has it, too: a witness that
// could change rows, or read them, is a worse one.
func (f *findings) roleExcess(s *survey, p *rolePowers) {
	name, me := displayPart(s.me.name), quoteIdent(s.me.name)
	if s.me.superuser {
		f.warn(aboutRoleExcess, "connect as a role that setup makes", "%s is a superuser: more than pgwitness needs", name)
		return
	}
	for _, attribute := range []struct {
		has  bool
		word string
	}{{p.createRole, "CREATEROLE"}, {p.createDB, "CREATEDB"}, {p.bypassRLS, "BYPASSRLS"}} {
		if attribute.has {
			f.warn(aboutRoleExcess, "alter role "+me+" no"+strings.ToLower(attribute.word)+";", "%s has %s: more than pgwitness needs", name, attribute.word)
		}
	}
	for _, role := range p.member {
		f.warn(aboutRoleExcess, "revoke "+quoteIdent(role)+" from "+me+";", "%s may do what %s may: more than pgwitness needs", name, role)
	}
	for _, right := range []struct {
		tables []string
		word   string
		mend   string
	}{
		{p.owns, "owns", "connect as a role that setup makes"},
		{p.writes, "may change the rows of", "revoke insert, update, delete, truncate on TABLE from " + me + ";  -- or from public"},
		{p.reads, "may read", "revoke select on TABLE from " + me + ";  -- or from public"},
	} {
		if len(right.tables) > 0 {
			f.warn(aboutRoleExcess, strings.Replace(right.mend, "TABLE", right.tables[0], 1), "%s %s tables: %s", name, right.word, someOf(right.tables))
			break // an owner may write, and who may write mostly reads
		}
	}
	f.otherwise(aboutRoleExcess, "%s may do no more than it has to", name)
}

// someOf shows the first of many names.
func someOf(names []string) string {
	shown := strings.Join(names[:min(len(names), 20)], ", ")
	if len(names) > 20 {
		shown += ", …"
	}
	return printable(shown)
}
