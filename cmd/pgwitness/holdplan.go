package main

import (
	"slices"
	"strings"
)

// planHold makes every commit of the cluster wait for the witness. The order is the point: its slot first, then a run
// that streams, then the list; with the list set and nobody streaming every commit hangs.
func (p *plan) planHold(s *survey, w setupWish) {
	p.refuseHold(s, w)
	h := &s.hold
	slot := p.add(&step{
		about:   "The witness's slot: the server keeps its log until the witness has seen it, so that no commit passes unseen.",
		subject: "slot " + h.name,
		sql:     "select pg_create_physical_replication_slot(" + quoteLiteral(h.name) + ", true)",
		needs:   "superuser, or a role with REPLICATION",
		done:    h.slot != nil,
	})
	p.planGivingUp(s, w)
	for _, role := range w.unheldRoles {
		p.add(&step{
			about:   "Roles whose commits wait for no standby, in no database: their applications say by set_actor who acts.",
			subject: "release of role " + displayPart(role),
			sql:     "alter role " + quoteIdent(role) + " set synchronous_commit = local",
			needs:   "superuser, or a role with CREATEROLE; from 16 on, with the ADMIN option on it too",
			done:    slices.ContainsFunc(h.commits, func(c roleCommits) bool { return c.is(role) && c.unheld() }),
		})
		p.remarkUnheld(s, w, role)
	}
	p.planStandbys(s, slot)
}

// refuseHold reports what setup does not change, or what cannot be.
func (p *plan) refuseHold(s *survey, w setupWish) {
	h := &s.hold
	const another = "choose another name with --slot"
	drop := "select pg_drop_replication_slot(" + quoteLiteral(h.name) + ");  -- then setup again"
	if k := h.slot; k != nil {
		switch {
		case k.kind != "physical":
			p.refuse(another, "slot %s is a %s one: the witness needs a physical one of that name", h.name, k.kind)
		case k.temporary:
			p.refuse(drop, "slot %s is temporary: it ends with the session that made it", h.name)
		case k.walStatus == "lost":
			p.refuse(drop, "slot %s is lost%s: the log that it needs is gone", h.name, because(k.invalidation))
		}
	}
	for _, w := range h.strangers() {
		p.refuse("stop it, or give it another application_name", "pid %d streams as %s and does not read that slot: it would answer in the witness's place", w.pid, h.name)
	}
	if why := h.list.unfit(); why != "" {
		p.refuse(alterStandbys(h.fit().String())+"; "+reloadServer+";  -- or list what has to answer", "synchronous_standby_names (%s) cannot say that every commit waits for the witness: %s", printable(h.standbys), why)
	}
	if h.err != nil {
		p.refuse("mend the list", "%s", h.err)
	}
	if h.source == "command line" && !(h.listed() && h.list.allAnswer()) {
		p.refuse("put it into postgresql.conf instead, and start the server anew", "synchronous_standby_names is set on the server's command line, where no statement can change it")
	}
	if others := h.others(); len(others) > 0 && len(w.unheldRoles) > 0 {
		p.refuse("leave --unheld-roles out", "synchronous_standby_names lists %s: unheld roles would not wait for it either, and their commits could be lost with this server", displayList(others))
	}
}

// fit is the nearest list that can hold the witness.
func (h *holdState) fit() standbyList {
	l := h.list
	l.any = false
	l.names = slices.DeleteFunc(slices.Clone(l.names), func(name string) bool { return name == "*" })
	l, _ = l.with(h.name) // nothing is left that it refuses
	return l.without(h.name)
}

// planGivingUp lets run take the witness out of the list when it cannot answer.
func (p *plan) planGivingUp(s *survey, w setupWish) {
	const without = "the run cannot give hold up by itself: when it cannot answer, commits wait until somebody runs pgwitness hold off"
	if s.version < 150000 {
		if s.role == nil || !s.role.superuser {
			p.note("up to PostgreSQL 14 only a superuser may change synchronous_standby_names: %s", without)
		}
		return
	}
	const about = "The run may give hold up when it cannot answer, and take it up again."
	role := quoteIdent(w.role)
	p.add(&step{
		about:   about,
		subject: "right to change synchronous_standby_names",
		sql:     "grant alter system on parameter synchronous_standby_names to " + role,
		needs:   "superuser",
		done:    s.role != nil && s.role.setStandbys,
		without: without,
	})
	p.add(&step{
		about:   about,
		subject: "right to reload the configuration",
		sql:     "grant execute on function pg_catalog.pg_reload_conf() to " + role,
		needs:   "superuser",
		done:    s.role != nil && s.role.reload,
		without: without,
	})
}

