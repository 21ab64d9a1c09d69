package witness

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pglogrepl"
)

// A writer writes WAL as PostgreSQL 18 does, and what PostgreSQL never writes.
type writer struct {
	start pglogrepl.LSN
	wal   []byte
	prev  pglogrepl.LSN
}

const (
	writtenFrom    = pglogrepl.LSN(0x5000000)
	writtenSegment = 1 << 20
	writtenVersion = 180004
)

func newWriter() *writer { return &writer{start: writtenFrom} }

func (w *writer) at() pglogrepl.LSN { return w.start + pglogrepl.LSN(len(w.wal)) }

// page begins a page, where one is due.
func (w *writer) page(flags uint16, rest int) {
	at := w.at()
	if at%pageSize != 0 {
		return
	}
	first := at%writtenSegment == 0
	if first {
		flags |= pageLong
	}
	w.wal = binary.LittleEndian.AppendUint16(w.wal, magics[18])
	w.wal = binary.LittleEndian.AppendUint16(w.wal, flags)
	w.wal = binary.LittleEndian.AppendUint32(w.wal, 1) // timeline
	w.wal = binary.LittleEndian.AppendUint64(w.wal, uint64(at))
	w.wal = binary.LittleEndian.AppendUint32(w.wal, uint32(rest))
	w.wal = append(w.wal, 0, 0, 0, 0)
	if first {
		w.wal = binary.LittleEndian.AppendUint64(w.wal, 7412345678901234567)
		w.wal = binary.LittleEndian.AppendUint32(w.wal, writtenSegment)
		w.wal = binary.LittleEndian.AppendUint32(w.wal, pageSize)
	}
}

// record writes a record and returns where it begins.
func (w *writer) record(manager, info byte, xid uint32, body []byte) pglogrepl.LSN {
	r := binary.LittleEndian.AppendUint32(nil, uint32(recordHeader+len(body)))
	r = binary.LittleEndian.AppendUint32(r, xid)
	r = binary.LittleEndian.AppendUint64(r, uint64(w.prev))
	r = append(r, info, manager, 0, 0)
	sum := crc32.Update(crc32.Checksum(body, castagnoli), castagnoli, r)
	r = append(binary.LittleEndian.AppendUint32(r, sum), body...)
	w.page(0, 0)
	w.prev = w.at()
	w.put(r)
	return w.prev
}

func (w *writer) put(r []byte) {
	for len(r) > 0 {
		w.page(pageContinues, len(r))
		n := min(len(r), pageSize-int(w.at()%pageSize))
		w.wal, r = append(w.wal, r[:n]...), r[n:]
	}
	for w.at()%alignment != 0 {
		w.wal = append(w.wal, 0)
	}
}

// fill writes a record of another kind that ends so many bytes before the page's end.
func (w *writer) fill(before int) {
	w.page(0, 0)
	size := pageSize - before - int(w.at()%pageSize)
	w.record(10, 0, 0, make([]byte, size-recordHeader))
}

// blank wipes up to the segment's end.
func (w *writer) blank() {
	w.wal = append(w.wal, make([]byte, writtenSegment-len(w.wal)%writtenSegment)...)
}

// commit is the body of the smallest commit.
func commitBody(time int64) []byte {
	return binary.LittleEndian.AppendUint64([]byte{idDataShort, 8}, uint64(time))
}

func (w *writer) commit(xid uint32) event {
	start := w.record(managerTransaction, infoCommit, xid, commitBody(int64(xid)))
	return event{kind: kindCommit, start: start, end: w.at(), xid: xid, time: int64(xid)}
}

func scanWritten(t testing.TB, w *writer) ([]event, error) {
	t.Helper()
	s, err := newScanner(w.start, writtenSegment, writtenVersion)
	if err != nil {
		t.Fatal(err)
	}
	var got []event
	return got, s.scanAll(w, &got)
}

func (s *scanner) scanAll(w *writer, got *[]event) error { return s.scan(w.start, w.wal, collect(got)) }

func TestHeaderSplitAtEachPlace(t *testing.T) {
	for before := 8; before <= 56; before += 8 {
		w := newWriter()
		w.fill(before)
		want := []event{w.commit(7), w.commit(8)}
		got, err := scanWritten(t, w)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%d bytes before the page's end: %+v, %v; not %+v", before, got, err, want)
		}
	}
}

func TestOverwritten(t *testing.T) {
	for _, lost := range []int{100, 3 * pageSize} { // a page after the record's first is the first that was lost, or its third
		w := newWriter()
		first := w.commit(7)
		w.fill(8) // the lost record's header is cut as well
		prev := w.prev
		cut := w.at() + alignment
		w.record(managerTransaction, infoCommit, 8, make([]byte, 5*pageSize))
		if lost > pageSize {
			cut += 2 * pageSize
		}
		w.wal, w.prev = w.wal[:cut-w.start], prev
		w.page(pageOverwrites, 0)
		w.record(managerXLOG, 0xD0, 0, make([]byte, 18)) // XLOG_OVERWRITE_CONTRECORD in pg_control.h
		want := []event{first, w.commit(9)}
		got, err := scanWritten(t, w)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%+v, %v; not %+v", got, err, want)
		}
	}
}

