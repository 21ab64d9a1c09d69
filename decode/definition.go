package decode

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The prefixes of the messages that the event triggers of setup write (eventtriggers.sql of cmd/pgwitness).
const (
	rewritePrefix = "pgwitness.rewrite" // a table is about to be rewritten
	ddlPrefix     = "pgwitness.ddl"     // a statement has changed a definition
)

// tells reports whether messages with the prefix become records of the control topic.
func tells(prefix string) bool { return prefix == rewritePrefix || prefix == ddlPrefix }

// A definition is what the event triggers say of a statement and, mostly, one table. In a record it has the same form.
type definition struct {
	Op string `json:"op"`
	place
	Identity string    `json:"identity,omitempty"` // of op identity: the table's replica identity now
	Key      *struct{} `json:"key"`                // a table is no row
	Command  string    `json:"command"`            // the statement's tag, such as ALTER TABLE

	Reason  string          `json:"reason,omitempty"` // of op baseline_broken, and which of the next four is there
	Rewrite []string        `json:"rewrite,omitempty"`
	Columns *changedColumns `json:"columns,omitempty"`
	Type    *typeName       `json:"type,omitempty"`
	From    *place          `json:"from,omitempty"` // where the table's records went before

	WasIdentity string             `json:"was_identity,omitempty"`
	Publication *publicationChange `json:"publication,omitempty"`
	Privilege   *privilege         `json:"privilege,omitempty"`
	SQLState    string             `json:"sqlstate,omitempty"` // of op unexamined: why the statement was not looked at
}

// A place is a table, and the root that it is a partition of.
type place struct {
	Schema string `json:"schema,omitempty"`
	Table  string `json:"table,omitempty"`
	Root   *place `json:"root,omitempty"`
}

type typeName struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
}

// changedColumns are those that read differently in rows of which the statement sent no record.
type changedColumns struct {
	Added   []string  `json:"added,omitempty"`  // null in all rows
	Filled  []string  `json:"filled,omitempty"` // added with a value
	Dropped []string  `json:"dropped,omitempty"`
	Renamed []renamed `json:"renamed,omitempty"`
	Retyped []string  `json:"retyped,omitempty"` // shown as another type does
}

type renamed struct {
	Was string `json:"was"`
	Now string `json:"now"`
}

// A publicationChange concerns one table, one schema or, with Was and Now, the publication itself.
type publicationChange struct {
	Name       string            `json:"name"`
	Change     string            `json:"change"`
	RowFilter  *bool             `json:"row_filter,omitempty"`
	ColumnList *bool             `json:"column_list,omitempty"`
	Was        *publicationTerms `json:"was,omitempty"`
	Now        *publicationTerms `json:"now,omitempty"`
}

type publicationTerms struct {
	Insert    bool `json:"insert"`
	Update    bool `json:"update"`
	Delete    bool `json:"delete"`
	Truncate  bool `json:"truncate"`
	ViaRoot   bool `json:"via_root"`
	AllTables bool `json:"all_tables"`
	Generated bool `json:"generated"` // stored generated columns are published
}

// A privilege is that of writing messages such as these.
type privilege struct {
	Function string `json:"function"`
	Public   bool   `json:"public"` // everybody may
}

// What goes into the control topic is bounded, in bytes: whoever may write messages could otherwise stop the run by one
// that is larger than the topic takes.
const (
	mostDefinition = 256 << 10 // of a message that is believed; 1,600 columns with the longest names, renamed, have 230 KB
	mostUnverified = 1 << 10   // of one that is not
)

// define makes a record of a message of ours. What our functions cannot have written is recorded as it is, and not
// believed.
func (d *Decoder) define(ctx context.Context, prefix string, content []byte, emit func(*Record) error) error {
	def, err := d.parseDefinition(ctx, content)
	if err != nil {
		return err
	}
	if def == nil || (prefix == rewritePrefix) != (def.Reason == "rewrite") {
		return d.enter(prefix, nil, content, emit)
	}
	members, err := def.encode()
	if err != nil {
		return err
	}
	if def.Op == "privilege" && d.source.Unsealed != nil {
		d.source.Unsealed(d.tx.commit)
	}
	return d.enter(prefix, members, content, emit)
}

