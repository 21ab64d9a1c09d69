package decode

import (
	"context"
	"fmt"
	"slices"
)

// A kind is a way of showing values (json_categorize_type in jsonfuncs.c, and what the text of a type needs).
type kind uint8

const (
	kindText kind = iota // a string
	kindNumber
	kindBool
	kindTime // timestamp, timestamptz: the date needs no change
	kindJSON
	kindArray
	kindVector // an array whose text is that of a vector
	kindComposite
	kindDomain
	kindHstore
	kindOpaque // a string, because we do not know better
	kindMasked // what the column's mask says
)

// A datatype says how the values of a type are shown.
type datatype struct {
	oid       uint32
	kind      kind
	delimiter byte        // between elements of an array of this type
	base      *datatype   // of a domain
	element   *datatype   // of an array or vector
	fields    []attribute // of a composite
	refused   []int       // numbers of fields that were met and that the catalogue did not know either
	doubted   bool        // a definition has changed since the catalogue was asked for the fields
}

// An attribute is a field of a composite type.
type attribute struct {
	label    []byte // ,"name":
	datatype *datatype
}

// types is what is known of the types that were met: each is looked up once.
type types struct {
	catalogue Catalogue
	known     map[uint32]*datatype
}

// firstNormal is the first oid that does not belong to the system (FirstNormalObjectId in transam.h): only types from
// there on are shown through a cast to json.
const firstNormal = 16384

// of returns the type with that oid.
func (ts *types) of(ctx context.Context, oid uint32) (*datatype, error) {
	if t := ts.known[oid]; t != nil {
		return t, nil
	}
	t := &datatype{oid: oid, delimiter: ','}
	ts.known[oid] = t // before what it is made of, which may be made of it
	if b, ok := builtins[oid]; ok {
		t.kind, t.delimiter = b.kind, ','
		if oid == boxOid {
			t.delimiter = ';'
		}
		if b.element == 0 {
			return t, nil
		}
		var err error
		t.element, err = ts.of(ctx, b.element)
		return t, err
	}
	return t, ts.describe(ctx, t)
}

// describe fills in a type from the catalogue.
func (ts *types) describe(ctx context.Context, t *datatype) (err error) {
	info, err := ts.catalogue.Type(ctx, t.oid)
	if err != nil {
		return fmt.Errorf("look up type %d in the catalogue: %w", t.oid, err)
	}
	if info == nil {
		t.kind = kindOpaque
		return nil
	}
	if info.Delimiter != 0 {
		t.delimiter = info.Delimiter
	}
	switch {
	case info.Kind == 'd':
		t.kind = kindDomain
		if t.base, err = ts.of(ctx, info.Base); err != nil {
			return err
		}
		if t.endless() {
			t.kind, t.base = kindOpaque, nil
		}
	case info.Element != 0:
		t.kind = kindArray
		t.element, err = ts.of(ctx, info.Element)
	case info.Kind == 'c':
		t.kind = kindComposite
		t.fields, err = ts.attributes(ctx, info.Fields)
	case info.CastToJSON && info.Name == "hstore":
		t.kind = kindHstore
	case info.CastToJSON && t.oid >= firstNormal:
		t.kind = kindOpaque
	}
	return err
}

func (ts *types) attributes(ctx context.Context, infos []FieldInfo) ([]attribute, error) {
	list := make([]attribute, len(infos))
	for i, f := range infos {
		list[i].label = append(appendQuoted([]byte{','}, f.Name), ':')
		var err error
		if list[i].datatype, err = ts.of(ctx, f.Type); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// endless reports whether a domain leads to itself, which no server allows.
func (t *datatype) endless() bool {
	for range deepest {
		if t.kind != kindDomain {
			return false
		}
		if t = t.base; t == nil {
			return true
		}
	}
	return true
}

// doubt makes each composite type be asked for again when its next value comes.
func (ts *types) doubt() {
	for _, t := range ts.known {
		if t.kind == kindComposite {
			t.doubted, t.refused = true, nil
		}
	}
}

// renew asks again for a composite type that is in doubt, or of which a value with another number of fields was met: an
// attribute may have been added. It asks once a number, because values from before the change keep coming.
func (ts *types) renew(ctx context.Context, t *datatype, fields int) (fits bool, err error) {
	if slices.Contains(t.refused, fields) {
		return false, nil
	}
	fresh := &datatype{oid: t.oid, delimiter: t.delimiter}
	if err := ts.describe(ctx, fresh); err != nil {
		return false, err
	}
	if fresh.kind == kindComposite && t.doubted {
		t.fields = fresh.fields
	}
	t.doubted = false
	if fresh.kind != kindComposite || len(fresh.fields) != fields {
		t.refused = append(t.refused, fields)
		return false, nil
	}
	t.fields, t.refused = fresh.fields, nil
	return true, nil
}
