package main

import (
	"context"
	_ "embed"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Applications say for whom they act by set_actor, which writes a logical message that decode takes for the context of
// the changes after it. Only set_actor may write it: what anybody could write would be no evidence.

//go:embed setactor.sql
var setActorSQL string

var actorFunctions = splitFunctions(setActorSQL)

const setActor = ownSchema + ".set_actor"

// setActorFunctions names both for GRANT and REVOKE.
const setActorFunctions = setActor + "(jsonb), " + setActor + "(text, text, text, text, text)"

// An actorState is what the source has of set_actor, and who else could write its messages.
type actorState struct {
	functions map[string]string // what is there, by arguments: head and body
	owner     string            // "" without them
	trusted   bool              // the owner is a superuser
	able      bool              // the owner may write logical messages
	public    bool              // PUBLIC may call one of them
	callers   []string          // roles with a grant of all that a call needs
	forgers   []string          // roles, no superusers, with a grant to write logical messages
}

func (s *survey) readActor(ctx context.Context, conn *pgx.Conn) error {
	a := actorState{functions: map[string]string{}}
	rows, err := conn.Query(ctx, `
		select lower(pg_get_function_arguments(p.oid)), `+functionHead+` || prosrc, r.rolname::text, r.rolsuper,
		       has_function_privilege('public', p.oid, 'EXECUTE'),
		       (select bool_and(has_function_privilege(r.oid, e.oid, 'EXECUTE')) from pg_proc e
		         where e.proname = 'pg_logical_emit_message' and e.pronamespace = 'pg_catalog'::regnamespace)
		  from pg_proc p join pg_language l on l.oid = p.prolang join pg_roles r on r.oid = p.proowner
		 where p.pronamespace = (select oid from pg_namespace where nspname = $1) and p.proname = 'set_actor'
		 order by r.rolsuper desc`, ownSchema) // of several owners the one who could do harm
	if err != nil {
		return err
	}
	var arguments, text string
	var public bool
	_, err = pgx.ForEachRow(rows, []any{&arguments, &text, &a.owner, &a.trusted, &public, &a.able}, func() error {
		a.functions[arguments] = text
		a.public = a.public || public
		return nil
	})
	if err != nil {
		return err
	}
	err = conn.QueryRow(ctx, `
		with grants as (
			select p.oid, p.proname, a.grantee from pg_proc p cross join aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
			 where (p.proname = 'pg_logical_emit_message' and p.pronamespace = 'pg_catalog'::regnamespace
			     or p.proname = 'set_actor' and p.pronamespace = (select oid from pg_namespace where nspname = $1))
			   and a.privilege_type = 'EXECUTE' and a.grantee <> p.proowner)
		select array(select r.rolname::text from pg_roles r
		         where (select count(*) from grants g where g.grantee = r.oid and g.proname = 'set_actor') >= $2
		           and exists (select from pg_namespace n cross join aclexplode(n.nspacl) a
		                 where n.nspname = $1 and a.grantee = r.oid and a.privilege_type = 'USAGE') order by 1),
		       array(select r.rolname::text from pg_roles r where not r.rolsuper
		           and exists (select from grants g where g.grantee = r.oid and g.proname = 'pg_logical_emit_message') order by 1)`,
		ownSchema, len(actorFunctions)).Scan(&a.callers, &a.forgers)
	s.actor = a
	return err
}

// missing lists the statements that are left to do.
func (a *actorState) missing() []string {
	var statements []string
	for _, f := range actorFunctions {
		if a.functions[f.arguments] != f.head+f.body {
			statements = append(statements, f.sql)
		}
	}
	if len(statements) > 0 || a.public {
		statements = append(statements, "revoke execute on function "+setActorFunctions+" from public")
	}
	return statements
}

// planActor installs set_actor, and lets the roles call it that the wish names.
func (p *plan) planActor(s *survey, w setupWish, schema *step) {
	a := &s.actor
	missing := a.missing()
	install := p.add(&step{
		about: "set_actor: an application says in its transaction for whom it acts. Nobody may call it without a grant\n" +
			"(--context-roles).",
		subject:  "set_actor",
		sql:      strings.Join(missing, ";\n"),
		needs:    "the owner of schema " + ownSchema + "; what contexts say is verified if that is a superuser",
		done:     len(missing) == 0,
		requires: schema,
		without:  "applications cannot say for whom they act",
	})
	owner, trusted := a.owner, a.trusted
	if owner == "" {
		owner, trusted = s.me.name, s.me.superuser
	}
	if !trusted {
		p.note("set_actor belongs to %s, who is no superuser: it works as long as that role may call pg_logical_emit_message, and because that role could change it, contexts read context-unverified", displayPart(owner))
	}
	for _, role := range w.contextRoles {
		p.add(&step{
			about:    "Roles that may call it.",
			subject:  "right of " + displayPart(role) + " to call set_actor",
			sql:      "grant usage on schema " + ownSchema + " to " + quoteIdent(role) + ";\ngrant execute on function " + setActorFunctions + " to " + quoteIdent(role),
			needs:    "superuser, or the owner of the functions",
			done:     slices.Contains(a.callers, role),
			requires: install,
		})
	}
}

// takeOver makes a superuser the owner of what a role without that right had made, before event triggers rely on it.
func (s *survey) takeOver() []string {
	if s.triggers.owner == "" || s.triggers.ours {
		return nil
	}
	statements := []string{"alter schema " + ownSchema + " owner to current_user"}
	if s.actor.owner != "" {
		for _, f := range strings.Split(setActorFunctions, "), ") {
			statements = append(statements, "alter function "+strings.TrimSuffix(f, ")")+") owner to current_user")
		}
	}
	return statements
}

// contexts judges what contexts are worth, and whether applications can give any.
func (f *findings) contexts(s *survey) {
	const setup = "pgwitness setup --apply  -- as superuser"
	a := &s.actor
	if len(a.functions) == 0 {
		f.warn(aboutSetActor, setup, "not there: applications cannot say for whom they act")
		return
	}
	if len(a.missing()) > 1 { // more than the revocation
		f.warn(aboutSetActor, setup, "not that of this version of pgwitness")
	}
	if a.public {
		f.warn(aboutSetActor, setup, "PUBLIC may call it")
	}
	if !a.able {
		f.warn(aboutSetActor, "give it to a superuser", "it fails: its owner %s may not call pg_logical_emit_message", displayPart(a.owner))
	} else if !a.trusted {
		f.warn(aboutSetActor, "give it to a superuser", "its owner %s, no superuser, could change it: contexts read context-unverified", displayPart(a.owner))
	}
	f.otherwise(aboutSetActor, "is there and can be believed")
	if len(a.callers) == 0 {
		f.note(aboutContextRoles, "no role has been given the right to call set_actor (pgwitness setup --context-roles)")
	} else {
		f.ok(aboutContextRoles, "set_actor may be called by %s", displayList(a.callers))
	}
}

// forgeries judges who could write what set_actor and the event triggers write.
func (f *findings) forgeries(s *survey) {
	if s.triggers.forgeable {
		f.warn(aboutMessages, revokeMessages(s.version, "public")+";  -- as superuser", "PUBLIC may call pg_logical_emit_message: anybody can write messages into the trail, under any prefix; contexts read context-unverified")
	}
	for _, role := range s.actor.forgers {
		f.warn(aboutMessages.of(displayPart(role)), revokeMessages(s.version, quoteIdent(role))+";  -- as superuser", "%s and its members may call pg_logical_emit_message, and write messages under any prefix; contexts read context-unverified", displayPart(role))
	}
	if !s.triggers.forgeable && len(s.actor.forgers) == 0 {
		f.ok(aboutMessages, "nobody but superusers may write them")
	}
}