// enter makes a record of the control topic: of a message's members, or of the message itself when there are none.
func (d *Decoder) enter(prefix string, members, content []byte, emit func(*Record) error) error {
	s := d.spare(len(content))
	d.start(s)
	s.record.Target = Control
	s.value = append(s.value, `",`...)
	if members == nil {
		s.value = appendUnverified(s.value, prefix, true, content)
	} else {
		s.value = append(s.value, members...)
	}
	d.finish(s)
	return d.hold(s, emit)
}

// parseDefinition returns nil for what is no definition. The message is in the database's encoding: the server converts
// none.
func (d *Decoder) parseDefinition(ctx context.Context, content []byte) (*definition, error) {
	if len(content) > mostDefinition {
		return nil, nil
	}
	utf, ok, err := d.source.toUTF8(ctx, content)
	if err != nil || !ok {
		return nil, err
	}
	def := new(definition)
	dec := json.NewDecoder(bytes.NewReader(utf))
	dec.DisallowUnknownFields()
	if dec.Decode(def) != nil {
		return nil, nil
	}
	if _, err := dec.Token(); err != io.EOF || !def.sound() {
		return nil, nil
	}
	return def, nil
}

// encode returns the members of the record's object.
func (def *definition) encode() ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(def); err != nil {
		return nil, err
	}
	return out.Bytes()[1 : out.Len()-2], nil // without the braces and the line's end
}

// appendUnverified appends the members of a message that is under our prefix and not ours.
func appendUnverified(dst []byte, prefix string, transactional bool, content []byte) []byte {
	dst = appendQuoted(append(dst, `"op":"unverified","key":null,"message":{"prefix":`...), prefix)
	dst = strconv.AppendBool(append(dst, `,"transactional":`...), transactional)
	switch {
	case len(content) > mostUnverified:
		dst = strconv.AppendInt(append(dst, `,"bytes":`...), int64(len(content)), 10)
	case utf8.Valid(content):
		dst, _ = appendString(append(dst, `,"content":`...), content)
	default:
		dst = append(hex.AppendEncode(append(dst, `,"content_hex":"`...), content), '"')
	}
	return append(dst, '}')
}

// sound reports whether the message has the shape of its operation.
func (def *definition) sound() bool {
	if def.Key != nil || def.Command == "" || strings.Trim(def.Command, "ABCDEFGHIJKLMNOPQRSTUVWXYZ ") != "" {
		return false
	}
	switch def.Op {
	case "baseline_broken":
		return def.place.sound() && def.reasonSound()
	case "identity":
		return def.place.sound() && slices.Contains(identities, def.Identity) &&
			(def.WasIdentity == "" || slices.Contains(identities, def.WasIdentity))
	case "publication":
		return def.Publication != nil && def.Publication.Name != "" && def.changeSound()
	case "privilege":
		return def.Privilege != nil && def.Privilege.Function != ""
	case "unexamined":
		return len(def.SQLState) == 5
	}
	return false
}

var (
	identities = []string{"default", "index", "full", "nothing"}
	rewrites   = []string{"persistence", "default", "type", "other"}
)

func (def *definition) reasonSound() bool {
	switch def.Reason {
	case "rewrite":
		unknown := func(what string) bool { return !slices.Contains(rewrites, what) }
		return len(def.Rewrite) > 0 && !slices.ContainsFunc(def.Rewrite, unknown)
	case "columns":
		return def.Columns != nil
	case "type":
		return def.Type != nil && def.Type.Schema != "" && def.Type.Name != ""
	case "renamed", "partition":
		return def.From != nil && def.From.sound()
	}
	return false
}

func (def *definition) changeSound() bool {
	p := def.Publication
	changes := []string{"joined", "left", "changed"}
	switch {
	case def.Table != "":
		return def.place.sound() && slices.Contains(changes, p.Change)
	case def.Schema != "":
		return slices.Contains(changes[:2], p.Change)
	}
	return slices.Contains([]string{"created", "dropped", "changed"}, p.Change) && (p.Was != nil || p.Now != nil)
}

func (p *place) sound() bool {
	return p.Schema != "" && p.Table != "" && (p.Root == nil || p.Root.Root == nil && p.Root.sound())
}