// remarkUnheld notes what an unheld role still lacks.
func (p *plan) remarkUnheld(s *survey, w setupWish, role string) {
	for _, c := range s.hold.commits {
		if c.role == role && c.database && !c.unheld() {
			p.note("role %s has synchronous_commit = %s in this database, which is stronger: there its commits wait", displayPart(role), printable(c.value))
		}
	}
	if !slices.Contains(w.contextRoles, role) && !slices.Contains(s.actor.callers, role) {
		p.note("role %s is not held and may not call set_actor: nobody would know who acts (--context-roles)", displayPart(role))
	}
}

// planStandbys puts the witness's name into the list, when it streams.
func (p *plan) planStandbys(s *survey, slot *step) {
	h := &s.hold
	if h.err != nil || h.list.unfit() != "" { // refused
		return
	}
	list, _ := h.list.with(h.name)
	if n := h.list.n; n < len(h.list.names) && list.n > n {
		p.note("commits will wait for every name of the list, %s; now they wait for %d of them: with that, another would answer while the witness is away", printable(list.String()), n)
	}
	value := list.String()
	put := p.add(&step{
		about: "Hold: from now on the commits of the whole cluster, in every database, wait until pgwitness has seen whose they\n" +
			"are. While it is away they hang; `pgwitness hold off` frees them.",
		subject:  "hold",
		sql:      alterStandbys(value),
		needs:    "superuser; from 15 on, a role with ALTER SYSTEM on synchronous_standby_names and EXECUTE on pg_reload_conf",
		done:     h.listed() && h.list.allAnswer(),
		standbys: &value,
		requires: slot,
	})
	if !put.done && !h.streaming() {
		put.waits = "nobody streams as " + h.name + ", and every commit would hang"
		put.without = "no commit waits for the witness yet: start pgwitness run --hold, then run pgwitness setup --hold again"
	}
}

// takeHoldOff comes first in teardown: with the list set and nobody streaming every commit hangs.
func (p *plan) takeHoldOff(s *survey) *step {
	h := &s.hold
	if h.err != nil || !h.listed() {
		return nil
	}
	if h.source == "command line" {
		p.refuse("take it out there, and start the server anew", "%s is in synchronous_standby_names on the server's command line, where no statement can change it", h.name)
	}
	value := h.list.without(h.name).String()
	return p.add(&step{
		about:    "Hold: no commit waits for the witness any more, and those that wait are free.",
		subject:  "hold",
		sql:      alterStandbys(value),
		needs:    "superuser; from 15 on, a role with ALTER SYSTEM on synchronous_standby_names and EXECUTE on pg_reload_conf",
		standbys: &value,
	})
}

// dropWitness removes the witness's slot, and gives roles back the waiting for standbys that are named as unheld.
func (p *plan) dropWitness(s *survey, f teardownFlags, off *step) {
	h := &s.hold
	if k := h.slot; k != nil {
		switch {
		case k.kind != "physical":
			p.note("slot %s is a %s one, and not the witness's: it stays", h.name, k.kind)
		case k.active:
			p.refuse("pgwitness hold off, then stop pgwitness run", "slot %s is in use by %s", h.name, printable(k.holder))
		}
		if k.kind == "physical" {
			p.add(&step{
				about:    "The witness's slot.",
				subject:  "slot " + h.name,
				sql:      "select pg_drop_replication_slot(" + quoteLiteral(h.name) + ")",
				needs:    "superuser, or a role with REPLICATION",
				requires: off,
			})
		}
	}
	var others []string
	for _, c := range h.commits {
		switch {
		case c.role == "" || c.database || c.value != "local":
		case slices.Contains(f.unheldRoles, c.role):
			p.add(&step{
				about:   "Roles whose commits wait again for the standbys of the list.",
				subject: "synchronous_commit of role " + displayPart(c.role),
				sql:     "alter role " + quoteIdent(c.role) + " reset synchronous_commit",
				needs:   "superuser, or a role with CREATEROLE; from 16 on, with the ADMIN option on it too",
			})
		default:
			others = append(others, c.role)
		}
	}
	if len(others) > 0 && (h.slot != nil || off != nil) {
		p.note("roles with synchronous_commit = local, by setup or by somebody else: %s; --unheld-roles %s resets it", displayList(others), printable(strings.Join(others, ",")))
	}
}