// TestSwitch leaves in the rest of the segment what may be there after a crash.
func TestSwitch(t *testing.T) {
	for _, before := range []int{4000, 24, 16, 8} {
		for _, left := range []byte{0, 0xA5} {
			w := newWriter()
			w.fill(before)
			w.record(managerXLOG, infoSwitch, 0, nil)
			from := len(w.wal)
			w.blank()
			for i := from; i < len(w.wal); i++ {
				w.wal[i] = left
			}
			s, err := newScanner(w.start, writtenSegment, writtenVersion)
			if err != nil {
				t.Fatal(err)
			}
			var got []event
			if err := s.scanAll(w, &got); err != nil {
				t.Fatal(err)
			}
			if s.boundary() != w.at() {
				t.Errorf("the boundary after a switch is %s, not %s", s.boundary(), w.at())
			}
			s, err = newScanner(w.start, writtenSegment, writtenVersion)
			if err != nil {
				t.Fatal(err)
			}
			want := []event{w.commit(7)}
			if err := s.scanAll(w, &got); err != nil || !slices.Equal(got, want) {
				t.Errorf("%+v, %v; not %+v", got, err, want)
			}
		}
	}
}

// TestBehindSwitch begins on the page behind the one on which the switch began.
func TestBehindSwitch(t *testing.T) {
	for _, before := range []int{8, 16, 24, 4000} {
		w := newWriter()
		w.fill(before)
		w.record(managerXLOG, infoSwitch, 0, nil)
		w.blank()
		want := []event{w.commit(7)}
		s, err := newScanner(w.start+pageSize, writtenSegment, writtenVersion)
		if err != nil {
			t.Fatal(err)
		}
		var got []event
		if err := s.scan(w.start+pageSize, w.wal[pageSize:], collect(&got)); err != nil || !slices.Equal(got, want) {
			t.Errorf("%d bytes before the page's end: %+v, %v; not %+v", before, got, err, want)
		}
	}
}

// TestImpossible writes what PostgreSQL does not. Each error tells where.
func TestImpossible(t *testing.T) {
	patch := func(at pglogrepl.LSN, b ...byte) func(*writer) {
		return func(w *writer) { copy(w.wal[at-w.start:], b) }
	}
	for name, c := range map[string]struct {
		spoil func(*writer)
		want  string
	}{
		"magic of another version": {patch(0x5002000, 0x16), "page at 0/5002000 has the magic number D116, and that of PostgreSQL 18 is D118"},
		"magic of zeros":           {patch(0x5000000, make([]byte, 40)...), "page at 0/5000000 has the magic number 0000"},
		"page of zeros":            {patch(0x5004000, make([]byte, 24)...), "page at 0/5004000 has the magic number 0000"},
		"page of elsewhere":        {patch(0x5002008, 0, 0x40), "page at 0/5002000 says that it is the one at 0/5004000"},
		"long header elsewhere":    {patch(0x5002002, 2), "page at 0/5002000 has the flags 0002"},
		"short header first":       {patch(0x5000002, 0), "page at 0/5000000 has the flags 0000"},
		"unknown flag":             {patch(0x5002002, 0x11), "page at 0/5002000 has the flags 0011"},
		"flags that exclude":       {patch(0x5002002, 9), "page at 0/5002000 has the flags 0009, which exclude each other"},
		"segment size":             {patch(0x5000020, 0, 0, 0, 1), "segment at 0/5000000 has 16777216 bytes"},
		"rest not announced":       {patch(0x5002002, 0), "page at 0/5002000 does not begin with the 8168 bytes that are left of the record at 0/5001800"},
		"rest of another length":   {patch(0x5002010, 0xF0), "page at 0/5002000 begins with 8176 bytes of the record at 0/5001800, of which 8168 are left"},
		"rest of nothing":          {patch(0x5004002, 1), "page at 0/5004000 begins with the rest of a record, and none was under way"},
		"overwrites nothing":       {patch(0x5004002, 8), "page at 0/5004000 takes the place of the rest of a record, and none"},
		"rest without length":      {patch(0x5000002, 3), "page at 0/5000000 begins with the rest of a record, which has no length"},
		"short length":             {patch(0x5000028, 23, 0), "record at 0/5000028 has 23 bytes"},
		"no length":                {patch(0x5004018, 0, 0, 0, 0), "record at 0/5004018 has 0 bytes"},
		"another before":           {patch(0x5004020, 8), "record at 0/5004018 names 0/5001808 as the one before, which is 0/5001800"},
		"itself before":            {patch(0x5000030, 0x28, 0, 0, 5), "record at 0/5000028 names 0/5000028 as the one before"},
		"no such manager":          {patch(0x5004029, 22), "record at 0/5004018 is of resource manager 22"},
		"no such operation":        {patch(0x5004028, 0x70), "record at 0/5004018 says of a transaction what is not known (70)"},
		"checksum":                 {patch(0x5004032, 1), "record at 0/5004018 has the checksum "},
		"body":                     {func(w *writer) { w.record(managerTransaction, infoPrepare, 7, []byte{0, 1}) }, "record at 0/5004040 carries a part of kind 0"},
	} {
		w := newWriter()
		w.fill(0x800)                                                    // a record at 0/5000028
		w.record(10, 0, 0, make([]byte, 0x800+pageSize-24-recordHeader)) // one at 0/5001800, up to the end of the next page
		w.commit(7)                                                      // one at 0/5004018
		c.spoil(w)
		_, err := scanWritten(t, w)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, not: %s", name, err, c.want)
		}
	}
}

