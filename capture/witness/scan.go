package witness

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/jackc/pglogrepl"
)

// Raw WAL is pages of 8 kB. A page begins with a header, the first one of a segment with a longer one
// (XLogPageHeaderData and XLogLongPageHeaderData in xlog_internal.h), and what lies between the headers is one sequence
// of records: each begins on an 8-byte boundary and is cut by whatever headers come in its way (xlogrecord.h). Numbers
// are in the server's byte order. We read little-endian; a server of the other kind fails at the first page's magic.
const (
	pageSize        = 8192 // XLOG_BLCKSZ
	pageHeader      = 24   // SizeOfXLogShortPHD
	firstPageHeader = 40   // SizeOfXLogLongPHD
	recordHeader    = 24   // SizeOfXLogRecord
	alignment       = 8    // MAXIMUM_ALIGNOF
)

// The flags of a page (xlp_info in xlog_internal.h).
const (
	pageContinues  = 1 // XLP_FIRST_IS_CONTRECORD: it begins with the rest of a record
	pageLong       = 2 // XLP_LONG_HEADER
	pageOverwrites = 8 // XLP_FIRST_IS_OVERWRITE_CONTRECORD: the rest of the record was lost in a crash and never comes
	pageFlags      = 15
)

// magics are XLOG_PAGE_MAGIC of each major version (xlog_internal.h): the format is known where the magic is.
var magics = map[int]uint16{14: 0xD10D, 15: 0xD110, 16: 0xD113, 17: 0xD116, 18: 0xD118}

// Resource managers (rmgrlist.h), and the one record of the first that matters here (pg_control.h).
const (
	managerXLOG        = 0
	managerTransaction = 1
	lastBuiltin        = 21  // RM_MAX_BUILTIN_ID, the same in 14 to 18
	firstCustom        = 128 // RM_MIN_CUSTOM_ID (rmgr.h)
	infoMask           = 0xF0
	infoSwitch         = 0x40 // XLOG_SWITCH
)

// bodyKept is how large a record's body may have been for its buffer to be used again.
const bodyKept = 1 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A scanner finds the commits and prepares in raw WAL, in chunks as a physical walsender sends them. It follows the
// headers of pages and records, and passes over every body but those of the records that it reports.
//
// It believes nothing that it can check: the page's address, how much of a record is left at each page, each record's
// link to the one before, the checksum of what it reports. It asks no more than the server's own reader does
// (xlogreader.c), so that WAL which the server could replay is never refused.
type scanner struct {
	version int // major
	segment uint64
	magic   uint16

	at    pglogrepl.LSN // of the next byte
	end   pglogrepl.LSN // of the last complete record
	prev  pglogrepl.LSN // its start; 0 until a record was seen from its start
	blank pglogrepl.LSN // what lies before it is not looked at: the rest of a segment after a switch
	fresh bool          // no page was opened yet

	page [firstPageHeader]byte // the header of the page at hand, as far as it is here

	start pglogrepl.LSN // of the record under way; 0 where that is unknown
	head  [recordHeader]byte
	have  int    // bytes of head that are here; 0 between records
	left  uint32 // bytes of the record that are to come, its header's included
	keep  bool   // the record is one to report
	body  []byte // what follows its header
}

// newScanner starts at a page's start, whether a record begins there or not. segment is wal_segment_size in bytes,
// version server_version_num.
func newScanner(at pglogrepl.LSN, segment, version int) (*scanner, error) {
	magic, ok := magics[version/10000]
	switch {
	case !ok:
		return nil, fmt.Errorf("the format of the WAL of PostgreSQL %d is not known", version/10000)
	case segment < 1<<20 || segment > 1<<30 || segment&(segment-1) != 0: // IsValidWalSegSize in xlog_internal.h
		return nil, fmt.Errorf("%d bytes are not the size of a WAL segment", segment)
	case at%pageSize != 0:
		return nil, fmt.Errorf("raw WAL is read from the start of a page, and %s is none", at)
	}
	return &scanner{version: version / 10000, segment: uint64(segment), magic: magic, at: at, end: at, fresh: true}, nil
}

// boundary is the end of the last complete record, or where the scanner began. Who resumes there starts at the page's
// start and ignores events that begin before the boundary.
func (s *scanner) boundary() pglogrepl.LSN { return s.end }

