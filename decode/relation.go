package decode

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// A relation is the plan of a table's records: everything about them that does not depend on the row.
type relation struct {
	title    string // for errors
	target   *Target
	root     *Target // nil unless the table is a partition
	primary  []string
	identity byte // d default, i index, f full, n nothing (pg_class.relreplident)
	columns  []column
	key      []int    // the key's columns
	keyNames []string // their names
	heads    [4][]byte
	every    []byte // "missing" with every column
	weight   int    // bytes of all labels, and of hashes

	names   []Target // all that it goes by, for masks
	masks   []*Mask  // that concern it
	masking *Masking // the same, for its records
}

// A column is a table's column and how its values are shown.
type column struct {
	name     string
	label    []byte // ,"name":
	identity bool   // part of the replica identity; under full each one is
	datatype *datatype
	mask     MaskKind // "" for none
}

// The operations of a relation's records, as indexes of its heads.
const (
	opInsert = iota
	opUpdate
	opDelete
	opTruncate
)

var operations = [...]string{opInsert: "insert", opUpdate: "update", opDelete: "delete", opTruncate: "truncate"}

// relation reads an R. It is sent before a relation's first change and again after whatever may have changed it (rel
// cache invalidation, pgoutput.c). The catalogue is asked each time: a new primary key or root does not show in an R.
func (d *Decoder) relation(ctx context.Context, data []byte) error {
	c := cursor{rest: data[1:]}
	oid := c.uint32()
	if !d.tx.open {
		return errOutside
	}
	d.where = fmt.Sprintf("relation %d", oid)
	r, err := d.readRelation(ctx, &c)
	if err != nil {
		return err
	}
	now, err := d.types.catalogue.Relation(ctx, oid)
	if err != nil {
		return fmt.Errorf("look it up in the catalogue: %w", err)
	}
	info, known := now, d.relations[oid]
	if d.source.Settle != nil {
		info = d.source.Settle(r.target, now)
	}
	if info == nil && known != nil { // it is gone by now; what was known of it still is
		r.root, info = known.root, &RelationInfo{PrimaryKey: known.primary}
	}
	if info == nil {
		info = new(RelationInfo)
	}
	if info.RootTable != "" {
		r.root = d.target(info.RootSchema, info.RootTable)
	}
	r.primary = info.PrimaryKey
	r.setKey(info.PrimaryKey)
	if err := d.cover(ctx, r, oid, known, now); err != nil {
		return err
	}
	r.setHeads()
	d.relations[oid] = r
	return nil
}

func (d *Decoder) readRelation(ctx context.Context, c *cursor) (*relation, error) {
	rawSchema, rawTable := c.text(), c.text()
	r := &relation{identity: c.byte()}
	n := int(c.uint16())
	if c.short || n > len(c.rest) {
		return nil, errShort
	}
	schema, err := d.name(ctx, rawSchema)
	if err != nil {
		return nil, err
	}
	if schema == "" {
		schema = "pg_catalog" // logicalrep_write_namespace in proto.c
	}
	table, err := d.name(ctx, rawTable)
	if err != nil {
		return nil, err
	}
	r.target = d.target(schema, table)
	r.title = schema + "." + table
	d.where = r.title
	if r.identityName() == "" {
		return nil, fmt.Errorf("unknown replica identity %q", r.identity)
	}
	r.columns = make([]column, n)
	for i := range r.columns {
		if err := d.readColumn(ctx, c, &r.columns[i]); err != nil {
			return nil, err
		}
	}
	return r, c.done()
}

func (d *Decoder) readColumn(ctx context.Context, c *cursor, col *column) error {
	flags, raw, oid := c.byte(), c.text(), c.uint32()
	c.uint32()
	if c.short {
		return errShort
	}
	if flags > 1 {
		return fmt.Errorf("unknown flags %#x of a column", flags)
	}
	name, err := d.name(ctx, raw)
	if err != nil {
		return err
	}
	col.name, col.identity = name, flags == 1
	col.label = append(appendQuoted([]byte{','}, name), ':')
	col.datatype, err = d.types.of(ctx, oid)
	return err
}

// setKey decides which columns are the row's key: those of the replica identity where it is chosen, otherwise the
// primary key, which the stream does not tell. They stand in the table's order, so that a key reads the same under
// each identity; a partition's in the order of their names, so that it reads the same in each partition, each of which
// may have its columns in another order.
func (r *relation) setKey(primary []string) {
	chosen := r.chosen()
	if !chosen && !r.has(primary) {
		return // the catalogue is ahead of the stream
	}
	for i, col := range r.columns {
		if chosen && col.identity || !chosen && slices.Contains(primary, col.name) {
			r.key = append(r.key, i)
		}
	}
	if r.root != nil {
		slices.SortFunc(r.key, func(a, b int) int { return strings.Compare(r.columns[a].name, r.columns[b].name) })
	}
	for _, i := range r.key {
		r.keyNames = append(r.keyNames, r.columns[i].name)
	}
}

// chosen reports whether the replica identity is a choice of columns.
func (r *relation) chosen() bool { return r.identity == 'd' || r.identity == 'i' }

// has reports whether the relation has a column of each of the names.
func (r *relation) has(names []string) bool {
	for _, name := range names {
		if !slices.ContainsFunc(r.columns, func(col column) bool { return col.name == name }) {
			return false
		}
	}
	return true
}

// setHeads encodes what stands between the id and the key.
func (r *relation) setHeads() {
	for op, name := range operations {
		head := fmt.Appendf(nil, `","op":"%s"`, name)
		head = appendTarget(head, r.target)
		if r.root != nil {
			head = append(head, `,"root":{`...)
			root := appendTarget(nil, r.root)
			head = append(append(head, root[1:]...), '}')
		}
		head = fmt.Appendf(head, `,"identity":"%s"`, r.identityName())
		if op != opTruncate {
			head = r.appendMasks(head)
		}
		r.heads[op] = append(head, `,"key":`...)
	}
	r.every = append(r.every, `,"missing":[`...)
	for i := range r.columns {
		r.every = appendListed(r.every, i == 0, &r.columns[i])
		r.weight += len(r.columns[i].label)
		if r.columns[i].mask == MaskHash {
			r.weight += hashWeight
		}
	}
	r.every = append(r.every, ']')
}

// appendListed appends the column's name to a list of names.
func appendListed(dst []byte, first bool, col *column) []byte {
	name := col.label[:len(col.label)-1]
	if first {
		name = name[1:]
	}
	return append(dst, name...)
}

func appendTarget(dst []byte, t *Target) []byte {
	dst = appendQuoted(append(dst, `,"schema":`...), t.Schema)
	return appendQuoted(append(dst, `,"table":`...), t.Table)
}

func (r *relation) identityName() string {
	switch r.identity {
	case 'd':
		return "default"
	case 'i':
		return "index"
	case 'f':
		return "full"
	case 'n':
		return "nothing"
	}
	return ""
}

// target hands out one pointer a table.
func (d *Decoder) target(schema, table string) *Target {
	t := Target{Schema: schema, Table: table}
	if d.targets[t] == nil {
		d.targets[t] = &t
	}
	return d.targets[t]
}