// TestBodies holds what a body may say against each kind.
func TestBodies(t *testing.T) {
	le := binary.LittleEndian
	data := func(b []byte) []byte { return append(le.AppendUint32([]byte{idDataLong}, uint32(len(b))), b...) }
	prepared := func(parts uint32, rest ...byte) []byte {
		return data(append(le.AppendUint32(le.AppendUint64(nil, 1), parts), rest...))
	}
	for name, c := range map[string]struct {
		info byte
		body []byte
		want string
	}{
		"empty":                 {infoCommit, nil, "ends early"},
		"half a length":         {infoCommit, []byte{idDataLong, 8, 0}, "ends early"},
		"half a time":           {infoCommit, data(make([]byte, 7)), "ends early"},
		"a byte more":           {infoCommit, data(make([]byte, 9)), "longer"},
		"a byte more behind":    {infoCommit, append(data(make([]byte, 8)), 0), "longer"},
		"origin cut":            {infoCommit, []byte{idOrigin, 1}, "ends early"},
		"a block":               {infoCommit, []byte{3}, "part of kind 3"},
		"a part unknown":        {infoCommit | infoHasParts, prepared(1 << 9), "parts that are not known (00000200)"},
		"prepared, no parts":    {infoCommitPrepared, data(make([]byte, 8)), "is a commit prepared, and its parts (00000000)"},
		"not prepared":          {infoCommit | infoHasParts, prepared(partTwoPhase, 1, 0, 0, 0), "is a commit, and its parts (00000010)"},
		"many subxacts":         {infoCommit | infoHasParts, prepared(partSubxacts, 0xFF, 0xFF, 0xFF, 0xFF, 1, 0, 0, 0), "ends early"},
		"name without end":      {infoCommitPrepared | infoHasParts, prepared(partTwoPhase|partGID, 1, 0, 0, 0, 'g'), "ends early"},
		"origin missing":        {infoAbortPrepared | infoHasParts, prepared(partTwoPhase|partOrigin, 1, 0, 0, 0), "ends early"},
		"prepare cut":           {infoPrepare, data(make([]byte, 71)), "ends early"},
		"prepare without name":  {infoPrepare, data(make([]byte, 80)), "no text"},
		"prepare, name too far": {infoPrepare, data(append(append(make([]byte, 54), 2, 0), make([]byte, 17)...)), "ends early"},
		"prepare, name cut":     {infoPrepare, data(append(append(make([]byte, 54), 2, 0), make([]byte, 18)...)), "no text"},
	} {
		var e event
		err := e.read(c.info, c.body, 18)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, not: %s", name, err, c.want)
		}
	}
	var e event
	if err := e.read(infoCommit|infoHasParts, prepared(partStatistics, 0, 0, 0, 0), 14); err == nil {
		t.Error("PostgreSQL 14 has no statistics in its commits")
	}
}

func TestStart(t *testing.T) {
	for name, c := range map[string]struct {
		at               pglogrepl.LSN
		segment, version int
	}{
		"version before": {0x2000, 1 << 20, 130022}, "version to come": {0x2000, 1 << 20, 190000},
		"not a page": {0x2008, 1 << 20, 180004}, "not a power": {0x2000, 3 << 20, 180004},
		"no segment": {0x2000, 0, 180004}, "small": {0x2000, 1 << 19, 180004}, "large": {0x2000, 1 << 31, 180004},
	} {
		if _, err := newScanner(c.at, c.segment, c.version); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	w := newWriter()
	w.commit(7)
	s, err := newScanner(w.start, writtenSegment, writtenVersion)
	if err != nil {
		t.Fatal(err)
	}
	err = s.scan(w.start+pageSize, w.wal, nil)
	if err == nil || !strings.Contains(err.Error(), "goes on at 0/5002000, and the last chunk ended at 0/5000000") {
		t.Errorf("a chunk from elsewhere: %v", err)
	}
}

// TestAnnouncedLength has records say that they are huge. Memory is for what came.
func TestAnnouncedLength(t *testing.T) {
	w := newWriter()
	w.record(managerTransaction, infoCommit, 7, make([]byte, 1000))
	binary.LittleEndian.PutUint32(w.wal[firstPageHeader:], math.MaxUint32)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := scanWritten(t, w); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("%d bytes were allocated", n)
	}
}
