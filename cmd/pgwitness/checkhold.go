package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// holding judges hold, where something of it is there.
func (f *findings) holding(ctx context.Context, s *survey, cfg *config, server *serverState) {
	h := &s.hold
	if h.list.wildcard() {
		f.warn(aboutHold, "list what has to answer instead", "synchronous_standby_names holds *: every reader of the log counts as a standby, that of pgwitness run too")
	}
	if h.slot == nil && !h.listed() && len(h.senders) == 0 {
		f.note(aboutHold, "not set up: no commit waits, and sessions are named by what else is known of them (pgwitness setup --hold)")
		return
	}
	commit, err := tryReplication(ctx, cfg, "on")
	if err != nil {
		f.wrong(aboutHoldConnection, "allow it in pg_hba.conf: host replication "+printable(s.me.name)+" ADDRESS scram-sha-256", "no physical replication connection: %s", err)
	} else {
		f.ok(aboutHoldConnection, "a physical replication connection opens")
	}
	f.witness(s, cfg, server)
	f.standbys(s)
	f.levels(s, commit)
	f.givingUp(s)
}

// witness judges the witness's slot and who streams under its name.
func (f *findings) witness(s *survey, cfg *config, server *serverState) {
	h := &s.hold
	drop := "select pg_drop_replication_slot(" + quoteLiteral(h.name) + ");  -- then pgwitness setup --hold --apply"
	switch k := h.slot; {
	case k == nil:
		f.wrong(aboutHoldSlot, "pgwitness setup --hold --apply", "slot %s does not exist", h.name)
	case k.kind != "physical":
		f.wrong(aboutHoldSlot, "choose another name with --slot", "slot %s is a %s one: the witness needs a physical one", h.name, k.kind)
	case k.walStatus == "lost":
		f.wrong(aboutHoldSlot, drop, "slot %s is lost%s: the log that it needs is gone, and commits in it are without a witness", h.name, because(k.invalidation))
	case k.active:
		f.ok(aboutHoldSlot, "slot %s is read by %s", h.name, k.holder)
	case !h.listed():
		f.note(aboutHoldSlot, "slot %s: nobody reads it; the server keeps %s of log for it", h.name, bytesText(k.retainedBytes))
	}
	for _, w := range h.strangers() {
		f.wrong(aboutHoldSenders, "stop it, or give it another application_name", "pid %d streams as %s and does not read that slot: it answers in the witness's place", w.pid, h.name)
	}
	wanted := 0
	for _, k := range []*slot{s.slot, h.slot} {
		if k == nil || !k.active {
			wanted++
		}
	}
	if free := server.maxWalsenders - server.walsenders; free < wanted {
		f.wrong(aboutHoldSenders, "raise max_wal_senders and restart the server", "pgwitness run --hold needs %d walsenders more, and %d of %d are free", wanted, max(free, 0), server.maxWalsenders)
	}
	f.otherwise(aboutHoldSenders, "there is a walsender for the witness, and nobody else bears its name")
	if h.slot == nil && server.slots >= server.maxSlots {
		f.wrong(aboutSlots, "drop a slot, or raise max_replication_slots and restart the server", "no slot is left for the witness: all %d are taken", server.maxSlots)
	}
}

// standbys judges whether commits wait for the witness, and whether it answers.
func (f *findings) standbys(s *survey) {
	h := &s.hold
	switch {
	case h.err != nil:
		f.wrong(aboutHold, "mend the list", "%s", h.err)
	case !h.listed():
		f.warn(aboutHold, "start pgwitness run --hold, then pgwitness setup --hold --apply", "%s is not in synchronous_standby_names (%s): no commit waits for it", h.name, listText(h.standbys))
	case !h.streaming() && !s.me.readStats && len(h.senders) > 0:
		f.note(aboutHold, "whether the witness streams cannot be seen: the role is no member of pg_read_all_stats")
	case !h.streaming():
		f.wrong(aboutHold, "pgwitness hold off  -- frees them; or start pgwitness run --hold", "every commit of the cluster waits: %s is in synchronous_standby_names, and nobody streams as that", h.name)
	case h.list.allAnswer():
		f.ok(aboutHold, "every commit waits for the witness (%s)", printable(h.standbys))
	}
	if h.listed() && !h.list.allAnswer() {
		f.warn(aboutHold, "pgwitness setup --hold --apply", "synchronous_standby_names is %s: another standby answers while the witness is away, and those commits are not held", printable(h.standbys))
	}
}

// levels judges who waits, and for what.
func (f *findings) levels(s *survey, commit string) {
	h := &s.hold
	back := "alter system set synchronous_commit = on; " + reloadServer + ";"
	switch commit {
	case "":
	case "local", "off":
		f.wrong(aboutHoldLevel, back, "synchronous_commit is %s: commits wait for nobody", commit)
	case "remote_write":
		f.ok(aboutHoldLevel, "synchronous_commit is remote_write: no commit before its session was seen")
	default:
		f.ok(aboutHoldLevel, "synchronous_commit is %s: no commit before its session stands in Kafka", printable(commit))
	}
	var unheld []string
	for _, c := range h.commits {
		if !c.unheld() {
			continue
		}
		switch {
		case c.role == "":
			f.warn(aboutHoldLevel, "alter database "+quoteIdent(s.database)+" reset synchronous_commit;", "synchronous_commit is %s in this database: its commits wait for nobody", c.value)
		case c.database:
			unheld = append(unheld, displayPart(c.role)+" (in this database)")
		default:
			unheld = append(unheld, displayPart(c.role))
		}
	}
	if len(unheld) > 0 {
		f.note(aboutHoldRoles, "roles whose commits do not wait (synchronous_commit local or off): %s", strings.Join(unheld, ", "))
	}
	for _, c := range h.commits {
		if c.role != "" && c.unheld() && !slices.Contains(s.actor.callers, c.role) && !s.actor.public {
			f.warn(aboutHoldRoles.of(displayPart(c.role)), fmt.Sprintf("pgwitness setup --context-roles %s --apply", printable(c.role)), "%s is not held and may not call set_actor: nobody knows who acts", displayPart(c.role))
		}
	}
	f.otherwise(aboutHoldRoles, "no role's commits are let through")
}

// givingUp judges whether the run can free the commits when it cannot answer.
func (f *findings) givingUp(s *survey) {
	const without = "the run cannot give hold up by itself: when it cannot answer, commits wait until somebody runs pgwitness hold off"
	switch {
	case s.me.setStandbys && s.me.reload:
		f.ok(aboutHoldRelease, "the run may give hold up when it cannot answer")
	case s.version < 150000:
		f.warn(aboutHoldRelease, "upgrade to 15 or later, or run it as a superuser", "up to PostgreSQL 14 only a superuser may change synchronous_standby_names: %s", without)
	default:
		f.warn(aboutHoldRelease, "pgwitness setup --hold --apply  -- as superuser", "%s may not change synchronous_standby_names and reload the configuration: %s", displayPart(s.me.name), without)
	}
}
