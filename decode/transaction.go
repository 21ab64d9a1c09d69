package decode

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pglogrepl"
)

// A transaction is what lies between a Begin and its Commit. Its pieces of JSON are encoded once and serve each of its
// records.
type transaction struct {
	open    bool
	fresh   bool // nothing but the Begin has come: an Origin may follow
	commit  pglogrepl.LSN
	time    int64 // µs since 1970-01-01 UTC
	xid     uint64
	ordinal uint64 // of the latest change
	id      ID

	actor    *Actor // the Begin's
	evidence string // of the changes that come next

	head []byte // up to the ordinal in the id
	who  []byte // "actor", and "tx" up to the ordinal
	tail []byte // the rest of "tx", and "source"
}

// epoch is 2000-01-01 UTC, where the server's timestamps begin (POSTGRES_EPOCH_JDATE), in µs since 1970-01-01 UTC.
const epoch = 946684800 * 1000000

func (d *Decoder) begin(c *cursor, actor *Actor) error {
	commit, at, xid := c.lsn(), int64(c.uint64())+epoch, c.uint32()
	if err := c.done(); err != nil {
		return err
	}
	if d.tx.open {
		return fmt.Errorf("the transaction of %s is not committed yet", d.tx.commit)
	}
	if actor == nil {
		actor = unwitnessed
	}
	if err := actor.check(); err != nil {
		return err
	}
	d.nearXID = extend(xid, d.nearXID)
	tx := &d.tx
	tx.open, tx.fresh, tx.commit, tx.time, tx.xid, tx.ordinal = true, true, commit, at, d.nearXID, 0
	tx.id = d.idAt(commit)
	tx.head = appendHead(tx.head[:0], tx.id)
	tx.actor = actor
	d.identify(nil)
	tx.tail = d.appendTail(tx.tail[:0], "")
	return nil
}

// origin reads an O: the transaction was applied here by logical replication from elsewhere, or by a tool that says so.
func (d *Decoder) origin(ctx context.Context, c *cursor) error {
	c.lsn()
	raw := c.text()
	if err := c.done(); err != nil {
		return err
	}
	if !d.tx.open || !d.tx.fresh {
		return errors.New("it does not follow a begin")
	}
	d.tx.fresh = false
	name, err := d.name(ctx, raw)
	if err != nil {
		return err
	}
	d.tx.tail = d.appendTail(d.tx.tail[:0], name)
	return nil
}

func (d *Decoder) commit(c *cursor, emit func(*Record) error) (pglogrepl.LSN, error) {
	flags, commit, end := c.byte(), c.lsn(), c.lsn()
	c.uint64()
	switch err := c.done(); {
	case err != nil:
		return 0, err
	case !d.tx.open:
		return 0, errOutside
	case commit != d.tx.commit:
		return 0, fmt.Errorf("it is of another transaction, %s, than the begin, %s", commit, d.tx.commit)
	case end < commit:
		return 0, fmt.Errorf("its end, %s, lies before it", end)
	case flags != 0:
		return 0, fmt.Errorf("unknown flags %#x", flags)
	}
	if err := d.pass(true, emit); err != nil {
		return 0, err
	}
	d.tx.open, d.tx.actor = false, nil
	return end, nil
}

// idAt gives the ID of the position's first change, but for its ordinal.
func (d *Decoder) idAt(lsn pglogrepl.LSN) ID {
	id := ID{System: d.source.System, Timeline: 1, Database: d.source.Oid, LSN: lsn}
	if d.source.TimelineOf != nil {
		id.Timeline = d.source.TimelineOf(lsn)
	}
	return id
}

// extend makes a 32-bit transaction id the 64-bit one that lies within 2^31 of another.
func extend(xid uint32, near uint64) uint64 {
	full := near + uint64(int64(int32(xid-uint32(near))))
	if full > near && int32(xid-uint32(near)) < 0 {
		return uint64(xid) // below the first epoch: near is no id of this server
	}
	return full
}

// appendTail appends what follows "last" in the transaction's records.
func (d *Decoder) appendTail(dst []byte, origin string) []byte {
	dst = append(dst, `,"commit_lsn":"`...)
	dst = appendLSN(dst, d.tx.commit)
	dst = appendTimestamp(append(dst, `","committed_at":"`...), d.tx.time)
	dst = append(dst, `"},`...)
	return d.appendSource(dst, d.tx.id.Timeline, origin)
}
