package decode

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"maps"
	"slices"
	"strings"
)

// A MaskKind is what a record shows in place of a column's values. Null stays null under all of them.
type MaskKind string

// The kinds of masks.
const (
	MaskRedact MaskKind = "redact"      // "redacted"
	MaskHash   MaskKind = "hash"        // "hmac-sha256:<key id>:<base64url>": equal texts have equal ones, in every table
	MaskLast4  MaskKind = "last4"       // "****" and the last four characters, of a text that has eight or more
	MaskNull   MaskKind = "null-marker" // null
)

// A Mask covers one column of a table, and of everything that inherits it: partitions and children.
type Mask struct {
	Table  Target
	Column string
	Kind   MaskKind

	// MayBeAbsent: neither the catalogue nor a relation of the stream need have the table or the column. So the mask of a
	// name that is no more, or not yet, concerns what bears it in the log.
	MayBeAbsent bool
}

// A Masking is what a restart must know of a table's masks.
type Masking struct {
	Oid     uint32         // the table's
	Masks   []string       // that concern it, by name, sorted
	Columns map[string]int // the numbers of its masked columns (attnum), which they keep when they are renamed
	Hashed  string         // its hashed columns and their key, "" for none: where they are the key's, they decide the routing
}

// String names the mask as a configuration does, but for capitals: each mask has its own name.
func (m *Mask) String() string {
	names := []string{m.Table.Schema, m.Table.Table, m.Column}
	for i, name := range names {
		if strings.ContainsAny(name, `."`) {
			names[i] = `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
		}
	}
	return strings.Join(names, ".")
}

// Masks are all masks of a run. They do not change.
type Masks struct {
	of      map[Target][]*Mask // by the table that each names
	named   map[string]*Mask
	alone   map[Target]bool  // tables that no other mask is missed of
	newHash func() hash.Hash // nil without a key, which nothing else holds: so it cannot be printed
	keyID   string
}

// LeastMaskKey is how long a key of hashes has to be, in bytes: as long as a hash (RFC 2104, section 3).
const LeastMaskKey = sha256.Size

// NewMasks returns nil for none. Of tables in alone no mask is missed: what concerns them by what is known of them is
// all. The key is needed where a mask is a hash.
func NewMasks(list []Mask, alone []Target, key []byte) (*Masks, error) {
	if len(list) == 0 {
		return nil, nil
	}
	ms := &Masks{of: make(map[Target][]*Mask), named: make(map[string]*Mask), alone: make(map[Target]bool)}
	for _, t := range alone {
		ms.alone[t] = true
	}
	for i := range list {
		m := &list[i]
		switch m.Kind {
		case MaskRedact, MaskLast4, MaskNull:
		case MaskHash:
			if len(key) < LeastMaskKey {
				return nil, fmt.Errorf("mask %s: a hash needs a key of %d bytes or more, and this one has %d", m, LeastMaskKey, len(key))
			}
		default:
			return nil, fmt.Errorf("mask %s: unknown kind %q", m, m.Kind)
		}
		ms.of[m.Table] = append(ms.of[m.Table], m)
		ms.named[m.String()] = m
	}
	if len(key) >= LeastMaskKey {
		key = slices.Clone(key)
		ms.newHash = func() hash.Hash { return hmac.New(sha256.New, key) }
		id := ms.newHash()
		id.Write([]byte("pgwitness: the id of a key"))
		ms.keyID = hex.EncodeToString(id.Sum(nil)[:6])
	}
	return ms, nil
}

// KeyID names the key of the hashes: it follows from the key, so two keys have two. "" without a key.
func (ms *Masks) KeyID() string { return ms.keyID }

// Check returns an error when a mask names a table or a column that the catalogue has not: a name that is mistaken, or
// one that was renamed, would be published as it is. The decoder checks again with each relation of the stream.
func (ms *Masks) Check(ctx context.Context, catalogue Catalogue) error {
	if ms == nil {
		return nil
	}
	_, err := ms.check(ctx, catalogue)
	return err
}

// check also returns what the catalogue says of the tables.
func (ms *Masks) check(ctx context.Context, catalogue Catalogue) (map[Target]*TableInfo, error) {
	tables := slices.SortedFunc(maps.Keys(ms.of), func(a, b Target) int {
		return strings.Compare(a.Schema+"\x00"+a.Table, b.Schema+"\x00"+b.Table)
	})
	infos, err := catalogue.Tables(ctx, tables)
	if err != nil {
		return nil, fmt.Errorf("look the masked tables up in the catalogue: %w", err)
	}
	found := make(map[Target]*TableInfo, len(tables))
	for i, t := range tables {
		found[t] = infos[i]
		for _, m := range ms.of[t] {
			switch {
			case m.MayBeAbsent:
			case infos[i] == nil:
				return nil, fmt.Errorf("mask %s: there is no table %s.%s: if it was renamed, name it in mask as it is called now; "+
					"if it was dropped, keep its masks and list them in mask_absent until its last changes are delivered", m, t.Schema, t.Table)
			case !slices.Contains(infos[i].Columns, m.Column):
				return nil, fmt.Errorf("mask %s: the table has no column %s: if it was renamed, add its name of today to mask; "+
					"then list this one in mask_absent until its last changes are delivered", m, m.Column)
			}
		}
	}
	return found, nil
}
