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
		level  level
		want   string
	}{
		{"all well", may(held(180000, "pgwitness_witness", streaming)), roomy, "on", levelOK, "every commit waits for the witness"},
		{"level", may(held(180000, "pgwitness_witness", streaming)), roomy, "remote_write", levelOK, "no commit before its session was seen"},
		{"not listed", may(held(180000, "a", streaming)), roomy, "on", levelWarning, "is not in synchronous_standby_names (a): no commit waits"},
		{"not streaming", may(held(180000, "pgwitness_witness", func(h *holdState) { h.slot = &slot{kind: "physical"} })), roomy, "on", levelWrong, "every commit of the cluster waits"},
		{"catching up", may(held(180000, "pgwitness_witness", listed(func(h *holdState) { h.senders[0].state = "catchup" }))), roomy, "on", levelWrong, "every commit of the cluster waits"},
		{"too few", may(held(180000, "FIRST 1 (pgwitness_witness, a)", streaming)), roomy, "on", levelWarning, "another standby answers"},
		{"any", may(held(180000, "ANY 1 (pgwitness_witness, a)", streaming)), roomy, "on", levelWarning, "another standby answers"},
		{"stranger", may(held(180000, "pgwitness_witness", listed(func(h *holdState) { h.senders = append(h.senders, sender{99, "streaming", "sync"}) }))), roomy, "on", levelWrong, "pid 99 streams as pgwitness_witness"},
		{"slot missing", may(held(180000, "pgwitness_witness", nil)), roomy, "on", levelWrong, "slot pgwitness_witness does not exist"},
		{"slot lost", may(held(180000, "", func(h *holdState) { h.slot = &slot{kind: "physical", walStatus: "lost"} })), roomy, "on", levelWrong, "is lost"},
		{"slot logical", may(held(180000, "", func(h *holdState) { h.slot = &slot{kind: "logical"} })), roomy, "on", levelWrong, "is a logical one"},
		{"no walsender", may(held(180000, "", func(h *holdState) { h.slot = &slot{kind: "physical"} })), &serverState{maxSlots: 10, walsenders: 9, maxWalsenders: 10}, "on", levelWrong, "needs 2 walsenders more, and 1 of 10 are free"},
		{"no slot", may(held(180000, "pgwitness_witness", nil)), &serverState{slots: 10, maxSlots: 10, maxWalsenders: 10}, "on", levelWrong, "no slot is left"},
		{"nobody waits", may(held(180000, "pgwitness_witness", streaming)), roomy, "local", levelWrong, "synchronous_commit is local"},
		{"this database", may(held(180000, "pgwitness_witness", listed(func(h *holdState) { h.commits = []roleCommits{{"", true, "off"}} }))), roomy, "on", levelWarning, "is off in this database"},
		{"unheld", may(held(180000, "pgwitness_witness", listed(func(h *holdState) { h.commits = []roleCommits{{"app", false, "local"}, {"x", false, "on"}} }))), roomy, "on", levelNote, "local or off): app"},
		{"unheld and silent", may(held(180000, "pgwitness_witness", listed(func(h *holdState) { h.commits = []roleCommits{{"app", false, "local"}} }))), roomy, "on", levelWarning, "app is not held and may not call set_actor"},
		{"may not give up", held(180000, "pgwitness_witness", streaming), roomy, "on", levelWarning, "may not change synchronous_standby_names"},
		{"may not give up on 14", held(140000, "pgwitness_witness", streaming), roomy, "on", levelWarning, "only a superuser may change"},
	} {
		var f findings
		f.witness(tt.survey, defaultConfig(), tt.server)
		f.standbys(tt.survey)
		f.levels(tt.survey, tt.commit)
		f.givingUp(tt.survey)
		if !strings.Contains(f.texts(tt.level), tt.want) {
			t.Errorf("%s: no %s: %s in\n%+v", tt.name, tt.level, tt.want, f)
		}
		if wrong := f.count(levelWrong); (tt.level == levelWrong) != (wrong > 0) {
			t.Errorf("%s: %d are wrong\n%s", tt.name, wrong, f.texts(levelWrong))
		}
		for _, one := range f {
			if (one.Level == levelWrong || one.Level == levelWarning) && one.Mend == "" {
				t.Errorf("%s: nothing mends: %s", tt.name, one.What)
			}
		}
	}
}

func TestCheckContexts(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*survey)
		level  level
		want   string
	}{
		{"callers", func(s *survey) { s.actor.callers = []string{"app", "Batch"} }, levelOK, `may be called by app, "Batch"`},
		{"no callers", func(*survey) {}, levelNote, "no role has been given the right"},
		{"missing", func(s *survey) { s.actor = actorState{} }, levelWarning, "set_actor: not there"},
		{"changed", func(s *survey) { s.actor.functions["context jsonb"] = "x" }, levelWarning, "not that of this version"},
		{"public", func(s *survey) { s.actor.public = true }, levelWarning, "PUBLIC may call it"},
		{"owner", func(s *survey) { s.actor.owner, s.actor.trusted = "bob", false }, levelWarning, "bob, no superuser, could change it"},
		{"unable", func(s *survey) { s.actor.owner, s.actor.able = "bob", false }, levelWarning, "it fails: its owner bob"},
		{"safe", func(*survey) {}, levelOK, "nobody but superusers may write them"},
		{"forgeable", func(s *survey) { s.triggers.forgeable = true }, levelWarning, "anybody can write messages into the trail"},
		{"forgers", func(s *survey) { s.actor.forgers = []string{"queue"} }, levelWarning, "queue and its members may call pg_logical_emit_message"},
	} {
		s := shop(180000)
		tt.change(s)
		var f findings
		f.forgeries(s)
		f.contexts(s)
		if !strings.Contains(f.texts(tt.level), tt.want) {
			t.Errorf("%s: no %s: %s in\n%+v", tt.name, tt.level, tt.want, f)
		}
		if warnings := f.count(levelWarning); (tt.level == levelWarning) != (warnings == 1) {
			t.Errorf("%s: %d warnings\n%s", tt.name, warnings, f.texts(levelWarning))
		}
	}
}
