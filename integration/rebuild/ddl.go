package rebuild

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Prefix is that of the logical messages in which a workload says what it did to a table's definition, within the same
// transaction.
const Prefix = "ddl"

// A Definition is one change of a table's definition.
type Definition struct {
	Schema string          `json:"schema"`
	Table  string          `json:"table"`
	Do     string          `json:"do"` // rename, move, drop, add column, drop column, rename column, rewrite
	Column string          `json:"column,omitempty"`
	To     string          `json:"to,omitempty"`
	Value  json.RawMessage `json:"value,omitempty"` // that rows have in an added column
}

// define applies a change of a definition.
func (s *State) define(d Definition) error {
	at := Name{d.Schema, d.Table}
	switch d.Do {
	case "rename", "move":
		to := Name{d.Schema, d.To}
		if d.Do == "move" {
			to = Name{d.To, d.Table}
		}
		if s.tables[to] != nil {
			return fmt.Errorf("%s is there already", to)
		}
		if t := s.tables[at]; t != nil {
			s.tables[to] = t
			delete(s.tables, at)
		}
	case "drop":
		delete(s.tables, at)
	case "add column":
		s.table(at).each(func(r Row) Row { return append(r, Member{d.Column, string(d.Value)}) })
	case "drop column":
		s.table(at).each(func(r Row) Row { return r.Without([]string{d.Column}) })
	case "rename column":
		s.table(at).each(func(r Row) Row {
			if i := r.index(d.Column); i >= 0 {
				r[i].Name = d.To
			}
			return r
		})
	case "rewrite":
		s.table(at).broken = d.Do
	default:
		return fmt.Errorf("unknown change of a definition: %q", d.Do)
	}
	return nil
}

// each replaces every row.
func (t *table) each(f func(Row) Row) {
	for i, r := range t.rows {
		t.rows[i] = f(slices.Clone(r))
	}
}
