package main

import (
	"strings"
	"testing"
)

// followed is what the source has when publications follow schemas.
func followed(follows map[string][]string) followState {
	state := followState{functions: map[string]string{}, follows: follows, does: followTrigger.does, enabled: true}
	for _, f := range followFunctions {
		state.functions[f.name] = f.head + f.body
	}
	return state
}

func TestPlanFollow(t *testing.T) {
	schemas := []string{"b", "a", "a"}
	for _, tt := range []struct {
		name  string
		state followState
		wish  *[]string
		want  []string // parts of the statement; nil: nothing to do
	}{
		{"not wished for", followState{}, nil, nil},
		{"new", followState{}, &schemas, []string{`$list${"pgwitness":["a","b"]}$list$`, "create event trigger pgwitness_follow", "enable always"}},
		{"all schemas", followState{}, &[]string{}, []string{`$list${"pgwitness":[]}$list$`}},
		{"beside another", followed(map[string][]string{"$x$": {"c"}}), &schemas, []string{`{"\u0024x\u0024":["c"],"pgwitness":["a","b"]}`}},
		{"there", followed(map[string][]string{"pgwitness": {"a", "b"}}), &schemas, nil},
		{"kept", followed(map[string][]string{"pgwitness": {"c"}}), nil, nil},
		{"disabled", func() followState {
			s := followed(map[string][]string{"pgwitness": {"c"}})
			s.enabled = false
			return s
		}(), nil, []string{"alter event trigger pgwitness_follow enable always"}},
		{"old", func() followState {
			s := followed(map[string][]string{"pgwitness": {"c"}})
			s.functions["take_up"] = "x"
			return s
		}(), nil, []string{"create or replace function pgwitness.take_up"}},
	} {
		s, w := shop(180000), wish("billing.invoice")
		s.follow, w.follow = tt.state, tt.wish
		p := &plan{}
		p.planFollow(s, w)
		sql := ""
		for _, one := range p.steps {
			if !one.done {
				sql += one.sql
			}
		}
		if (sql == "") != (tt.want == nil) {
			t.Errorf("%s: %s", tt.name, sql)
		}
		for _, part := range tt.want {
			if !strings.Contains(sql, part) {
				t.Errorf("%s: no %s in %s", tt.name, part, sql)
			}
		}
	}
}

func TestCheckFollow(t *testing.T) {
	s := published(180000, &table{schema: "a", name: "in"}, &table{schema: "a", name: "out"}, &table{schema: "b", name: "out"}, &table{schema: "a", name: "theirs", extension: true})
	for _, out := range s.tables[1:] {
		out.published = false
	}
	for _, tt := range []struct {
		follows map[string][]string
		state   state
		want    string
	}{
		{nil, stateNote, "setup --follow"},
		{map[string][]string{"another": {"a"}}, stateNote, "setup --follow"},
		{map[string][]string{"pgwitness": {"a"}}, stateWarning, "nobody witnesses (1): a.out"},
		{map[string][]string{"pgwitness": {}}, stateWarning, "nobody witnesses (2): a.out, b.out"},
		{map[string][]string{"pgwitness": {"c"}}, stateOK, "new tables of schema c"},
	} {
		s.follow = followed(tt.follows)
		var f findings
		f.following(s, defaultConfig())
		expect(t, f, tt.state, tt.want)
	}
}

func TestFollowFlag(t *testing.T) {
	for text, want := range map[string]string{"*": "", "public": "public", "a,b": "a b"} {
		if got, err := followedSchemas(text); err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: %q, error %v", text, got, err)
		}
	}
	for _, text := range []string{",", "pg_catalog", "pgwitness", "information_schema", strings.Repeat("x", 64)} {
		if got, err := followedSchemas(text); err == nil {
			t.Errorf("%s: %q", text, got)
		}
	}
}
