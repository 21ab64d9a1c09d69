package main

import (
	"fmt"
	"slices"
	"strings"
)

// setupWish is what setup is asked for.
type setupWish struct {
	slot, publication string
	role              string
	verifier          string // of the role's password; "" leaves the role without one
	failover          bool
	allTables         bool
	patterns          []tablePattern
	contextRoles      []string // may call set_actor
	hold              bool
	unheldRoles       []string  // never wait
	follow            *[]string // take up new tables of these schemas, none for all; nil: leave that as it is
	operations        string    // of a publication that is made
	fewerOperations   bool      // one that is there may have fewer than all
}

// roles are those that have to be there.
func (w setupWish) roles() []string { return slices.Concat(w.contextRoles, w.unheldRoles) }

// planSetup compares the source with the wish. It is pure: the same survey gives the same plan, and the plan made
// after applying proves what took effect.
func planSetup(s *survey, w setupWish) (*plan, error) {
	p := &plan{}
	chosen, err := p.choose(s, w)
	if err != nil {
		return nil, err
	}
	p.refuseServer(s, w)
	p.planRole(s, w)
	publication := p.planPublication(s, w, chosen)
	p.planTables(s, w, chosen, publication)
	p.refuseRoles(s, w)
	schema := p.planSchema(s)
	p.planTriggers(s, w, schema)
	p.planFollow(s, w)
	p.planActor(s, w, schema)
	p.planSlot(s, w, publication)
	if w.hold {
		p.planHold(s, w)
	}
	return p, nil
}

// refuseServer reports what no statement of setup can change.
func (p *plan) refuseServer(s *survey, w setupWish) {
	if s.version < 140000 {
		p.refuse("upgrade the server", "PostgreSQL %s is too old: 14 or later is needed", s.versionText)
	}
	if s.recovery {
		p.refuse("run setup against the primary", "the server is a standby")
	}
	if s.walLevel != "logical" {
		p.refuse("alter system set wal_level = 'logical';  -- then restart the server", "wal_level is %s: the log carries no rows", s.walLevel)
	}
	if w.failover && s.version < 170000 {
		p.refuse("leave --failover out", "failover slots need PostgreSQL 17; this is %s", s.versionText)
	}
}

// refuseRoles reports roles that are named and not there.
func (p *plan) refuseRoles(s *survey, w setupWish) {
	for _, role := range slices.Compact(slices.Sorted(slices.Values(w.roles()))) {
		if !s.named[role] {
			p.refuse("create it, or leave it out", "role %s does not exist", displayPart(role))
		}
	}
}

// planRole gives the role what capture needs and nothing more: it may replicate and see sessions, and read no table.
func (p *plan) planRole(s *survey, w setupWish) {
	role := quoteIdent(w.role)
	create := &step{
		about:   "The role that `pgwitness run` connects as: it may replicate, and read no table.",
		subject: "role " + displayPart(w.role),
		sql:     "create role " + role + " login replication",
		needs:   "superuser; from 16 on, a role with CREATEROLE and REPLICATION",
	}
	if w.verifier != "" {
		create.secret = " password " + quoteLiteral(w.verifier)
	}
	switch {
	case s.role == nil && w.verifier == "":
		p.note("role %s gets no password: give it one with psql's \\password, or allow it in pg_hba.conf without", displayPart(w.role))
	case s.role == nil:
	case s.role.login && s.role.replication:
		create.done = true
		if w.verifier != "" {
			p.note("role %s exists: its password is left as it is", displayPart(w.role))
		}
		if s.role.superuser {
			p.note("role %s is a superuser: more than pgwitness needs", displayPart(w.role))
		}
	default:
		create.sql, create.secret = "alter role "+role+" login replication", ""
		create.needs = "superuser; from 16 on, a role with CREATEROLE, REPLICATION and the ADMIN option on it"
	}
	p.add(create)
	p.add(&step{
		about:    "It sees who is connected: which session made which change.",
		subject:  "membership in pg_read_all_stats",
		sql:      "grant pg_read_all_stats to " + role,
		needs:    "superuser, or the ADMIN option on pg_read_all_stats; up to 15, a role with CREATEROLE",
		done:     s.role != nil && s.role.readStats,
		requires: create,
	})
	if s.role == nil && !s.anyConnect || s.role != nil && !s.role.connect {
		p.add(&step{
			about:    "It may connect to this database.",
			subject:  "right to connect",
			sql:      "grant connect on database " + quoteIdent(s.database) + " to " + role,
			needs:    "the owner of the database",
			requires: create,
		})
	}
}

