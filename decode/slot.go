package decode

import (
	"context"
	"slices"
	"strconv"
)

// keep is the size in bytes up to which a buffer is kept for the next record. A larger one was for a rare row.
const keep = 1 << 20

// A slot holds a record until it is known whether it is its transaction's last one.
type slot struct {
	record Record
	value  []byte // Record.Value without its tail
	newKey []byte // empty unless the key changed
	second []byte // Record.NewValue
	layout layout
}

// spare is the slot that takes the next record, of about that size.
func (d *Decoder) spare(size int) *slot {
	s := &d.slots[0]
	if s == d.held {
		s = &d.slots[1]
	}
	tx := &d.tx
	size += 256 + len(tx.head) + len(tx.who) + len(tx.tail)
	if cap(s.value) < size {
		s.value = make([]byte, 0, size) // at once: a huge row is not copied while its buffer grows
	}
	return s
}

// hold takes a record whose value is complete but for its tail, and passes on the one before it.
func (d *Decoder) hold(s *slot, emit func(*Record) error) error {
	if err := d.pass(false, emit); err != nil {
		return err
	}
	d.held = s
	return nil
}

// pass hands over the record held back.
func (d *Decoder) pass(last bool, emit func(*Record) error) error {
	s := d.held
	if s == nil {
		return nil
	}
	d.held = nil
	if last {
		s.value = append(s.value, `,"last":true`...)
	}
	s.value = append(s.value, d.tx.tail...)
	return s.emit(emit)
}

// emit completes the record's slices, now that the buffer moves no more.
func (s *slot) emit(emit func(*Record) error) error {
	r, at := &s.record, &s.layout
	r.Value, r.layout = s.value, s.layout
	r.Key, r.NewKey, r.NewValue = nil, nil, nil
	if at.keyed {
		r.Key = s.value[at.key:at.keyEnd:at.keyEnd]
	}
	if len(s.newKey) > 0 {
		s.second = append(slices.Grow(s.second[:0], len(s.value)+len(s.newKey)), s.value[:at.key]...)
		s.second = append(s.second, s.newKey...)
		s.second = append(s.second, s.value[at.keyEnd:]...)
		r.NewKey, r.NewValue = s.newKey, s.second
	}
	err := emit(r)
	s.release()
	if err != nil {
		return emitError{err}
	}
	return nil
}

// release gives back the buffers that a rare row made large.
func (s *slot) release() {
	if cap(s.value) > keep {
		s.value, s.record.Value, s.record.Key = nil, nil, nil
	}
	if cap(s.second) > keep {
		s.second, s.record.NewValue = nil, nil
	}
	if cap(s.newKey) > keep {
		s.newKey, s.record.NewKey = nil, nil
	}
}

// start begins the record of the transaction's latest ordinal, up to the id.
func (d *Decoder) start(s *slot) {
	tx := &d.tx
	s.record = Record{ID: tx.id, XID: tx.xid, Time: tx.time, Evidence: tx.evidence}
	s.record.ID.Ordinal = tx.ordinal
	s.newKey = s.newKey[:0]
	s.value = strconv.AppendUint(append(s.value[:0], tx.head...), tx.ordinal, 10)
	s.layout = layout{idEnd: len(s.value)}
}

// finish appends what stands between the change and the tail.
func (d *Decoder) finish(s *slot) {
	s.value = strconv.AppendUint(append(s.value, d.tx.who...), d.tx.ordinal, 10)
}

// encode makes a record of the row at hand.
func (d *Decoder) encode(ctx context.Context, op int, s *slot) error {
	w := &d.row
	r := w.relation
	d.start(s)
	s.record.Op, s.record.Target, s.record.Root = OpInsert+Op(op), r.target, r.root
	s.record.Columns, s.record.Masking = r.keyNames, r.masking
	s.value = append(s.value, r.heads[op]...)
	at := &s.layout
	at.every = r.every

	at.key = len(s.value)
	var err error
	if image := w.identified(); image == nil {
		s.value = append(s.value, "null"...)
	} else {
		at.keyed = true
		if s.value, err = d.appendKey(ctx, s.value, image); err != nil {
			return err
		}
	}
	at.keyEnd = len(s.value)
	if w.rekeyed() {
		if s.newKey, err = d.appendKey(ctx, s.newKey, w.new); err != nil {
			return err
		}
		if string(s.newKey) == string(s.value[at.key:at.keyEnd]) {
			s.newKey = s.newKey[:0] // texts that differ and mean the same JSON, such as '[0:0]={1}' and '{1}'
		}
	}
	if s.value, err = d.appendImages(ctx, s.value); err != nil {
		return err
	}
	at.bulk, at.bulkEnd = at.keyEnd, len(s.value)
	s.value = w.appendChanged(s.value, op)
	at.missing = len(s.value)
	s.value = w.appendMissing(s.value)
	at.missingEnd = len(s.value)
	s.value = d.appendNotes(s.value)
	d.finish(s)
	return nil
}

