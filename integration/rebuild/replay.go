// Package rebuild makes the tables again from nothing but the records that the topics hold, and compares them with the
// real ones. On the way it finds each change whose old image is not what the row was left as.
package rebuild

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pglogrepl"
)

// A Name is a table's.
type Name struct {
	Schema string `json:"schema"`
	Table  string `json:"table"`
}

func (n Name) String() string { return n.Schema + "." + n.Table }

// A Record is what a replay needs of a record.
type Record struct {
	ID       string          `json:"id"`
	Op       string          `json:"op"`
	Schema   string          `json:"schema"`
	Table    string          `json:"table"`
	Identity string          `json:"identity"`
	Key      json.RawMessage `json:"key"`
	Before   json.RawMessage `json:"before"`
	After    json.RawMessage `json:"after"`
	Missing  []string        `json:"missing"`
	Oversize *struct{}       `json:"oversize"`
	Message  *struct {
		Prefix  string `json:"prefix"`
		Content string `json:"content"`
	} `json:"message"`
	announcement
	Tx struct {
		Ordinal   uint64 `json:"ordinal"`
		CommitLSN string `json:"commit_lsn"`
	} `json:"tx"`

	lsn pglogrepl.LSN
}

// ParseRecord reads a record's value.
func ParseRecord(value []byte) (Record, error) {
	var r Record
	if err := json.Unmarshal(value, &r); err != nil {
		return r, err
	}
	var err error
	r.lsn, err = pglogrepl.ParseLSN(r.Tx.CommitLSN)
	return r, err
}

func (r *Record) name() Name { return Name{r.Schema, r.Table} }

// Sort brings records of several topics into the order of the log, and drops those that are there once a partition.
func Sort(records []Record) []Record {
	slices.SortStableFunc(records, func(a, b Record) int {
		return cmp.Or(cmp.Compare(a.lsn, b.lsn), cmp.Compare(a.Tx.Ordinal, b.Tx.Ordinal))
	})
	return slices.CompactFunc(records, func(a, b Record) bool { return a.ID == b.ID })
}

// A State is what the records say that the tables hold.
type State struct {
	tables map[Name]*table
	by     Teller
}

// A Teller is who says what became of a table's definition: the log has no DDL, and a row that nobody touches looks
// different after it.
type Teller int

const (
	ByWorkload Teller = iota // the workload itself, exactly: by messages (Definition)
	ByTrail                  // the control topic, by the event triggers of setup
)

type table struct {
	rows   []Row
	broken string // why the rows are not to be trusted any more
}

// Replay takes records in the order of the log.
func Replay(records []Record, by Teller) (*State, []Fault) {
	s := &State{tables: make(map[Name]*table), by: by}
	var faults []Fault
	for i := range records {
		r := &records[i]
		if err := s.apply(r); err != nil {
			faults = append(faults, Fault{r.name(), fmt.Sprintf("%s of %s: %v", r.Op, r.ID, err)})
		}
	}
	return s, faults
}

func (s *State) table(n Name) *table {
	t := s.tables[n]
	if t == nil {
		t = new(table)
		s.tables[n] = t
	}
	return t
}

func (s *State) apply(r *Record) error {
	switch {
	case r.Op == "message":
		if r.Message == nil || r.Message.Prefix != Prefix || s.by != ByWorkload {
			return nil
		}
		var d Definition
		if err := json.Unmarshal([]byte(r.Message.Content), &d); err != nil {
			return err
		}
		return s.define(d)
	case announces(r.Op):
		if s.by == ByTrail {
			s.announced(r)
		}
		return nil
	case r.Oversize != nil:
		s.table(r.name()).broken = "oversize"
		return nil
	}
	t := s.table(r.name())
	if r.Op == "truncate" {
		t.rows, t.broken = nil, ""
		return nil
	}
	var before, after Row
	for _, image := range []struct {
		raw json.RawMessage
		row *Row
	}{{r.Before, &before}, {r.After, &after}} {
		if image.raw == nil {
			continue
		}
		row, err := ParseRow(string(image.raw))
		if err != nil {
			return err
		}
		*image.row = row
	}
	err := t.change(r, before, after)
	if t.broken != "" {
		return nil
	}
	return err
}

func (t *table) change(r *Record, before, after Row) error {
	if r.Op == "insert" {
		t.rows = append(t.rows, after)
		if len(r.Missing) > 0 {
			return fmt.Errorf("%v is missing", r.Missing)
		}
		return nil
	}
	i, err := t.find(r, before)
	if err != nil {
		if r.Op == "update" && t.broken != "" {
			t.rows = append(t.rows, after)
		}
		return err
	}
	previous := t.rows[i]
	if r.Op == "delete" {
		t.rows = slices.Delete(t.rows, i, i+1)
		return nil
	}
	if len(r.Missing) > 0 {
		after = previous.overlay(after)
	}
	t.rows[i] = after
	return nil
}

// find looks for the row that a record changes: under full the one with these very bytes, otherwise the one with the
// key, which must agree with what is known of the old row.
func (t *table) find(r *Record, before Row) (int, error) {
	if r.Identity == "full" && len(r.Missing) == 0 {
		text := before.String()
		for i, row := range t.rows {
			if len(row) == len(before) && row.agrees(before) && row.String() == text {
				return i, nil
			}
		}
		return 0, fmt.Errorf("before is no row's previous after: %.2000s\nrows:\n%.2000s", text, t)
	}
	if len(r.Key) == 0 || string(r.Key) == "null" {
		return 0, fmt.Errorf("no key to find the row by")
	}
	key, err := ParseRow(string(r.Key))
	if err != nil {
		return 0, err
	}
	for i := range key { // in the new key's partition the record bears the new key
		if was, ok := before.Get(key[i].Name); ok {
			key[i].Value = was
		}
	}
	i := slices.IndexFunc(t.rows, func(row Row) bool { return row.agrees(key) })
	if i < 0 {
		return 0, fmt.Errorf("no row has the key %s", key)
	}
	if !t.rows[i].agrees(before) {
		return 0, fmt.Errorf("before does not agree with the previous after: %.2000s\nwhich is %.2000s", before, t.rows[i])
	}
	return i, nil
}

// String lists the rows, sorted.
func (t *table) String() string { return strings.Join(t.texts(), "\n") }

func (t *table) texts() []string {
	texts := make([]string, len(t.rows))
	for i, row := range t.rows {
		texts[i] = row.String()
	}
	slices.Sort(texts)
	return texts
}
