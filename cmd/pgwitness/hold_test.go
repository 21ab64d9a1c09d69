package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// held is shop with what a test says of hold.
func held(version int, standbys string, change func(*holdState)) *survey {
	s := shop(version)
	s.role = &roleState{name: "pgwitness", login: true, replication: true, readStats: true, connect: true}
	s.publication = &publication{insert: true, update: true, delete: true, truncate: true}
	s.tables[1].listed, s.tables[1].published, s.tables[1].identity = true, true, "f"
	s.slot = &slot{kind: "logical", plugin: "pgoutput", database: "shop"}
	h := &s.hold
	h.standbys, h.source = standbys, "configuration file"
	h.list, h.err = parseStandbys(standbys)
	if change != nil {
		change(h)
	}
	return s
}

// streaming lets the witness stream.
func streaming(h *holdState) {
	h.slot = &slot{kind: "physical", active: true, pid: 4711, holder: "pid 4711 (application pgwitness_witness)"}
	h.senders = []sender{{4711, "streaming", "async"}}
}

func holdWish(unheld ...string) setupWish {
	w := wish("billing.invoice")
	w.hold, w.unheldRoles = true, unheld
	return w
}

func TestHoldScripts(t *testing.T) {
	for _, tt := range []struct {
		name   string
		survey *survey
		wish   setupWish
	}{
		{"hold-first", held(180000, "", nil), holdWish("app")},
		{"hold-streaming", held(180000, "", streaming), holdWish()},
		{"hold-with-others", held(150000, "FIRST 1 (a, b)", streaming), holdWish()},
		{"hold-with-another-witness", held(180000, "billing_witness", func(h *holdState) {
			streaming(h)
			h.witnesses = []string{"billing_witness", "pgwitness_witness"}
		}), holdWish("app")},
		{"hold-14", held(140000, "", streaming), holdWish()},
		{"hold-any", held(180000, "ANY 1 (a, b)", streaming), holdWish()},
		{"hold-wildcard", held(180000, "*", nil), holdWish()},
		{"hold-unheld-with-others", held(180000, "a", streaming), holdWish("app", "nobody")},
		{"hold-stranger", held(180000, "", func(h *holdState) { h.senders = []sender{{99, "streaming", "async"}} }), holdWish()},
		{"hold-command-line", held(180000, "a", func(h *holdState) { streaming(h); h.source = "command line" }), holdWish()},
		{"hold-complete", func() *survey {
			s := held(180000, "pgwitness_witness", func(h *holdState) {
				streaming(h)
				h.commits = []roleCommits{{"app", false, "local"}, {"app", true, "on"}}
			})
			s.role.setStandbys, s.role.reload = true, true
			return s
		}(), holdWish("app")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			golden(t, "setup/"+tt.name+".sql", script(t, tt.survey, tt.wish))
		})
	}
}

func TestTeardownOfHold(t *testing.T) {
	text := func(s *survey, f teardownFlags) string {
		f.role = "pgwitness"
		p := planTeardown(s, defaultConfig(), f, publishedTables(s))
		var b strings.Builder
		p.writeNotes(&b)
		for _, problem := range p.problems {
			fmt.Fprintf(&b, "wrong: %s\n  mend: %s\n", problem.what, problem.mend)
		}
		p.writeScript(&b, "teardown", s, 5*time.Second)
		return b.String()
	}
	idle := func(h *holdState) {
		h.slot = &slot{kind: "physical"}
		h.commits = []roleCommits{{"app", false, "local"}, {"batch", false, "local"}, {"x", false, "off"}, {"y", true, "local"}}
	}
	s := held(180000, "FIRST 2 (a, pgwitness_witness)", idle)
	s.role.grantedHold = []string{"alter system on parameter synchronous_standby_names", "execute on function pg_catalog.pg_reload_conf()"}
	s.role.granted = true
	golden(t, "setup/teardown-hold.sql", text(s, teardownFlags{unheldRoles: []string{"app", "x"}, dropRole: true}))
	golden(t, "setup/teardown-hold-active.sql", text(held(180000, "pgwitness_witness", streaming), teardownFlags{}))
	p := planTeardown(s, defaultConfig(), teardownFlags{}, publishedTables(s))
	if first := p.steps[0]; first.standbys == nil || *first.standbys != `FIRST 1 ("a")` {
		t.Errorf("the first step is %s", first.sql)
	}
	for _, st := range p.steps[1:] {
		if strings.Contains(st.sql, "pg_drop_replication_slot") && st.requires != p.steps[0] {
			t.Errorf("%s does not wait for hold to be off", st.sql)
		}
	}
}

