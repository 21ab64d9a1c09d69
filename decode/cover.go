package decode

import (
	"context"
	"fmt"
	"slices"
)

// masked is the type of every masked column, whatever its own is.
var masked = &datatype{kind: kindMasked}

// cover puts the masks into a relation's plan. A mask concerns a relation by each name that it goes by: in the stream, in
// the catalogue, which may be ahead, and by those of the tables that it inherits from. Whatever leaves a doubt about a
// mask ends the session: known is the relation as it was before, now what the catalogue says, nil when it is gone.
func (d *Decoder) cover(ctx context.Context, r *relation, oid uint32, known *relation, now *RelationInfo) error {
	masks := d.source.Masks
	if masks == nil {
		return nil
	}
	tables, err := masks.check(ctx, d.types.catalogue)
	if err != nil {
		return err
	}
	former := d.former(oid, r, known)
	r.goBy(masks, oid, former, now)
	for _, name := range r.names {
		for _, m := range masks.of[name] {
			if err := r.mask(m, tables[name]); err != nil {
				return err
			}
		}
	}
	if !masks.alone[*r.target] {
		if err := r.miss(masks, oid, former, now); err != nil {
			return err
		}
		if err := r.doubt(masks, tables, known, now); err != nil {
			return err
		}
	}
	for _, i := range r.key {
		if kind := r.columns[i].mask; kind != "" && kind != MaskHash {
			return fmt.Errorf("column %s is part of the key and masked by %s: a key can be masked by %s only", r.columns[i].name, kind, MaskHash)
		}
	}
	r.setMasking(oid, masks, now)
	return nil
}

// former is how the relation was masked, in this session and when its latest record was sent.
func (d *Decoder) former(oid uint32, r, known *relation) (list []Masking) {
	if d.source.Recall != nil {
		list = d.source.Recall(oid, r.target)
	}
	if known != nil && known.masking != nil {
		list = append(slices.Clip(list), *known.masking)
	}
	return list
}

// miss returns an error when a mask has lost what it concerned: the relation, so that its column is masked by no other
// one, or the column, which has another name by now. A mask that is not configured any more was taken away on purpose.
func (r *relation) miss(masks *Masks, oid uint32, former []Masking, now *RelationInfo) error {
	for _, was := range former {
		for _, name := range was.Masks {
			m := masks.named[name]
			if m == nil {
				continue
			}
			lost := !slices.Contains(r.masks, m) && !r.hides(m.Column)
			if lost && (was.Oid == oid || r.has([]string{m.Column})) {
				return fmt.Errorf("mask %s does not concern it any more: it was renamed, or does not inherit from %s.%s now: add its own "+
					"name to mask; where its column has another name, too, list %s in mask_absent as well",
					m, m.Table.Schema, m.Table.Table, r.title)
			}
			if column := now.columnOf(was.Columns[m.Column]); was.Oid == oid && column != "" && !r.hides(column) {
				return fmt.Errorf("mask %s: the column that it concerned is called %s now: add that to mask as well, or list %s in "+
					"mask_absent if it may be shown", m, column, r.title)
			}
		}
	}
	return nil
}

// hides reports whether a mask that concerns the relation names the column, which it need not have here.
func (r *relation) hides(column string) bool {
	return slices.ContainsFunc(r.masks, func(m *Mask) bool { return m.Column == column })
}

// columnOf is the name of the column with that number, "" where none has it.
func (info *RelationInfo) columnOf(number int) string {
	if info != nil {
		for column, n := range info.Columns {
			if n == number {
				return column
			}
		}
	}
	return ""
}

// goBy collects the names that a relation goes by.
func (r *relation) goBy(masks *Masks, oid uint32, former []Masking, now *RelationInfo) {
	add := func(t Target) {
		if t.Table != "" && !slices.Contains(r.names, t) {
			r.names = append(r.names, t)
		}
	}
	add(*r.target)
	if r.root != nil {
		add(*r.root)
	}
	if now != nil {
		add(Target{now.Schema, now.Table})
		for _, t := range now.Parents {
			add(t)
		}
		return
	}
	for _, was := range former { // it is gone: what masked it does so still
		for _, name := range was.Masks {
			if m := masks.named[name]; m != nil && was.Oid == oid {
				add(m.Table)
			}
		}
	}
}