func (d *Decoder) appendKey(ctx context.Context, dst []byte, image []field) ([]byte, error) {
	return d.appendObject(ctx, dst, image, d.row.relation.key)
}

func (d *Decoder) appendImages(ctx context.Context, dst []byte) (_ []byte, err error) {
	if d.row.old != nil {
		if dst, err = d.appendImage(ctx, append(dst, `,"before":`...), d.row.old); err != nil {
			return dst, err
		}
	}
	if d.row.new != nil {
		dst, err = d.appendImage(ctx, append(dst, `,"after":`...), d.row.new)
	}
	return dst, err
}

// appendImage appends the columns that the image knows as an object.
func (d *Decoder) appendImage(ctx context.Context, dst []byte, image []field) (_ []byte, err error) {
	columns := d.row.relation.columns
	open := len(dst)
	for i := range image {
		f := &image[i]
		if f.kind == isUnknown {
			continue
		}
		dst = append(dst, columns[i].label...)
		if f.kind == isNull {
			dst = append(dst, "null"...)
			continue
		}
		if dst, err = d.appendColumn(ctx, dst, i, f.text); err != nil {
			return dst, err
		}
	}
	return closeObject(dst, open), nil
}

// appendObject appends the chosen columns, each of which the image knows.
func (d *Decoder) appendObject(ctx context.Context, dst []byte, image []field, chosen []int) (_ []byte, err error) {
	open := len(dst)
	for _, i := range chosen {
		dst = append(dst, d.row.relation.columns[i].label...)
		if image[i].kind == isNull {
			dst = append(dst, "null"...)
			continue
		}
		if dst, err = d.appendColumn(ctx, dst, i, image[i].text); err != nil {
			return dst, err
		}
	}
	return closeObject(dst, open), nil
}

// closeObject puts the braces around labels and values that begin with a comma.
func closeObject(dst []byte, open int) []byte {
	if len(dst) == open {
		return append(dst, "{}"...)
	}
	dst[open] = '{'
	return append(dst, '}')
}

// appendChanged appends the columns of an update whose values are known before and after, and differ.
func (w *row) appendChanged(dst []byte, op int) []byte {
	if op != opUpdate {
		return dst
	}
	dst = append(dst, `,"changed":[`...)
	first := true
	for i := range w.new {
		if w.differs(i) {
			dst = appendListed(dst, first, &w.relation.columns[i])
			first = false
		}
	}
	return append(dst, ']')
}

// appendMissing appends the columns that either image lacks.
func (w *row) appendMissing(dst []byte) []byte {
	first := true
	for i := range w.relation.columns {
		if w.old != nil && w.old[i].kind == isUnknown || w.new != nil && w.new[i].kind == isUnknown {
			if first {
				dst = append(dst, `,"missing":[`...)
			}
			dst = appendListed(dst, first, &w.relation.columns[i])
			first = false
		}
	}
	if !first {
		dst = append(dst, ']')
	}
	return dst
}

// appendNotes appends what a reader must know about values that are not shown as the server would.
func (d *Decoder) appendNotes(dst []byte) []byte {
	w := &d.row
	if w.opaque.any {
		dst = append(w.appendMarked(append(dst, `,"opaque":[`...), &w.opaque), ']')
	}
	if w.hex.any {
		dst = appendQuoted(append(dst, `,"encoding":{"charset":`...), d.source.charset())
		dst = append(w.appendMarked(append(dst, `,"hex":[`...), &w.hex), `]}`...)
	}
	return dst
}

func (w *row) appendMarked(dst []byte, m *marks) []byte {
	first := true
	for i := range w.relation.columns {
		if m.has(i) {
			dst = appendListed(dst, first, &w.relation.columns[i])
			first = false
		}
	}
	return dst
}
