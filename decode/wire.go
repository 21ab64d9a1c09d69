package decode

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/jackc/pglogrepl"
)

// A cursor reads a message from its start. The first read beyond the end makes it short, and every later read zero.
type cursor struct {
	rest  []byte
	short bool
}

func (c *cursor) take(n int) []byte {
	if n < 0 || n > len(c.rest) {
		c.rest, c.short = nil, true
		return nil
	}
	b := c.rest[:n]
	c.rest = c.rest[n:]
	return b
}

func (c *cursor) byte() byte {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) uint16() uint16 {
	if b := c.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (c *cursor) uint32() uint32 {
	if b := c.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (c *cursor) uint64() uint64 {
	if b := c.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (c *cursor) lsn() pglogrepl.LSN { return pglogrepl.LSN(c.uint64()) }

// text reads up to the next zero byte.
func (c *cursor) text() []byte {
	n := bytes.IndexByte(c.rest, 0)
	if n < 0 {
		c.rest, c.short = nil, true
		return nil
	}
	s := c.rest[:n]
	c.rest = c.rest[n+1:]
	return s
}

// done reports whether the message was read exactly to its end.
func (c *cursor) done() error {
	switch {
	case c.short:
		return errShort
	case len(c.rest) > 0:
		return errTrailing
	}
	return nil
}

// The kinds of a tuple's fields (logicalrep_write_tuple in proto.c).
const (
	isNull    = 'n'
	isUnknown = 'u' // the value is not in the log
	isText    = 't'
)

// A field is one column of a row. Its text lies in the message.
type field struct {
	text []byte
	kind byte
}

var errBinary = errors.New("it carries a binary value, and text was asked for")

// tuple reads as many fields as the relation has columns.
func (c *cursor) tuple(fields []field) error {
	n := int(c.uint16())
	if c.short {
		return errShort
	}
	if n != len(fields) {
		return fmt.Errorf("its tuple has %d columns, the relation %d", n, len(fields))
	}
	b := c.rest
	for i := range fields {
		if len(b) == 0 {
			return errShort
		}
		f := &fields[i]
		f.kind, f.text = b[0], nil
		switch f.kind {
		case isText:
			if len(b) < 5 {
				return errShort
			}
			size := int(binary.BigEndian.Uint32(b[1:]))
			if size > len(b)-5 {
				return errShort
			}
			f.text = b[5 : 5+size : 5+size]
			b = b[5+size:]
		case isNull, isUnknown:
			b = b[1:]
		case 'b':
			return errBinary
		default:
			return fmt.Errorf("its tuple has a field of unknown kind %q", f.kind)
		}
	}
	c.rest = b
	return nil
}
