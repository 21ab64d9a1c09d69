package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// A publication lists tables by name, so a table that is made later is in no trail until somebody runs setup again. With
// setup --follow an event trigger takes new tables up as they are made.

//go:embed follow.sql
var followSQL string

var followFunctions = splitFunctions(followSQL)

// followTrigger comes after pgwitness_ddl, which tells the trail of the new table first: event triggers fire in the
// order of their names.
var followTrigger = eventTrigger{"pgwitness_follow", "on ddl_command_end when tag in ('ALTER TABLE', 'CREATE SCHEMA', " +
	"'CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO') execute function " + ownSchema + ".on_follow()"}

// A followState is what the source has of that.
type followState struct {
	functions map[string]string   // head and body, without the publications
	follows   map[string][]string // schemas by publication; none for all schemas
	does      string              // what the event trigger does, "" without it
	enabled   bool                // always
}

// installed reports whether anything of it is there.
func (s *followState) installed() bool { return s.does != "" || len(s.functions) > 0 }

func (s *survey) readFollow(ctx context.Context, conn *pgx.Conn) error {
	state := followState{follows: map[string][]string{}}
	var err error
	if state.functions, err = readFunctions(ctx, conn, followNames(), "follows", "{}", &state.follows); err != nil {
		return err
	}
	err = conn.QueryRow(ctx, "select evtenabled = 'A', "+triggerDoes+`
		  from pg_event_trigger e join pg_proc p on p.oid = evtfoid join pg_namespace n on n.oid = p.pronamespace
		 where evtname = $1`, followTrigger.name).Scan(&state.enabled, &state.does)
	if err == pgx.ErrNoRows {
		err = nil
	}
	s.follow = state
	return err
}

func followNames() []string {
	var names []string
	for _, f := range followFunctions {
		names = append(names, f.name)
	}
	return names
}

// missing lists the statements that are left to do for these to be followed.
func (s *followState) missing(follows map[string][]string) []string {
	var statements []string
	for _, f := range followFunctions {
		if s.functions[f.name] != f.head+f.body || f.name == "follows" && !maps.EqualFunc(s.follows, follows, slices.Equal[[]string]) {
			statements = append(statements, f.following(follows))
		}
	}
	if s.does != "" && s.does != followTrigger.does {
		statements = append(statements, "drop event trigger "+followTrigger.name)
	}
	if s.does != followTrigger.does {
		statements = append(statements, "create event trigger "+followTrigger.name+" "+followTrigger.does)
	}
	if s.does != followTrigger.does || !s.enabled {
		statements = append(statements, alwaysEnable(followTrigger.name))
	}
	return statements
}

// following puts publications and schemas into the function that names them. A dollar sign could end the quotes.
func (f sqlFunction) following(follows map[string][]string) string {
	list, _ := json.Marshal(follows) // strings cannot fail
	return strings.Replace(f.sql, "{}"+listQuote, strings.ReplaceAll(string(list), "$", `\u0024`)+listQuote, 1)
}

// existing lists what teardown removes.
func (s *followState) existing() []string {
	var statements []string
	if s.does != "" {
		statements = append(statements, "drop event trigger "+followTrigger.name)
	}
	for _, name := range slices.Backward(followNames()) {
		if s.functions[name] != "" {
			statements = append(statements, "drop function "+ownSchema+"."+name)
		}
	}
	return statements
}

// without is what is followed when a publication is not any more.
func (s *followState) without(publication string) map[string][]string {
	rest := maps.Clone(s.follows)
	delete(rest, publication)
	return rest
}

// planFollow lets new tables be taken up, if that is wished for or has been: a setup without the flag keeps what is
// there, and brings it up to date.
func (p *plan) planFollow(s *survey, w setupWish) {
	follows := maps.Clone(s.follow.follows)
	if follows == nil {
		follows = map[string][]string{}
	}
	if w.follow != nil {
		follows[w.publication] = append([]string{}, slices.Compact(slices.Sorted(slices.Values(*w.follow)))...) // [], never null
	}
	if len(follows) == 0 {
		return
	}
	if w.follow != nil {
		for _, schema := range *w.follow {
			if !s.schemas[schema] {
				p.note("schema %s does not exist yet: its tables are taken up when it does", displayPart(schema))
			}
		}
	}
	missing := s.follow.missing(follows)
	p.add(&step{
		about: "An event trigger gives tables that are made later their replica identity, and lists them in the publication\n" +
			"(--follow). It makes no statement fail: what it cannot take up is a WARNING.",
		subject:  "event trigger for new tables",
		sql:      strings.Join(missing, ";\n"),
		needs:    "superuser",
		done:     len(missing) == 0,
		requires: p.triggers,
		without:  "tables that are made later are in the trail when setup has been run again, and not before",
	})
}

// dropFollow removes what planFollow made, but for other publications.
func (p *plan) dropFollow(s *survey, publication string, after *step) *step {
	rest := s.follow.without(publication)
	switch {
	case !s.follow.installed():
		return after
	case len(rest) == 0:
		return p.add(&step{
			about:    "The event trigger that takes new tables up.",
			subject:  "event trigger for new tables",
			sql:      strings.Join(s.follow.existing(), ";\n"),
			needs:    "superuser",
			requires: after,
		})
	case len(rest) < len(s.follow.follows):
		return p.add(&step{
			about:    "New tables are taken up for other publications only.",
			subject:  "following of publication " + displayPart(publication),
			sql:      followFunctions[0].following(rest),
			needs:    "superuser",
			requires: after,
		})
	}
	return after
}

// following judges whether new tables are taken up, and which are not although they should be.
func (f *findings) following(s *survey, cfg *config) {
	const setup = "pgwitness setup --follow=… --apply  -- as superuser"
	state := &s.follow
	schemas, ok := state.follows[cfg.Source.Publication]
	if !ok {
		f.note(aboutFollow, "new tables are in the trail when setup has been run again, and not before (setup --follow)")
		return
	}
	if len(state.missing(state.follows)) > 0 {
		f.warn(aboutFollow, setup, "the event trigger that takes new tables up is missing, disabled or not that of this version")
	}
	var left []string
	for _, t := range s.tables {
		if publishable(t) && !t.published && t.schema != ownSchema && !t.extension && (len(schemas) == 0 || slices.Contains(schemas, t.schema)) {
			left = append(left, t.String())
		}
	}
	where := "any schema"
	if len(schemas) > 0 {
		where = "schema " + displayList(schemas)
	}
	if len(left) > 0 {
		f.warn(aboutFollow, "pgwitness setup --tables "+left[0]+",… --apply", "tables of %s that are followed, and nobody witnesses (%d): %s", where, len(left), someOf(left))
	}
	f.otherwise(aboutFollow, "new tables of %s are taken up", where)
}