// scan takes the chunk that begins where the last one ended, of any size, and calls see for each event as soon as its
// record is complete. It keeps nothing of chunk. After an error, see's included, the scanner is of no more use.
func (s *scanner) scan(at pglogrepl.LSN, chunk []byte, see func(event) error) error {
	if at != s.at {
		return fmt.Errorf("raw WAL goes on at %s, and the last chunk ended at %s", at, s.at)
	}
	for len(chunk) > 0 {
		n, err := s.step(chunk)
		if err != nil {
			return err
		}
		chunk = chunk[n:]
		s.at += pglogrepl.LSN(n)
		if s.have == recordHeader && s.left == 0 {
			if err := s.finish(see); err != nil {
				return err
			}
		}
	}
	return nil
}

// step reads one thing, or what the chunk has of it: a page's header, a record's header, the part of its body that lies
// on this page, or what is passed over. It returns the number of bytes.
func (s *scanner) step(chunk []byte) (int, error) {
	if s.at < s.blank {
		return int(min(uint64(len(chunk)), uint64(s.blank-s.at))), nil
	}
	offset := int(s.at % pageSize)
	if size := s.pageHeader(); offset < size {
		n := copy(s.page[offset:size], chunk)
		if offset+n < size {
			return n, nil
		}
		return n, s.openPage(s.at-pglogrepl.LSN(offset), size)
	}
	chunk = chunk[:min(len(chunk), pageSize-offset)]
	switch {
	case s.have == 0 && offset%alignment != 0:
		return min(len(chunk), alignment-offset%alignment), nil
	case s.have < recordHeader:
		return s.readHeader(chunk)
	}
	n := min(len(chunk), int(s.left))
	if s.keep {
		s.body = append(s.body, chunk[:n]...) // grows with what arrives, whatever length was announced
	}
	s.left -= uint32(n)
	return n, nil
}

// pageHeader is the size of the header of the page at hand.
func (s *scanner) pageHeader() int {
	if uint64(s.at)&(s.segment-1) < pageSize {
		return firstPageHeader
	}
	return pageHeader
}

// segmentEnd is the first segment boundary that is not before the position.
func (s *scanner) segmentEnd(at pglogrepl.LSN) pglogrepl.LSN {
	return (at + pglogrepl.LSN(s.segment-1)) &^ pglogrepl.LSN(s.segment-1)
}

// openPage checks a page's header (XLogReaderValidatePageHeader in xlogreader.c) and what it says of the record that is
// under way.
func (s *scanner) openPage(at pglogrepl.LSN, size int) error {
	fresh := s.fresh
	s.fresh = false
	if size == pageHeader && s.inBlank(s.page[:size]) {
		s.blank = s.segmentEnd(at)
		return nil
	}
	magic, flags := binary.LittleEndian.Uint16(s.page[:]), binary.LittleEndian.Uint16(s.page[2:])
	address := pglogrepl.LSN(binary.LittleEndian.Uint64(s.page[8:]))
	switch {
	case magic != s.magic:
		return fmt.Errorf("the WAL page at %s has the magic number %04X, and that of PostgreSQL %d is %04X", at, magic, s.version, s.magic)
	case address != at:
		return fmt.Errorf("the WAL page at %s says that it is the one at %s", at, address)
	case flags > pageFlags || (flags&pageLong != 0) != (size == firstPageHeader):
		return fmt.Errorf("the WAL page at %s has the flags %04X", at, flags)
	case size == firstPageHeader:
		segment, page := binary.LittleEndian.Uint32(s.page[32:]), binary.LittleEndian.Uint32(s.page[36:])
		if uint64(segment) != s.segment || page != pageSize {
			return fmt.Errorf("the WAL segment at %s has %d bytes in pages of %d, where %d in pages of %d were expected",
				at, segment, page, s.segment, pageSize)
		}
	}
	if err := s.rejoin(flags, binary.LittleEndian.Uint32(s.page[16:]), fresh); err != nil {
		return fmt.Errorf("the WAL page at %s %w", at, err)
	}
	return nil
}

// rejoin goes on with the record that is under way, by what the page says of it.
func (s *scanner) rejoin(flags uint16, rest uint32, fresh bool) error {
	underway := s.have > 0
	switch flags & (pageContinues | pageOverwrites) {
	case 0:
		if underway {
			return fmt.Errorf("does not begin with the %d bytes that are left of %s", s.left, s.underWay())
		}
	case pageContinues:
		switch {
		case underway && rest != s.left:
			return fmt.Errorf("begins with %d bytes of %s, of which %d are left", rest, s.underWay(), s.left)
		case !underway && !fresh:
			return errors.New("begins with the rest of a record, and none was under way")
		case !underway && rest == 0:
			return errors.New("begins with the rest of a record, which has no length")
		case !underway: // it began before we did
			s.have, s.left, s.start, s.keep = recordHeader, rest, 0, false
		}
	case pageOverwrites:
		if !underway && !fresh {
			return errors.New("takes the place of the rest of a record, and none was under way")
		}
		s.have, s.left = 0, 0
	default:
		return fmt.Errorf("has the flags %04X, which exclude each other", flags)
	}
	return nil
}

