package decode

import (
	"bytes"
	"context"
	"errors"
)

// A row is the change of one row: both images, and what became of its values while they were encoded.
type row struct {
	relation *relation
	old, new []field // nil where the operation has none
	buffer   []field // their memory
	opaque   marks   // columns shown as text for want of knowledge
	hex      marks   // columns shown as hex for want of a character
}

// marks is a set of columns.
type marks struct {
	is  []bool
	any bool
}

func (m *marks) set(i int) {
	for len(m.is) <= i {
		m.is = append(m.is, false)
	}
	m.is[i], m.any = true, true
}

func (m *marks) has(i int) bool { return i < len(m.is) && m.is[i] }

func (m *marks) clear() {
	if m.any {
		clear(m.is)
		m.any = false
	}
}

// change takes an I, U or D.
func (d *Decoder) change(ctx context.Context, kind byte, c *cursor, emit func(*Record) error) error {
	oid := c.uint32()
	switch {
	case c.short:
		return errShort
	case !d.tx.open:
		return errOutside
	}
	r, err := d.relationOf(oid)
	if err != nil {
		return err
	}
	op, err := d.row.read(r, kind, c)
	if err != nil {
		return err
	}
	d.tx.ordinal++
	size := d.row.size()
	s := d.spare(size)
	if err := d.encode(ctx, op, s); err != nil {
		return err
	}
	if size > keep {
		clear(d.row.buffer) // they point into the message
	}
	return d.hold(s, emit)
}

// read takes the images of a change and settles what is known of each column.
func (w *row) read(r *relation, kind byte, c *cursor) (op int, err error) {
	n := len(r.columns)
	if len(w.buffer) < 2*n {
		w.buffer = make([]field, 2*n)
	}
	w.relation, w.old, w.new = r, nil, nil
	w.opaque.clear()
	w.hex.clear()
	letter := c.byte()
	if kind != 'I' && (letter == 'K' || letter == 'O') {
		w.old = w.buffer[:n:n]
		if err := c.tuple(w.old); err != nil {
			return 0, err
		}
		if letter == 'K' {
			w.forgetUnsent()
		}
		if kind == 'D' {
			return opDelete, c.done()
		}
		letter = c.byte()
	}
	if c.short {
		return 0, errShort
	}
	if letter != 'N' || kind == 'D' {
		return 0, errors.New("its tuples are not those of the operation")
	}
	w.new = w.buffer[n : 2*n : 2*n]
	if err := c.tuple(w.new); err != nil {
		return 0, err
	}
	if kind == 'I' {
		return opInsert, c.done()
	}
	w.deduce()
	return opUpdate, c.done()
}

// forgetUnsent tells the columns that a K tuple does not carry from null ones.
func (w *row) forgetUnsent() {
	for i := range w.old {
		if !w.relation.columns[i].identity {
			w.old[i] = field{kind: isUnknown}
		}
	}
}

// deduce completes the images of an update by each other.
func (w *row) deduce() {
	if w.old == nil {
		n := len(w.new)
		w.old = w.buffer[:n:n]
		chosen := w.relation.chosen()
		for i := range w.old {
			if chosen && w.relation.columns[i].identity {
				w.old[i] = w.new[i] // ExtractReplicaIdentity in heapam.c: no old tuple, no change of the identity
			} else {
				w.old[i] = field{kind: isUnknown}
			}
		}
		return
	}
	for i := range w.new {
		if w.new[i].kind == isUnknown {
			w.new[i] = w.old[i] // out of line and unchanged
		}
	}
}

// differs reports whether both images know the column and disagree.
func (w *row) differs(i int) bool {
	a, b := &w.old[i], &w.new[i]
	if a.kind == isUnknown || b.kind == isUnknown {
		return false
	}
	return a.kind != b.kind || !bytes.Equal(a.text, b.text)
}

// identified returns the image that the key is read from, nil if none knows all its columns.
func (w *row) identified() []field {
	if len(w.relation.key) == 0 {
		return nil
	}
	for _, image := range [...][]field{w.old, w.new} {
		if image != nil && w.knowsKey(image) {
			return image
		}
	}
	return nil
}

func (w *row) knowsKey(image []field) bool {
	for _, i := range w.relation.key {
		if image[i].kind == isUnknown {
			return false
		}
	}
	return true
}

// rekeyed reports whether an update gave the row another key.
func (w *row) rekeyed() bool {
	if w.old == nil || w.new == nil || len(w.relation.key) == 0 || !w.knowsKey(w.old) || !w.knowsKey(w.new) {
		return false
	}
	for _, i := range w.relation.key {
		if w.differs(i) {
			return true
		}
	}
	return false
}

// size estimates the encoded row, apart from escapes.
func (w *row) size() int {
	r := w.relation
	n := 2*r.weight + 2*len(r.every) + len(r.heads[opInsert])
	for i := range w.old {
		n += len(w.old[i].text) + 4
	}
	for i := range w.new {
		n += len(w.new[i].text) + 4
	}
	for _, i := range r.key {
		n += len(r.columns[i].label) + 4
		if w.old != nil {
			n += len(w.old[i].text)
		} else {
			n += len(w.new[i].text)
		}
	}
	return n
}
