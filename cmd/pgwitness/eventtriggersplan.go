package main

import (
	"slices"
	"strings"
)

// planSchema makes the place for functions of our own.
func (p *plan) planSchema(s *survey) *step {
	return p.add(&step{
		about:   "The schema of pgwitness's own functions.",
		subject: "schema " + ownSchema,
		sql:     "create schema " + ownSchema,
		needs:   "CREATE on the database",
		done:    s.triggers.owner != "",
		without: "there are neither event triggers nor set_actor",
	})
}

// planTriggers tells the trail of statements that send no rows, and keeps others from telling it such things.
func (p *plan) planTriggers(s *survey, w setupWish, schema *step) {
	t := &s.triggers
	if !t.trusted {
		mend := "give it to a superuser"
		if list := s.takeOver(); len(list) > 0 {
			mend = strings.Join(list, "; ") + ";  -- as superuser"
		}
		p.refuse(mend+", and revoke CREATE on it and drop what else is in it: see \\dn+ "+ownSchema+" and \\df+ "+ownSchema+".*",
			"schema %s (owner %s) can be changed by others, whose functions the event triggers would run as superuser", ownSchema, displayPart(t.owner))
	}
	missing := t.missing(w.publication)
	if len(missing) > 0 {
		missing = append(s.takeOver(), missing...)
	}
	p.triggers = p.add(&step{
		about: "Event triggers tell the trail of what sends no rows: tables that are rewritten, columns, types and names that\n" +
			"change, tables that leave the publication, replica identities that weaken. They make no statement fail.",
		subject:  "event triggers",
		sql:      strings.Join(missing, ";\n"),
		needs:    "superuser",
		done:     len(missing) == 0,
		requires: schema,
		without:  "the trail is not told when a statement changes what rows read as, or what is published of them",
	})
	p.add(&step{
		about: "Nobody else tells the trail such things, or for whom a transaction acts. An application that writes logical\n" +
			"messages of its own needs a grant to its role.",
		subject: "revocation of logical messages",
		sql:     revokeMessages(s.version, "public"),
		needs:   "superuser",
		done:    !t.forgeable,
		without: "everybody can write messages that look like those of the event triggers and of set_actor",
	})
}

// dropTriggers removes what planTriggers made, unless it watches another publication as well. The right to write logical
// messages is not given back: who had it before is not known.
func (p *plan) dropTriggers(s *survey, cfg *config, slot *step) {
	t := &s.triggers
	others := slices.DeleteFunc(slices.Clone(t.publications), func(name string) bool { return name == cfg.Source.Publication })
	if len(others) > 0 {
		if len(others) < len(t.publications) {
			p.add(&step{
				about:    "The event triggers watch other publications as well, and stay.",
				subject:  "event triggers' publication " + displayPart(cfg.Source.Publication),
				sql:      sqlFunctions[0].watching(others),
				needs:    "superuser",
				requires: slot,
			})
			p.dropFollow(s, cfg.Source.Publication, slot)
		}
		return
	}
	slot = p.dropFollow(s, cfg.Source.Publication, slot)
	if existing := t.existing(); len(existing) > 0 {
		if !t.forgeable {
			p.note("PUBLIC may not call pg_logical_emit_message any more: grant it where an application writes messages")
		}
		slot = p.add(&step{
			about:    "The event triggers, and their functions.",
			subject:  "event triggers",
			sql:      strings.Join(existing, ";\n"),
			needs:    "superuser",
			requires: slot,
		})
	}
	if s.actor.owner != "" {
		slot = p.add(&step{
			about:    "set_actor. Applications that call it fail from now on.",
			subject:  "set_actor",
			sql:      "drop function " + setActorFunctions,
			needs:    "the owner of the functions",
			requires: slot,
		})
	}
	if t.owner != "" && t.others == 0 {
		p.add(&step{
			about:    "The schema, which is empty now.",
			subject:  "schema " + ownSchema,
			sql:      "drop schema " + ownSchema,
			needs:    "the owner of the schema",
			requires: slot,
		})
	}
}

// triggers judges whether the trail is told of statements that send no rows.
func (f *findings) triggers(s *survey, cfg *config) {
	const setup = "pgwitness setup --apply  -- as superuser"
	t := &s.triggers
	if !t.trusted {
		f.warn(aboutSchema, "\\dn+ "+ownSchema+" and \\df+ "+ownSchema+".* show whose it is", "schema %s (owner %s) can be changed by others than superusers", ownSchema, displayPart(t.owner))
	} else if t.owner != "" {
		f.ok(aboutSchema, "only its owner %s can change what is in schema %s", displayPart(t.owner), ownSchema)
	}
	if len(t.triggers) == 0 {
		f.warn(aboutTriggers, setup, "none: rewritten tables, changed columns, types, publications and replica identities are not told")
		return
	}
	wrong := false
	for _, e := range eventTriggers {
		switch does := t.triggers[e.name]; {
		case does == "":
			f.warn(aboutTriggers, setup, "%s is missing: not all changes of definitions are told", e.name)
		case does == e.does && !t.enabled[e.name]:
			f.warn(aboutTriggers, alwaysEnable(e.name)+";  -- as superuser", "%s is disabled, or not enabled always: not all changes of definitions are told", e.name)
		default:
			continue
		}
		wrong = true
	}
	switch {
	case t.off:
		f.warn(aboutTriggers, "alter database "+quoteIdent(s.database)+" reset event_triggers; alter system reset event_triggers; select pg_reload_conf();", "event_triggers is off: changes of definitions are not told")
	case wrong:
	case len(t.missing(cfg.Source.Publication)) == 0:
		f.ok(aboutTriggers, "rewritten tables and changed definitions are told")
	case !slices.Contains(t.publications, cfg.Source.Publication):
		f.warn(aboutTriggers, setup, "they do not watch publication %s", displayPart(cfg.Source.Publication))
	default:
		f.warn(aboutTriggers, setup, "they are not those of this version of pgwitness")
	}
}
