package witness

import (
	"errors"
	"slices"
	"testing"

	"github.com/jackc/pglogrepl"
)

// FuzzScan feeds WAL of one of the versions, cut in two. Whatever comes: no panic, the same events and the same error
// wherever the cut is, each event within what was sent and behind the one before, and no more memory than was sent.
func FuzzScan(f *testing.F) {
	for _, version := range versions {
		r := readRecording(f, version)
		// A few pages around each event, up to a size that the fuzzer can work with.
		var last pglogrepl.LSN
		for _, e := range r.all(f) {
			from, to := e.start&^(pageSize-1), (e.end+pageSize-1)&^(pageSize-1)
			if from >= last && to-from <= 4*pageSize {
				f.Add(uint8(version-14), uint64(from), uint16(e.start-from), r.from(from)[:to-from])
				last = to
			}
		}
	}
	f.Fuzz(func(t *testing.T, version uint8, start uint64, cut uint16, wal []byte) {
		at := pglogrepl.LSN(start % (1 << 60) &^ (pageSize - 1))
		major := 14 + int(version)%len(versions)
		whole, err := fuzzed(t, major, at, wal)
		if n := int(cut); n <= len(wal) {
			got, cutErr := fuzzed(t, major, at, wal[:n], wal[n:])
			if !slices.Equal(got, whole) || (err == nil) != (cutErr == nil) || err != nil && err.Error() != cutErr.Error() {
				t.Fatalf("%+v, %v; cut at %d: %+v, %v", whole, err, n, got, cutErr)
			}
		}
	})
}

func fuzzed(t *testing.T, major int, at pglogrepl.LSN, chunks ...[]byte) (list []event, err error) {
	s, err := newScanner(at, 1<<20, major*10000)
	if err != nil {
		t.Fatal(err)
	}
	size, last := 0, at
	for _, chunk := range chunks {
		size += len(chunk)
		if err = s.scan(at, chunk, collect(&list)); err != nil {
			break
		}
		at += pglogrepl.LSN(len(chunk))
	}
	if n := cap(s.body); n > 2*size+1024 {
		t.Errorf("%d bytes are held, and %d came", n, size)
	}
	for _, e := range list {
		if e.start < last || e.end < e.start+recordHeader || err == nil && e.end > (at+alignment-1)&^(alignment-1) {
			t.Errorf("%+v comes behind %s, in what ends at %s", e, last, at)
		}
		last = e.end
	}
	if err == nil && s.boundary() > s.segmentEnd(at+1) {
		t.Errorf("the boundary %s lies beyond the segment of %s", s.boundary(), at)
	}
	return list, err
}

// FuzzBody reads what stands behind a record's checksum, which FuzzScan's bytes hardly pass. What was read is read with
// a byte more as well, or refused, but never read as a commit's or an abort's.
func FuzzBody(f *testing.F) {
	for _, version := range versions {
		r := readRecording(f, version)
		s := r.scanner(f, r.start)
		err := s.scan(r.start, r.wal, func(event) error {
			f.Add(uint8(version-14), s.head[16], slices.Clone(s.body))
			return nil
		})
		if err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, version, info uint8, body []byte) {
		major := 14 + int(version)%len(versions)
		var e event
		if err := e.read(info, body, major); err != nil {
			if errors.Unwrap(err) != nil || len(e.gid) > len(body) {
				t.Errorf("%+v, %v", e, err)
			}
			return
		}
		if err := e.read(info, append(slices.Clone(body), 0), major); err == nil {
			t.Errorf("%x is accepted with a byte more", body)
		}
	})
}
