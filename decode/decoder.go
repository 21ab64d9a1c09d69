package decode

import (
	"context"
	"errors"
	"fmt"
	"hash"

	"github.com/jackc/pglogrepl"
)

// A Decoder gives meaning to the messages of one replication session. It holds at most one record back: the
// transaction's last one is known as the last only when the next message has come.
type Decoder struct {
	source    Source
	relations map[uint32]*relation
	targets   map[Target]*Target
	types     types
	from      []byte // the database and the slot in every record's "source"
	roster    roster

	nearXID uint64 // the 64-bit id that the next 32-bit one lies near
	tx      transaction
	where   string // the relation that the message at hand concerns, for errors

	slots [2]slot // of records: one is held back while the other one takes the next
	held  *slot   // encoded and not passed on, nil if none is
	row   row     // the change at hand

	valuer valuer

	hash hash.Hash // of masks, nil without a key
	sum  []byte
}

// NewDecoder returns a decoder for a session that starts between two transactions.
func NewDecoder(source Source, catalogue Catalogue) *Decoder {
	d := &Decoder{
		source:    source,
		relations: make(map[uint32]*relation),
		targets:   make(map[Target]*Target),
		types:     types{catalogue: catalogue, known: make(map[uint32]*datatype)},
		from:      appendFrom(nil, source),
		nearXID:   source.NextXID,
	}
	if m := source.Masks; m != nil && m.newHash != nil {
		d.hash = m.newHash()
	}
	return d
}

// Decode reads one message and passes the records that are complete to emit, in order. It returns the position up to
// which the stream is complete if every record emitted so far is kept: a commit's end position, a non-transactional
// message's, otherwise 0. An error ends the session; it names position and relation, never row data. An error of emit
// is returned as it is.
func (d *Decoder) Decode(ctx context.Context, m Message, emit func(*Record) error) (pglogrepl.LSN, error) {
	d.where = ""
	mark, err := d.decode(ctx, m, emit)
	if err != nil {
		return 0, d.fail(m, err)
	}
	return mark, nil
}

// Between reports whether the decoder stands between two transactions, where a keepalive's position may be confirmed.
func (d *Decoder) Between() bool { return !d.tx.open }

func (d *Decoder) decode(ctx context.Context, m Message, emit func(*Record) error) (pglogrepl.LSN, error) {
	if len(m.Data) == 0 {
		return 0, errShort
	}
	c := cursor{rest: m.Data[1:]}
	kind := m.Data[0]
	if kind != 'O' {
		d.tx.fresh = false
	}
	switch kind {
	case 'I', 'U', 'D':
		return 0, d.change(ctx, kind, &c, emit)
	case 'B':
		return 0, d.begin(&c, m.Actor)
	case 'C':
		return d.commit(&c, emit)
	case 'O':
		return 0, d.origin(ctx, &c)
	case 'R':
		return 0, d.relation(ctx, m.Data)
	case 'Y':
		return 0, d.typeName(&c)
	case 'T':
		return 0, d.truncate(&c, emit)
	case 'M':
		return d.message(ctx, &c, emit)
	case 'A':
		return 0, abort(&c)
	}
	return 0, errors.New("it is not part of protocol version 1")
}

// typeName reads a Y. It gives a type's name only, and for a domain that of its base type: the Catalogue knows more.
func (d *Decoder) typeName(c *cursor) error {
	c.uint32()
	c.text()
	c.text()
	if !d.tx.open {
		return errOutside
	}
	return c.done()
}

// abort reads an A, which is sent by 18 for a transaction that was never begun in the stream.
func abort(c *cursor) error {
	c.take(8)
	if len(c.rest) > 0 {
		c.take(16)
	}
	return c.done()
}

// relationOf finds the relation of a change.
func (d *Decoder) relationOf(oid uint32) (*relation, error) {
	r := d.relations[oid]
	if r == nil {
		d.where = fmt.Sprintf("relation %d", oid)
		return nil, errors.New("no relation message came before it")
	}
	d.where = r.title
	return r, nil
}
