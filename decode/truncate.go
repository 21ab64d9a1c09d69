package decode

import (
	"fmt"
	"strconv"
)

// truncate takes a T: a record for each table in the list.
func (d *Decoder) truncate(c *cursor, emit func(*Record) error) error {
	n, flags := int(c.uint32()), c.byte()
	switch {
	case c.short:
		return errShort
	case !d.tx.open:
		return errOutside
	case flags > 3:
		return fmt.Errorf("unknown flags %#x", flags)
	}
	list, err := d.truncated(c, n)
	if err != nil {
		return err
	}
	for _, r := range list {
		d.where = r.title
		d.tx.ordinal++
		s := d.spare(len(r.heads[opTruncate]))
		d.start(s)
		s.record.Op, s.record.Target, s.record.Root = OpTruncate, r.target, r.root
		s.record.Columns, s.record.Masking = r.keyNames, r.masking
		s.record.Everywhere = true
		s.value = append(append(s.value, r.heads[opTruncate]...), `null,"truncate":{"cascade":`...)
		s.value = strconv.AppendBool(s.value, flags&1 != 0)
		s.value = append(s.value, `,"restart_identity":`...)
		s.value = append(strconv.AppendBool(s.value, flags&2 != 0), '}')
		d.finish(s)
		if err := d.hold(s, emit); err != nil {
			return err
		}
	}
	return nil
}

// truncated reads the list of a T.
func (d *Decoder) truncated(c *cursor, n int) ([]*relation, error) {
	if n > len(c.rest)/4 {
		return nil, errShort
	}
	list := make([]*relation, n)
	for i := range list {
		r, err := d.relationOf(c.uint32())
		if err != nil {
			return nil, err
		}
		list[i] = r
	}
	return list, c.done()
}