// underWay names the record that is under way.
func (s *scanner) underWay() string {
	if s.start == 0 {
		return "a record from before the scan's start"
	}
	return fmt.Sprintf("the record at %s", s.start)
}

// inBlank tells whether zeros that stand in a header's place belong to the rest of a segment after a switch. It can be
// only where we began behind that record, which otherwise would have told us (finish).
func (s *scanner) inBlank(header []byte) bool {
	if s.prev != 0 || s.have != 0 {
		return false
	}
	for _, b := range header {
		if b != 0 {
			return false
		}
	}
	return true
}

// readHeader reads the header of a record. A page may cut it, behind its length at the earliest.
func (s *scanner) readHeader(chunk []byte) (int, error) {
	before := s.have
	if before == 0 {
		s.start, s.left = s.at, 0
	}
	n := copy(s.head[before:], chunk)
	s.have += n
	switch {
	case s.have < 4:
	case before < 4:
		length := binary.LittleEndian.Uint32(s.head[:])
		if length == 0 && s.prev == 0 { // the switch record itself began before we did
			s.blank, s.have = s.segmentEnd(s.at), 0
			return n, nil
		}
		if length < recordHeader {
			return n, fmt.Errorf("the WAL record at %s has %d bytes, which is less than its header", s.start, length)
		}
		s.left = length - uint32(s.have)
	default:
		s.left -= uint32(n)
	}
	if s.have < recordHeader {
		return n, nil
	}
	return n, s.checkHeader()
}

// checkHeader is ValidXLogRecordHeader of xlogreader.c, and decides what becomes of the body.
func (s *scanner) checkHeader() error {
	prev := pglogrepl.LSN(binary.LittleEndian.Uint64(s.head[8:]))
	info, manager := s.head[16], s.head[17]
	switch {
	case s.prev != 0 && prev != s.prev:
		return fmt.Errorf("the WAL record at %s names %s as the one before, which is %s", s.start, prev, s.prev)
	case prev >= s.start:
		return fmt.Errorf("the WAL record at %s names %s as the one before", s.start, prev)
	case manager > lastBuiltin && manager < firstCustom:
		return fmt.Errorf("the WAL record at %s is of resource manager %d, which does not exist", s.start, manager)
	}
	s.keep, s.body = false, s.body[:0]
	if manager == managerTransaction {
		keep, err := reported(info)
		if err != nil {
			return fmt.Errorf("the WAL record at %s %w", s.start, err)
		}
		s.keep = keep
	}
	return nil
}

// finish ends the record that is under way, whose last byte was read.
func (s *scanner) finish(see func(event) error) error {
	s.have = 0
	// The end is aligned, and may be the start of a page, before its header (XLogBytePosToEndRecPtr in xlog.c).
	s.end = (s.at + alignment - 1) &^ (alignment - 1)
	if s.start == 0 {
		return nil
	}
	s.prev = s.start
	if s.head[17] == managerXLOG && s.head[16]&infoMask == infoSwitch {
		// The rest of the segment belongs to it. It is zeros, page headers included (CopyXLogRecordToWAL in xlog.c), but
		// after a crash it may be anything: the server does not look at it either.
		s.blank = s.segmentEnd(s.at)
		s.end = s.blank
	}
	if !s.keep {
		return nil
	}
	sum := crc32.Update(crc32.Checksum(s.body, castagnoli), castagnoli, s.head[:20]) // ValidXLogRecord in xlogreader.c
	if want := binary.LittleEndian.Uint32(s.head[20:]); sum != want {
		return fmt.Errorf("the WAL record at %s has the checksum %08X, and its bytes give %08X", s.start, want, sum)
	}
	e := event{start: s.start, end: s.end, xid: binary.LittleEndian.Uint32(s.head[4:])}
	if err := e.read(s.head[16], s.body, s.version); err != nil {
		return fmt.Errorf("the WAL record at %s %w", s.start, err)
	}
	if cap(s.body) > bodyKept {
		s.body = nil
	}
	return see(e)
}
