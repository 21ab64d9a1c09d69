package witness

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/jackc/pglogrepl"
)

// A kind is what a transaction's record says of it.
type kind uint8

const (
	kindCommit kind = iota + 1
	kindPrepare
	kindCommitPrepared
	kindAbortPrepared
)

func (k kind) String() string {
	switch k {
	case kindCommit:
		return "commit"
	case kindPrepare:
		return "prepare"
	case kindCommitPrepared:
		return "commit prepared"
	case kindAbortPrepared:
		return "abort prepared"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// An event is the end of a transaction, or its prepare.
type event struct {
	kind  kind
	start pglogrepl.LSN // of its record: pgoutput's Begin has it as final_lsn
	end   pglogrepl.LSN // of its record, aligned: pgoutput's Commit has it as end_lsn, and a backend waits for it
	xid   uint32        // of the whole transaction, never of a part; the prepared one's where one is ended
	gid   string        // of a prepare; of a prepared transaction's end from wal_level logical on, else empty. In the server's encoding
	time  int64         // by the server's clock, in microseconds since 2000-01-01
}

// What a record of a transaction is (xl_info, XLOG_XACT_OPMASK in xact.h).
const (
	infoOperation      = 0x70
	infoCommit         = 0x00
	infoPrepare        = 0x10
	infoAbort          = 0x20
	infoCommitPrepared = 0x30
	infoAbortPrepared  = 0x40
	infoAssignment     = 0x50
	infoInvalidations  = 0x60
	infoHasParts       = 0x80 // XLOG_XACT_HAS_INFO
)

// reported tells whether a record of a transaction becomes an event. Nobody waits for an abort.
func reported(info byte) (bool, error) {
	switch info & infoOperation {
	case infoCommit, infoPrepare, infoCommitPrepared, infoAbortPrepared:
		return true, nil
	case infoAbort, infoAssignment, infoInvalidations:
		return false, nil
	}
	return false, fmt.Errorf("says of a transaction what is not known (%02X)", info)
}

// The parts of a commit's or an abort's record (xinfo in xact.h).
const (
	partDatabase      = 1 << 0
	partSubxacts      = 1 << 1
	partRelations     = 1 << 2
	partInvalidations = 1 << 3
	partTwoPhase      = 1 << 4
	partOrigin        = 1 << 5
	partGID           = 1 << 7
	partStatistics    = 1 << 8 // from 15 on
	// XACT_XINFO_HAS_AE_LOCKS, and the flags that ask for something and add nothing: XACT_COMPLETION_….
	partsEmpty = 1<<6 | 1<<29 | 1<<30 | 1<<31
	partsKnown = partDatabase | partSubxacts | partRelations | partInvalidations | partTwoPhase | partOrigin | partGID | partsEmpty
)

// The sizes of items in lists (xact.h, relfilelocator.h, sinval.h).
const (
	sizeXID          = 4
	sizeRelation     = 12 // RelFileLocator
	sizeInvalidation = 16 // SharedInvalidationMessage
)

var (
	errShort    = errors.New("ends early")
	errTrailing = errors.New("is longer than its content")
)

// read takes what the record says from what follows its header. Start, end and xid are set already, the xid as the
// header has it. version is the server's major.
func (e *event) read(info byte, body []byte, version int) error {
	data, err := mainData(body)
	if err != nil {
		return err
	}
	c := cursor{rest: data}
	switch info & infoOperation {
	case infoPrepare:
		e.kind = kindPrepare
		return e.readPrepare(&c, version)
	case infoCommitPrepared:
		e.kind = kindCommitPrepared
	case infoAbortPrepared:
		e.kind = kindAbortPrepared
	default:
		e.kind = kindCommit
	}
	return e.readEnd(&c, info, version)
}

// readEnd reads a commit or an abort (ParseCommitRecord and ParseAbortRecord in xactdesc.c, which differ in that aborts
// have no invalidations).
func (e *event) readEnd(c *cursor, info byte, version int) error {
	e.time = int64(c.uint64())
	var parts uint32
	if info&infoHasParts != 0 {
		parts = c.uint32()
	}
	known, statistic := uint32(partsKnown), 0
	if version >= 15 {
		known |= partStatistics
		statistic = 12 // xl_xact_stats_item
		if version >= 18 {
			statistic = 16
		}
	}
	if parts&^known != 0 {
		return fmt.Errorf("has parts that are not known (%08X)", parts)
	}
	if parts&partDatabase != 0 {
		c.take(8)
	}
	for _, list := range [...]struct {
		part uint32
		size int
	}{{partSubxacts, sizeXID}, {partRelations, sizeRelation}, {partStatistics, statistic}, {partInvalidations, sizeInvalidation}} {
		if parts&list.part != 0 {
			c.list(list.size)
		}
	}
	prepared := parts&partTwoPhase != 0
	if prepared != (e.kind != kindCommit) {
		return fmt.Errorf("is a %s, and its parts (%08X) contradict that", e.kind, parts)
	}
	if prepared {
		e.xid = c.uint32()
		if parts&partGID != 0 {
			e.gid = c.text()
		}
	}
	if parts&partOrigin != 0 {
		c.take(16)
	}
	return c.done()
}

// readPrepare reads the head of a two-phase file (xl_xact_prepare in xact.h, ParsePrepareRecord in xactdesc.c). What
// comes after the name is the resource managers' affair.
func (e *event) readPrepare(c *cursor, version int) error {
	c.take(8) // magic and length of the file
	e.xid = c.uint32()
	c.take(4) // database
	e.time = int64(c.uint64())
	c.take(4 + 3*4) // owner; subxacts, relations to drop on commit and on abort
	if version >= 15 {
		c.take(2 * 4) // statistics to drop on commit and on abort
	}
	c.take(4 + 2) // invalidations; initfileinval with its padding
	size := int(c.uint16())
	c.take(2 * 8) // origin
	name := c.take(size)
	if c.short {
		return errShort
	}
	if size == 0 || bytes.IndexByte(name, 0) != size-1 {
		return errors.New("names the prepared transaction by something that is no text")
	}
	e.gid = string(name[:size-1])
	return nil
}

// What stands before a record's data (xlogrecord.h): numbers up to 32 stand for blocks.
const (
	idTopLevelXID = 252
	idOrigin      = 253
	idDataLong    = 254
	idDataShort   = 255
)

// mainData finds a record's own data in its body (DecodeXLogRecord in xlogreader.c).
func mainData(body []byte) ([]byte, error) {
	c := cursor{rest: body}
	for {
		size := 0
		switch id := c.byte(); {
		case c.short:
			return nil, errShort
		case id == idTopLevelXID:
			c.take(4)
			continue
		case id == idOrigin:
			c.take(2)
			continue
		case id == idDataShort:
			size = int(c.byte())
		case id == idDataLong:
			size = int(c.uint32())
		default:
			return nil, fmt.Errorf("carries a part of kind %d, which no transaction's record has", id)
		}
		data := c.take(size)
		return data, c.done()
	}
}

// A cursor reads bytes from their start. The first read beyond the end makes it short, and every later read zero.
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
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (c *cursor) uint32() uint32 {
	if b := c.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (c *cursor) uint64() uint64 {
	if b := c.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// list passes over a number and as many items.
func (c *cursor) list(size int) {
	n := uint64(c.uint32())
	if n*uint64(size) > uint64(len(c.rest)) {
		c.rest, c.short = nil, true
		return
	}
	c.take(int(n) * size)
}

// text reads up to the next zero byte.
func (c *cursor) text() string {
	n := bytes.IndexByte(c.rest, 0)
	if n < 0 {
		c.rest, c.short = nil, true
		return ""
	}
	s := string(c.rest[:n])
	c.rest = c.rest[n+1:]
	return s
}

// done reports whether everything was read.
func (c *cursor) done() error {
	switch {
	case c.short:
		return errShort
	case len(c.rest) > 0:
		return errTrailing
	}
	return nil
}