// The list is the last step, and needs the slot; without a stream it is left and the rest counts as done.
func TestHoldOrder(t *testing.T) {
	for name, s := range map[string]*survey{"streaming": held(180000, "a", streaming), "not streaming": held(180000, "a", nil)} {
		p, err := planSetup(s, holdWish())
		if err != nil {
			t.Fatal(err)
		}
		last := p.steps[len(p.steps)-1]
		if last.standbys == nil || last.requires == nil || !strings.Contains(last.requires.sql, "pg_create_physical_replication_slot") {
			t.Errorf("%s: the last step is %s", name, last.sql)
		}
		if (last.waits != "") != (name == "not streaming") || (last.without != "") != (last.waits != "") {
			t.Errorf("%s: waits %q, without %q", name, last.waits, last.without)
		}
	}
}

func TestWitnessName(t *testing.T) {
	if got := witnessName(strings.Repeat("s", 55)); len(got) != 63 {
		t.Error(got)
	}
	if got := witnessName(strings.Repeat("s", 56)); got != "" {
		t.Error(got)
	}
}

func TestCheckHold(t *testing.T) {
	roomy := &serverState{slots: 1, maxSlots: 10, maxWalsenders: 10}
	may := func(s *survey) *survey {
		s.me = roleState{name: "pgwitness", readStats: true, setStandbys: true, reload: true}
		return s
	}
	listed := func(change func(*holdState)) func(*holdState) {
		return func(h *holdState) { streaming(h); change(h) }
	}
	for _, tt := range []struct {
		name   string
		survey *survey
		server *serverState
		commit string
		state  state
		want   string
	}{
		{"all well", may(held(180000, "pgwitness_witness", streaming)), roomy, "on", stateOK, "every commit waits for the witness"},
		{"level", may(held(180000, "pgwitness_witness", streaming)), roomy, "remote_write", stateOK, "no commit before its session was seen"},
		{"not listed", may(held(180000, "a", streaming)), roomy, "on", stateWarning, "is not in synchronous_standby_names (a): no commit waits"},
		{"not streaming", may(held(180000, "pgwitness_witness", func(h *holdState) { h.slot = &slot{kind: "physical"} })), roomy, "on", stateWrong, "every commit of the cluster waits"},
		{"catching up", may(held(180000, "pgwitness_witness", listed(func(h *holdState) { h.senders[0].state = "catchup" }))), roomy, "on", stateWrong, "every commit of the cluster waits"},
		{"too few", may(held(180000, "FIRST 1 (pgwitness_witness, a)", streaming)), roomy, "on", stateWarning, "another standby answers"},
		{"any", may(held(180000, "ANY 1 (pgwitness_witness, a)", streaming)), roomy, "on", stateWarning, "another standby answers"},
		{"stranger", may(held(180000, "pgwitness_witness", listed(func(h *holdState) { h.senders = append(h.senders, sender{99, "streaming", "sync"}) }))), roomy, "on", stateWrong, "pid 99 streams as pgwitness_witness"},
		{"slot missing", may(held(180000, "pgwitness_witness", nil)), roomy, "on", stateWrong, "slot pgwitness_witness does not exist"},
		{"slot lost", may(held(180000, "", func(h *holdState) { h.slot = &slot{kind: "physical", walStatus: "lost"} })), roomy, "on", stateWrong, "is lost"},
		{"slot logical", may(held(180000, "", func(h *holdState) { h.slot = &slot{kind: "logical"} })), roomy, "on", stateWrong, "is a logical one"},
		{"no walsender", may(held(180000, "", func(h *holdState) { h.slot = &slot{kind: "physical"} })), &serverState{maxSlots: 10, walsenders: 9, maxWalsenders: 10}, "on", stateWrong, "needs 2 walsenders more, and 1 of 10 are free"},
		{"no slot", may(held(180000, "pgwitness_witness", nil)), &serverState{slots: 10, maxSlots: 10, maxWalsenders: 10}, "on", stateWrong, "no slot is left"},
		{"nobody waits", may(held(180000, "pgwitness_witness", streaming)), roomy, "local", stateWrong, "synchronous_commit is local"},
		{"this database", may(held(180000, "pgwitness_witness", listed(func(h *holdState) { h.commits = []roleCommits{{"", true, "off"}} }))), roomy, "on", stateWarning, "is off in this database"},
		{"unheld", may(held(180000, "pgwitness_witness", listed(func(h *holdState) { h.commits = []roleCommits{{"app", false, "local"}, {"x", false, "on"}} }))), roomy, "on", stateNote, "local or off): app"},
		{"unheld and silent", may(held(180000, "pgwitness_witness", listed(func(h *holdState) { h.commits = []roleCommits{{"app", false, "local"}} }))), roomy, "on", stateWarning, "app is not held and may not call set_actor"},
		{"may not give up", held(180000, "pgwitness_witness", streaming), roomy, "on", stateWarning, "may not change synchronous_standby_names"},
		{"may not give up on 14", held(140000, "pgwitness_witness", streaming), roomy, "on", stateWarning, "only a superuser may change"},
	} {
		var f findings
		f.witness(tt.survey, defaultConfig(), tt.server)
		f.standbys(tt.survey)
		f.levels(tt.survey, tt.commit)
		f.givingUp(tt.survey)
		if !strings.Contains(f.texts(tt.state), tt.want) {
			t.Errorf("%s: no %s: %s in\n%+v", tt.name, tt.state, tt.want, f)
		}
		if wrong := f.count(stateWrong); (tt.state == stateWrong) != (wrong > 0) {
			t.Errorf("%s: %d are wrong\n%s", tt.name, wrong, f.texts(stateWrong))
		}
		for _, one := range f {
			if (one.State == stateWrong || one.State == stateWarning) && one.Mend == "" {
				t.Errorf("%s: nothing mends: %s", tt.name, one.Message)
			}
		}
	}
}