// mask puts one mask into the plan; info is what the catalogue has of the table that it names.
func (r *relation) mask(m *Mask, info *TableInfo) error {
	r.masks = append(r.masks, m)
	i := slices.IndexFunc(r.columns, func(c column) bool { return c.name == m.Column })
	switch {
	case i < 0 && m.MayBeAbsent:
		return nil
	case i < 0 && info != nil && slices.Contains(info.Generated, m.Column):
		return nil // not in the log
	case i < 0:
		return fmt.Errorf("mask %s: at this place of the log there is no column %s, or the publication leaves it out: if it had "+
			"another name then, add that to mask and list both in mask_absent; otherwise list this one, until the run is past it", m, m.Column)
	}
	col := &r.columns[i]
	if col.mask != "" && col.mask != m.Kind {
		return fmt.Errorf("mask %s says %s, and another mask says %s of the same column: make them equal", m, m.Kind, col.mask)
	}
	col.mask, col.datatype = m.Kind, masked
	return nil
}

// doubt returns an error when a mask may concern the relation and nobody can tell.
func (r *relation) doubt(masks *Masks, tables map[Target]*TableInfo, known *relation, now *RelationInfo) error {
	for name, info := range tables {
		switch {
		case info == nil || slices.Contains(r.names, name):
		case info.Partition && now != nil && now.Partitioned:
			return fmt.Errorf("mask %s.%s: rows of partitions come under the name of their root, because the publication has "+
				"publish_via_partition_root: switch that off, or mask the root instead", name.Schema, name.Table)
		case now != nil || known != nil:
		case info.Inherited && (r.root == nil || info.Partition) && r.mayInherit(masks.of[name]):
			return fmt.Errorf("it is gone from the catalogue, and may have inherited the masks of %s.%s: list %s in mask_absent, "+
				"and add its own columns to mask if they are to be masked", name.Schema, name.Table, r.title)
		}
	}
	return nil
}

// mayInherit reports whether the relation has the columns of a table's masks, as whatever inherits from it has.
func (r *relation) mayInherit(masks []*Mask) bool {
	some := false
	for _, m := range masks {
		has := r.has([]string{m.Column})
		if !has && !m.MayBeAbsent {
			return false
		}
		some = some || has
	}
	return some
}

// setMasking says what a restart must know.
func (r *relation) setMasking(oid uint32, masks *Masks, now *RelationInfo) {
	if len(r.masks) == 0 {
		return
	}
	k := &Masking{Oid: oid}
	var hashed []string
	for _, m := range r.masks {
		k.Masks = append(k.Masks, m.String())
		if now != nil && now.Columns[m.Column] != 0 {
			if k.Columns == nil {
				k.Columns = make(map[string]int)
			}
			k.Columns[m.Column] = now.Columns[m.Column]
		}
		if m.Kind == MaskHash && !slices.Contains(hashed, m.Column) {
			hashed = append(hashed, m.Column)
		}
	}
	slices.Sort(k.Masks)
	if slices.Sort(hashed); len(hashed) > 0 {
		k.Hashed = fmt.Sprintf("%s %q", masks.keyID, hashed)
	}
	r.masking = k
}

// appendMasks appends the relation's masks as a member of a record.
func (r *relation) appendMasks(dst []byte) []byte {
	first := true
	for i := range r.columns {
		col := &r.columns[i]
		if col.mask == "" {
			continue
		}
		if first {
			dst = append(dst, `,"masked":{`...)
		}
		dst = appendListed(dst, first, col)
		dst = appendQuoted(append(dst, ':'), string(col.mask))
		first = false
	}
	if !first {
		dst = append(dst, '}')
	}
	return dst
}