// planPublication comes before the slot: a slot that is older than its publication cannot find it
// (FACTS-pgoutput.md, Relations).
func (p *plan) planPublication(s *survey, w setupWish, chosen []*table) *step {
	name := quoteIdent(w.publication)
	generated := s.version >= 180000 && slices.ContainsFunc(chosen, func(t *table) bool { return len(t.stored) > 0 })
	create := p.add(&step{
		about: "The publication says what is captured: " + captured(w.operations) + ", each partition under its own name. It lists tables by\n" +
			"name; FOR ALL TABLES would make updates fail on every later table without a key.",
		subject: "publication " + displayPart(w.publication),
		sql:     "create publication " + name + " with (publish = '" + w.operations + "', publish_via_partition_root = false",
		needs:   "CREATE on the database",
	})
	if generated {
		create.sql += ", publish_generated_columns = stored"
	}
	create.sql += ")"
	pub := s.publication
	if pub == nil {
		return create
	}
	create.done = true
	switch verbs := pub.verbs(); {
	case verbs == allOperations:
	case w.fewerOperations:
		p.note("publication %s leaves verbs out, as is allowed: it publishes %s", displayPart(w.publication), verbs)
	default:
		p.refuse("alter publication "+name+" set (publish = '"+allOperations+"');",
			"publication %s leaves verbs out: it publishes %s", displayPart(w.publication), verbs)
	}
	if pub.viaRoot {
		p.refuse("alter publication "+name+" set (publish_via_partition_root = false);",
			"publication %s has publish_via_partition_root: a TRUNCATE of one partition would be lost", displayPart(w.publication))
	}
	if pub.allTables {
		p.note("publication %s is FOR ALL TABLES: updates and deletes fail on tables without a replica identity", displayPart(w.publication))
	}
	if generated {
		return p.add(&step{
			about:   "Stored generated columns are published: without that, updates of their tables fail under replica identity full.",
			subject: "publish_generated_columns",
			sql:     "alter publication " + name + " set (publish_generated_columns = stored)",
			needs:   "the owner of the publication",
			done:    pub.generated,
		})
	}
	return create
}

// allOperations is what a publication sends that leaves nothing out, as SQL has it.
const allOperations = "insert, update, delete, truncate"

// operationsOf reads a list of operations and puts it into SQL's order.
func operationsOf(list string) (string, error) {
	asked := strings.Split(strings.ReplaceAll(list, " ", ""), ",")
	known := strings.Split(allOperations, ", ")
	for _, o := range asked {
		if !slices.Contains(known, o) {
			return "", fmt.Errorf("%q is not allowed; allowed: some of %s", o, allOperations)
		}
	}
	return strings.Join(slices.DeleteFunc(known, func(o string) bool { return !slices.Contains(asked, o) }), ", "), nil
}

func captured(operations string) string {
	if operations == allOperations {
		return "all four verbs"
	}
	return operations + " alone"
}

func (p *publication) verbs() string {
	var verbs []string
	for _, v := range []struct {
		name string
		on   bool
	}{{"insert", p.insert}, {"update", p.update}, {"delete", p.delete}, {"truncate", p.truncate}} {
		if v.on {
			verbs = append(verbs, v.name)
		}
	}
	if verbs == nil {
		return "nothing"
	}
	return strings.Join(verbs, ", ")
}

