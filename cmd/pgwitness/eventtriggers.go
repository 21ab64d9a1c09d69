package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Some statements change what rows read as, or what of them is published, without sending a record. Event triggers tell
// the trail of those, by a logical message within the statement's transaction (decode makes control records of them).

//go:embed eventtriggers.sql
var eventTriggersSQL string

// A sqlFunction is one of the functions behind the event triggers.
type sqlFunction struct {
	name      string
	arguments string // with their names and defaults, as pg_get_function_arguments has them but for case
	sql       string // its statement, without the semicolon
	head      string // language and settings: functionHead
	body      string
}

const (
	bodyQuote = "$pgwitness$"
	listQuote = "$list$" // around the names of the publications that are watched, as JSON
)

var sqlFunctions = splitFunctions(eventTriggersSQL)

// splitFunctions reads statements of the form that eventtriggers.sql has: name and arguments in the first line, then
// the head, then the body.
func splitFunctions(text string) []sqlFunction {
	var list []sqlFunction
	for sql := range strings.SplitSeq(text, bodyQuote+";\n") {
		head, body, ok := strings.Cut(strings.TrimSpace(sql), "\nas "+bodyQuote)
		if !ok {
			continue
		}
		first, head, _ := strings.Cut(head, "\n")
		_, name, _ := strings.Cut(first, ownSchema+".")
		name, arguments, _ := strings.Cut(name, "(")
		arguments, _, _ = strings.Cut(arguments, ") returns ")
		list = append(list, sqlFunction{name: name, arguments: arguments, sql: strings.TrimSpace(sql) + "\n" + bodyQuote, head: head, body: body + "\n"})
	}
	return list
}

// An eventTrigger is one of those that setup makes.
type eventTrigger struct{ name, does string }

// eventTriggers are enabled ALWAYS: session_replication_role = replica must not switch them off. Tags are filtered where
// that spares the others' statements a call; what may be dropped along with something else has no end.
var eventTriggers = []eventTrigger{
	{"pgwitness_rewrite", "on table_rewrite execute function " + ownSchema + ".on_rewrite()"},
	{"pgwitness_ddl", "on ddl_command_end when tag in ('ALTER PUBLICATION', 'ALTER SCHEMA', 'ALTER TABLE', 'ALTER TYPE', 'CREATE PUBLICATION', " +
		"'CREATE SCHEMA', 'CREATE TABLE', 'CREATE TABLE AS', 'GRANT', 'REVOKE', 'SELECT INTO') execute function " + ownSchema + ".on_ddl()"},
	{"pgwitness_drop", "on sql_drop execute function " + ownSchema + ".on_ddl()"},
}

// A triggerState is what the source has of all that.
type triggerState struct {
	owner        string            // of the schema, "" without it
	ours         bool              // it belongs to a superuser
	trusted      bool              // nobody but a superuser, or the session's own role, could change what they do
	others       int               // objects in the schema that setup did not make
	functions    map[string]string // what is there: head and body
	publications []string          // that are watched
	triggers     map[string]string // what each does
	enabled      map[string]bool   // always
	off          bool              // event_triggers = off (from 17)
	forgeable    bool              // PUBLIC may write logical messages, these too
}

func (s *survey) readTriggers(ctx context.Context, conn *pgx.Conn) error {
	t := triggerState{triggers: map[string]string{}, enabled: map[string]bool{}}
	err := conn.QueryRow(ctx, `
		select coalesce((select r.rolname::text from pg_namespace n join pg_roles r on r.oid = n.nspowner where nspname = $1), ''),
		       coalesce((select r.rolsuper from pg_namespace n join pg_roles r on r.oid = n.nspowner where nspname = $1), false),
		       coalesce((select (r.rolsuper or r.rolname = current_user)
		              and not exists (select from aclexplode(n.nspacl) a where a.privilege_type = 'CREATE' and a.grantee <> n.nspowner)
		              and not exists (select from pg_proc p where p.pronamespace = n.oid and p.proowner <> n.nspowner)
		         from pg_namespace n join pg_roles r on r.oid = n.nspowner where nspname = $1), true),
		       (select count(*) from pg_depend where refclassid = 'pg_namespace'::regclass
		           and refobjid = (select oid from pg_namespace where nspname = $1) and deptype = 'n'
		           and not (classid = 'pg_proc'::regclass and objid in (select oid from pg_proc where proname = any ($2)))),
		       coalesce(current_setting('event_triggers', true) = 'off', false),
		       (select bool_or(has_function_privilege('public', oid, 'EXECUTE')) from pg_proc
		         where proname = 'pg_logical_emit_message' and pronamespace = 'pg_catalog'::regnamespace)`,
		ownSchema, slices.Concat(functionNames(), followNames(), []string{"set_actor"}),
	).Scan(&t.owner, &t.ours, &t.trusted, &t.others, &t.off, &t.forgeable)
	if err != nil {
		return err
	}
	if t.functions, err = readFunctions(ctx, conn, functionNames(), "publications", "[]", &t.publications); err != nil {
		return err
	}
	rows, err := conn.Query(ctx, `
		select evtname::text, evtenabled = 'A', `+triggerDoes+`
		  from pg_event_trigger e join pg_proc p on p.oid = evtfoid join pg_namespace n on n.oid = p.pronamespace
		 where evtname = any ($1)`, triggerNames())
	if err != nil {
		return err
	}
	var name, does string
	var enabled bool
	_, err = pgx.ForEachRow(rows, []any{&name, &enabled, &does}, func() error {
		t.triggers[name], t.enabled[name] = does, enabled
		return nil
	})
	s.triggers = t
	return err
}

