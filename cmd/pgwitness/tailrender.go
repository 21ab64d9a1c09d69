package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A shownRecord is what a line shows of a record (docs: the record's format).
type shownRecord struct {
	Op       string          `json:"op"`
	Schema   string          `json:"schema"`
	Table    string          `json:"table"`
	Key      json.RawMessage `json:"key"`
	Before   json.RawMessage `json:"before"`
	After    json.RawMessage `json:"after"`
	Changed  []string        `json:"changed"`
	Missing  []string        `json:"missing"`
	Oversize json.RawMessage `json:"oversize"`
	Gap      json.RawMessage `json:"gap"`
	Observed json.RawMessage `json:"observed"`
	Message  struct {
		Prefix  string          `json:"prefix"`
		Content json.RawMessage `json:"content"`
	} `json:"message"`
	Truncate struct {
		Cascade         bool `json:"cascade"`
		RestartIdentity bool `json:"restart_identity"`
	} `json:"truncate"`
	Masked map[string]string `json:"masked"`
	Actor  shownActor        `json:"actor"`
}

type shownActor struct {
	Evidence    string          `json:"evidence"`
	User        string          `json:"user"`
	Application string          `json:"application"`
	Client      string          `json:"client"`
	Context     json.RawMessage `json:"context"`
	Conflict    json.RawMessage `json:"conflict"`
}

// renderRecord makes a line of a record's value. Values stay as the record has them, in JSON: so a string cannot be
// taken for a number, and nothing can pretend to be another column. ok is false for what a person need not see.
func renderRecord(value []byte, committed time.Time) (l line, ok bool) {
	var r shownRecord
	if err := json.Unmarshal(value, &r); err != nil || r.Op == "" {
		l.add(plain, "not a record of pgwitness: ")
		l.add(plain, string(value))
		return l, true
	}
	switch r.Op {
	case "bound", "routing", "observed", "coverage": // the trail's bookkeeping
		return l, false
	}
	l.add(dim, committed.UTC().Format("2006-01-02T15:04:05.000Z"))
	l.add(bold, "  "+r.Actor.text())
	l.add(styleOf(r.Op), "  "+r.Op)
	switch r.Op {
	case "insert", "update", "delete":
		l.add(plain, " "+displayName(r.Schema, r.Table))
		key := r.keyFields()
		for _, f := range key {
			l.add(plain, " "+displayPart(f.name)+"="+f.value)
		}
		l.addColumns(r, key)
	case "truncate":
		l.add(plain, " "+displayName(r.Schema, r.Table))
		if r.Truncate.Cascade {
			l.add(plain, " cascade")
		}
		if r.Truncate.RestartIdentity {
			l.add(plain, " restart identity")
		}
	case "message":
		l.add(plain, " "+r.Message.Prefix+" "+string(r.Message.Content))
	default: // of the control topic: what it says, but for what stands above already
		if r.Table != "" {
			l.add(plain, " "+displayName(r.Schema, r.Table))
		}
		about := fields(value)
		switch {
		case r.Gap != nil:
			about = fields(r.Gap)
		case r.Observed != nil:
			about = fields(r.Observed)
		}
		for _, f := range about {
			if !slices.Contains(bookkeeping, f.name) && (r.Table == "" || f.name != "schema" && f.name != "table") {
				l.add(plain, " "+displayPart(f.name)+"="+f.value)
			}
		}
	}
	return l, true
}

// bookkeeping are the members of a record of the control topic that a line leaves out.
var bookkeeping = []string{"id", "op", "key", "actor", "tx", "source", "state", "routes", "former", "ends", "whole"}

// keyFields are the key's columns; without a key, a row that changed is known by what did not change.
func (r shownRecord) keyFields() []field {
	key := fields(r.Key)
	if key == nil && r.Op == "update" {
		key = slices.DeleteFunc(r.image(r.Before), func(f field) bool { return slices.Contains(r.Changed, f.name) })
	}
	return key
}

func styleOf(op string) style {
	switch op {
	case "insert":
		return green
	case "update":
		return yellow
	case "delete", "truncate", "gap", "baseline_broken", "unexamined", "unverified":
		return red
	}
	return cyan
}

// addColumns adds the columns that changed, or all of them but the key where the row came or went.
func (l *line) addColumns(r shownRecord, key []field) {
	switch r.Op {
	case "update":
		before, after := r.image(r.Before), r.image(r.After)
		for _, name := range r.Changed {
			l.addDifference(displayPart(name), valueOf(before, name), valueOf(after, name))
		}
	case "insert":
		l.addRow(r.image(r.After), key, green)
	case "delete":
		l.addRow(r.image(r.Before), key, red)
	}
	switch {
	case r.Oversize != nil:
		l.add(dim, "  (too large for the topic, left out: "+strings.Join(r.Missing, ", ")+")")
	case len(r.Missing) > 0:
		l.add(dim, fmt.Sprintf("  (not in the log: %s)", strings.Join(r.Missing, ", ")))
	}
}

// image reads the members of an image. What a mask has made null is not to be taken for it.
func (r shownRecord) image(object json.RawMessage) []field {
	list := fields(object)
	for i := range list {
		if r.Masked[list[i].name] == "null-marker" {
			list[i].value = "(masked)"
		}
	}
	return list
}

func (l *line) addRow(image []field, key []field, s style) {
	for _, f := range image {
		if !slices.ContainsFunc(key, func(k field) bool { return k.name == f.name }) {
			l.add(plain, "  "+displayPart(f.name)+" ")
			l.add(s, f.value)
		}
	}
}

// text names an actor: the application's word for its user first, where it gave one, then the session.
func (a shownActor) text() string {
	var session []string
	for _, s := range []string{a.Application, a.Client} {
		if s != "" {
			session = append(session, s)
		}
	}
	who := a.User
	switch {
	case a.Evidence == "": // a record of the control topic
		return "pgwitness"
	case who == "":
		who = "unknown"
	}
	if len(session) > 0 {
		who += " (" + strings.Join(session, " ") + ")"
	}
	words := fields(a.Context)
	if user := valueOf(words, "user_id"); user != "?" {
		who = strings.Trim(user, `"`) + " as " + who
	}
	if a.Evidence == "context-unverified" {
		who += " unverified"
	}
	if a.Conflict != nil {
		who += " in conflict"
	}
	if reason := valueOf(words, "reason"); reason != "?" {
		who += ": " + strings.Trim(reason, `"`)
	}
	return who
}

// A field is a member of a JSON object, in its order, its value as it was written.
type field struct{ name, value string }

func valueOf(fields []field, name string) string {
	for _, f := range fields {
		if f.name == name {
			return f.value
		}
	}
	return "?" // not in the log
}

// fields reads the members of an object; anything else has none.
func fields(object json.RawMessage) []field {
	d := json.NewDecoder(bytes.NewReader(object))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil
	}
	var list []field
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return list
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return list
		}
		text, _ := name.(string)
		list = append(list, field{text, string(value)})
	}
	return list
}