// planTables gives each table its replica identity and then adds it to the publication: the other way round, updates of
// a table without a key would fail in between.
func (p *plan) planTables(s *survey, w setupWish, chosen []*table, publication *step) {
	identities := map[*table]*step{}
	for _, t := range chosen {
		identity := "full"
		if len(t.virtual) > 0 { // choose has seen to it that there is a primary key
			identity = "default"
		}
		about := "Replica identity full: the log carries the whole row as it was before a change."
		if len(t.virtual) > 0 {
			about = "A virtual generated column cannot be part of an identity: old rows carry the key only."
		}
		identities[t] = p.add(&step{
			about:    about,
			subject:  "replica identity of " + t.String(),
			sql:      "alter table only " + quoteIdent(t.schema, t.name) + " replica identity " + identity,
			needs:    "the owner of the table",
			done:     t.identity == identity[:1] || len(t.virtual) > 0 && t.identity == "i" && t.identityIndex,
			oid:      t.oid,
			requires: publication,
		})
	}
	for _, t := range chosen {
		p.refuseFilters(w, t)
		p.add(&step{
			about:    "The tables, by name.",
			subject:  "publication of " + t.String(),
			sql:      "alter publication " + quoteIdent(w.publication) + " add table only " + quoteIdent(t.schema, t.name),
			needs:    "the owner of the table and of the publication",
			done:     t.listed || t.published && (s.publication.allTables || slices.Contains(s.publication.schemas, t.schema)),
			oid:      t.oid,
			requires: identities[t],
		})
	}
}

func (p *plan) refuseFilters(w setupWish, t *table) {
	publication, name := quoteIdent(w.publication), quoteIdent(t.schema, t.name)
	mend := "begin; alter publication " + publication + " drop table only " + name + "; alter publication " + publication + " add table only " + name + "; commit;"
	if t.filtered {
		p.refuse(mend, "publication %s has a row filter on %s: changes would be missing", displayPart(w.publication), t)
	}
	if t.columns {
		p.refuse(mend, "publication %s has a column list on %s: columns would be missing", displayPart(w.publication), t)
	}
}

// planSlot comes last. From the moment it exists the server keeps WAL for it.
func (p *plan) planSlot(s *survey, w setupWish, publication *step) {
	sql := "select pg_create_logical_replication_slot(" + quoteLiteral(w.slot) + ", 'pgoutput'"
	if w.failover {
		sql += ", failover => true"
	}
	create := p.add(&step{
		about: "The slot: from now on the server keeps its log until pgwitness has delivered it. It waits for the\n" +
			"transactions that run now to end.",
		subject:  "slot " + w.slot,
		sql:      sql + ")",
		needs:    "superuser, or a role with REPLICATION",
		patient:  true,
		requires: publication,
	})
	k := s.slot
	if k == nil {
		return
	}
	create.done = true
	const another = "choose another name with --slot"
	drop := "select pg_drop_replication_slot(" + quoteLiteral(w.slot) + ");"
	switch {
	case k.kind != "logical":
		p.refuse(another, "slot %s is a physical one", w.slot)
	case k.plugin != "pgoutput":
		p.refuse(another, "slot %s belongs to the output plugin %s; pgoutput is needed", w.slot, printable(k.plugin))
	case k.database != s.database:
		p.refuse(another, "slot %s belongs to database %s, not %s", w.slot, displayPart(k.database), displayPart(s.database))
	case k.walStatus == "lost":
		p.refuse(drop+"  -- then setup again; the trail has a gap", "slot %s is lost%s: the log that it needs is gone, and with it changes that were not delivered", w.slot, because(k.invalidation))
	case s.publication == nil:
		p.refuse(drop+"  -- then setup again", "slot %s is older than the publication, which does not exist: it could not be read", w.slot)
	case w.failover && !k.failover && s.version >= 170000:
		p.refuse("psql 'replication=database dbname="+printable(s.database)+"' -c 'ALTER_REPLICATION_SLOT "+w.slot+" (FAILOVER true)'",
			"slot %s exists and is not a failover slot", w.slot)
	}
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return " (" + printable(reason) + ")"
}