func TestCheckContexts(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*survey)
		state  state
		want   string
	}{
		{"callers", func(s *survey) { s.actor.callers = []string{"app", "Batch"} }, stateOK, `may be called by app, "Batch"`},
		{"no callers", func(*survey) {}, stateNote, "no role has been given the right"},
		{"missing", func(s *survey) { s.actor = actorState{} }, stateWarning, "set-actor: not there"},
		{"changed", func(s *survey) { s.actor.functions["context jsonb"] = "x" }, stateWarning, "not that of this version"},
		{"public", func(s *survey) { s.actor.public = true }, stateWarning, "PUBLIC may call it"},
		{"owner", func(s *survey) { s.actor.owner, s.actor.trusted = "bob", false }, stateWarning, "bob, no superuser, could change it"},
		{"unable", func(s *survey) { s.actor.owner, s.actor.able = "bob", false }, stateWarning, "it fails: its owner bob"},
		{"safe", func(*survey) {}, stateOK, "nobody but superusers may write them"},
		{"forgeable", func(s *survey) { s.triggers.forgeable = true }, stateWarning, "anybody can write messages into the trail"},
		{"forgers", func(s *survey) { s.actor.forgers = []string{"queue"} }, stateWarning, "queue and its members may call pg_logical_emit_message"},
	} {
		s := shop(180000)
		tt.change(s)
		var f findings
		f.forgeries(s)
		f.contexts(s)
		if !strings.Contains(f.texts(tt.state), tt.want) {
			t.Errorf("%s: no %s: %s in\n%+v", tt.name, tt.state, tt.want, f)
		}
		if warnings := f.count(stateWarning); (tt.state == stateWarning) != (warnings == 1) {
			t.Errorf("%s: %d warnings\n%s", tt.name, warnings, f.texts(stateWarning))
		}
	}
}
