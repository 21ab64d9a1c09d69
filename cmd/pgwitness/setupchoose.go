package main

import (
	"slices"
)

// choose resolves the wish to tables by name. A chosen partitioned table brings its partitions along: each carries its
// own replica identity, and one that is named stays in the trail when it is detached.
func (p *plan) choose(s *survey, w setupWish) ([]*table, error) {
	chosen := map[*table]bool{}
	switch {
	case w.allTables:
		for _, t := range s.tables {
			if reason := p.unfit(s, t); reason == "" {
				chosen[t] = true
			} else if reason != ours && (t.kind == "r" || t.kind == "p" || t.kind == "f") {
				p.leaveOut(t, reason)
			}
		}
	case len(w.patterns) > 0:
		for _, pattern := range w.patterns {
			if err := p.match(s, pattern, chosen); err != nil {
				return nil, err
			}
		}
	case s.publication == nil:
		return nil, usagef("which tables? --tables 'public.*,billing.invoice' or --all-tables")
	default: // what is published already
		for _, t := range s.tables {
			if t.published && p.unfit(s, t) == "" {
				chosen[t] = true
			}
		}
	}
	for _, t := range s.tables {
		if chosen[t] {
			p.bringPartitions(s, t, chosen)
		}
	}
	var tables []*table
	for _, t := range s.tables {
		if chosen[t] {
			tables = append(tables, t)
			p.remark(t)
		}
	}
	return tables, nil
}

// match adds the tables that one pattern selects. A pattern that selects nothing is a mistake.
func (p *plan) match(s *survey, pattern tablePattern, chosen map[*table]bool) error {
	found, last := false, ""
	for _, t := range s.tables {
		if !pattern.matches(t.schema, t.name) {
			continue
		}
		reason := p.unfit(s, t)
		switch {
		case reason == "":
			chosen[t], found = true, true
		case pattern.exact():
			return usagef("--tables %s: %s", pattern.text, reason)
		default:
			last = reason
			p.leaveOut(t, reason)
		}
	}
	if !found && last != "" {
		return usagef("--tables %s selects no table that can be published: %s", pattern.text, last)
	}
	if !found {
		return usagef("--tables %s selects no table of database %s (names are folded to lower case unless quoted)", pattern.text, displayPart(s.database))
	}
	return nil
}

// leaveOut notes once why a table is left out.
func (p *plan) leaveOut(t *table, reason string) {
	if note := "left out: " + t.String() + ": " + reason; !slices.Contains(p.notes, note) {
		p.notes = append(p.notes, note)
	}
}

func (p *plan) bringPartitions(s *survey, parent *table, chosen map[*table]bool) {
	for _, t := range parent.children {
		if reason := p.unfit(s, t); reason != "" {
			p.leaveOut(t, reason)
			continue
		}
		chosen[t] = true
		p.bringPartitions(s, t, chosen)
	}
}

// ours is the reason that needs no report.
const ours = "it belongs to pgwitness"

// unfit says why a relation cannot be in the trail, or "".
func (p *plan) unfit(s *survey, t *table) string {
	switch {
	case t.schema == ownSchema:
		return ours
	case t.kind == "f":
		return "a foreign table: its rows are not in this server's log"
	case t.kind == "v":
		return "a view"
	case t.kind == "m":
		return "a materialized view: its rows are not in the log"
	case t.persistence == "u":
		return "unlogged: its rows are not in the log"
	case len(t.virtual) > 0 && !t.primaryKey && !(t.identity == "i" && t.identityIndex):
		return "it has a virtual generated column, which no replica identity can contain, and no primary key: its updates would fail"
	case t.publishedElsewhere != "" && len(t.virtual) == 0 && t.identity != "f":
		return "it has a generated column and is in publication " + printable(t.publishedElsewhere) +
			" too, which leaves such columns out: with replica identity full its updates would fail; set publish_generated_columns there"
	}
	return ""
}

// remark notes what the trail of a chosen table will lack.
func (p *plan) remark(t *table) {
	if len(t.virtual) > 0 {
		p.note("%s has a virtual generated column: its old rows carry the key only", t)
	}
}