// readFunctions reads heads and bodies of functions that setup installs. One of them, lister, holds a list as JSON, which
// goes to into; in its place stands what an empty one looks like, as in the function's text.
func readFunctions(ctx context.Context, conn *pgx.Conn, names []string, lister, empty string, into any) (map[string]string, error) {
	rows, err := conn.Query(ctx, `
		select p.proname::text, `+functionHead+`, prosrc
		  from pg_proc p join pg_language l on l.oid = p.prolang
		 where p.pronamespace = (select oid from pg_namespace where nspname = $1) and p.proname = any ($2)`, ownSchema, names)
	if err != nil {
		return nil, err
	}
	functions := map[string]string{}
	var name, head, body string
	_, err = pgx.ForEachRow(rows, []any{&name, &head, &body}, func() error {
		parts := strings.Split(body, listQuote)
		if name == lister && len(parts) == 3 && json.Unmarshal([]byte(parts[1]), into) == nil { // otherwise somebody else's, which is replaced
			body = parts[0] + listQuote + empty + listQuote + parts[2]
		}
		functions[name] = head + body
		return nil
	})
	return functions, err
}

// triggerDoes is an eventTrigger's text as the catalogue has it.
const triggerDoes = `concat('on ', evtevent, ' when tag in (''' || array_to_string(evttags, ''', ''') || ''')',
	' execute function ', n.nspname, '.', p.proname, '()')`

// functionHead is a sqlFunction's head as the catalogue has it.
const functionHead = `concat('language ', l.lanname, case provolatile when 'i' then ' immutable' when 's' then ' stable' else ' volatile' end,
	case when prosecdef then ' security definer' end,
	(select string_agg(concat(E'\nset ', split_part(c, '=', 1), ' = ', substr(c, strpos(c, '=') + 1)), '' order by i)
	   from unnest(proconfig) with ordinality u (c, i)))`

func functionNames() []string {
	var names []string
	for _, f := range sqlFunctions {
		names = append(names, f.name)
	}
	return names
}

func triggerNames() []string {
	var names []string
	for _, e := range eventTriggers {
		names = append(names, e.name)
	}
	return names
}

// missing lists the statements that are left to do for a publication to be watched.
func (t *triggerState) missing(publication string) []string {
	var statements []string
	watched := t.publications
	if !slices.Contains(watched, publication) {
		watched = append(slices.Clone(watched), publication)
	}
	for _, f := range sqlFunctions {
		if t.functions[f.name] != f.head+f.body || f.name == "publications" && len(watched) > len(t.publications) {
			statements = append(statements, f.watching(watched))
		}
	}
	for _, e := range eventTriggers {
		does := t.triggers[e.name]
		if does != "" && does != e.does {
			statements = append(statements, "drop event trigger "+e.name)
		}
		if does != e.does {
			statements = append(statements, "create event trigger "+e.name+" "+e.does)
		}
		if does != e.does || !t.enabled[e.name] {
			statements = append(statements, alwaysEnable(e.name))
		}
	}
	return statements
}

func alwaysEnable(trigger string) string { return "alter event trigger " + trigger + " enable always" }

// watching puts publications into the function that names them. A dollar sign could end the quotes.
func (f sqlFunction) watching(publications []string) string {
	list, _ := json.Marshal(publications) // strings cannot fail
	return strings.Replace(f.sql, "[]"+listQuote, strings.ReplaceAll(string(list), "$", `\u0024`)+listQuote, 1)
}

// existing lists what teardown removes: the event triggers first, which need the functions.
func (t *triggerState) existing() []string {
	var statements []string
	for _, name := range triggerNames() {
		if t.triggers[name] != "" {
			statements = append(statements, "drop event trigger "+name)
		}
	}
	for _, name := range slices.Backward(functionNames()) {
		if t.functions[name] != "" {
			statements = append(statements, "drop function "+ownSchema+"."+name)
		}
	}
	return statements
}
