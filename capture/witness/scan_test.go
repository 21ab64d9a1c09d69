package witness

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pglogrepl"
)

// versions are the servers whose WAL was recorded (testdata/README.md says how).
var versions = []int{14, 15, 16, 17, 18}

// A recording is whole segments of WAL, and what the server itself said of them.
type recording struct {
	version, segment int
	start            pglogrepl.LSN
	wal              []byte
	want             []told
}

// told is an event as the server tells it. What it does not tell is empty.
type told struct {
	Kind, Start, End string
	XID              uint32
	GID, Time        string
}

func readRecording(t testing.TB, version int) *recording {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("testdata/wal-%d.json", version))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Version, Segment int
		Start            string
		Events           []told
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	r := &recording{version: file.Version, segment: file.Segment, want: file.Events}
	if r.start, err = pglogrepl.ParseLSN(file.Start); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(fmt.Sprintf("testdata/wal-%d.gz", version))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if r.wal, err = io.ReadAll(z); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *recording) scanner(t testing.TB, at pglogrepl.LSN) *scanner {
	t.Helper()
	s, err := newScanner(at, r.segment, r.version)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// from is the WAL from a position on.
func (r *recording) from(at pglogrepl.LSN) []byte { return r.wal[at-r.start:] }

// all is the events of the whole recording, scanned in one chunk.
func (r *recording) all(t testing.TB) []event {
	t.Helper()
	var list []event
	if err := r.scanner(t, r.start).scan(r.start, r.wal, collect(&list)); err != nil {
		t.Fatal(err)
	}
	return list
}

func collect(list *[]event) func(event) error {
	return func(e event) error {
		*list = append(*list, e)
		return nil
	}
}

// shown is an event in the server's words. What the server left out is left out of it too.
func shown(e event, want told) told {
	at := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(e.time) * time.Microsecond)
	got := told{e.kind.String(), e.start.String(), e.end.String(), e.xid, e.gid, at.Format("2006-01-02 15:04:05.999999")}
	if want.Start == "" {
		got.Start = ""
	}
	if want.Time == "" {
		got.Time = ""
	}
	return got
}

func TestRecorded(t *testing.T) {
	for _, version := range versions {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			r := readRecording(t, version)
			got := r.all(t)
			for i, e := range got {
				if i < len(r.want) && shown(e, r.want[i]) != r.want[i] {
					t.Errorf("event %d is\n%+v, and the server says\n%+v", i, shown(e, r.want[i]), r.want[i])
				}
			}
			if len(got) != len(r.want) {
				t.Errorf("%d events, and the server tells of %d", len(got), len(r.want))
			}
			covered(t, r, got)
		})
	}
}

// covered holds the recording to what it is there for.
func covered(t *testing.T, r *recording, events []event) {
	t.Helper()
	kinds := make(map[kind]int)
	var cut, split, flush, long, crossing, overwritten int
	for _, e := range events {
		kinds[e.kind]++
		first, last := e.start/pageSize, (e.end-1)/pageSize
		switch {
		case pageSize-e.start%pageSize < recordHeader:
			split++
		case first != last:
			cut++
		}
		if e.end%pageSize == 0 {
			flush++
		}
		if last > first+1 || e.end-e.start > 4096 {
			long++
		}
		if e.start/pglogrepl.LSN(r.segment) != (e.end-1)/pglogrepl.LSN(r.segment) {
			crossing++
		}
	}
	for at := 0; at < len(r.wal); at += pageSize {
		if r.wal[at+2]&pageOverwrites != 0 {
			overwritten++
		}
	}
	if len(kinds) != 4 || cut == 0 || split == 0 || flush < 2 || long == 0 || crossing < 2 || overwritten != 1 {
		t.Errorf("kinds %v, %d records cut by a page, %d headers, %d records that end with a page, %d long ones, %d across segments, %d overwritten",
			kinds, cut, split, flush, long, crossing, overwritten)
	}
}

// TestBytewise feeds single bytes, from a buffer that is used again; but where a long body or a blank has nothing to tell,
// most of it at once.
func TestBytewise(t *testing.T) {
	for _, version := range versions {
		r := readRecording(t, version)
		s := r.scanner(t, r.start)
		var got []event
		see := collect(&got)
		buffer := make([]byte, r.segment)
		for at := r.start; len(r.from(at)) > 0; {
			n := 1
			switch deep := int(s.left) - 100; {
			case at < s.blank:
				n = max(1, int(s.blank-at)-100)
			case s.have == recordHeader && deep > 0 && at%pageSize > 100:
				n = max(1, min(deep, pageSize-int(at%pageSize)-100))
			}
			copy(buffer, r.from(at)[:n])
			if err := s.scan(at, buffer[:n], see); err != nil {
				t.Fatal(err)
			}
			clear(buffer[:n])
			at += pglogrepl.LSN(n)
		}
		if !slices.Equal(got, r.all(t)) {
			t.Errorf("%d: other events than from one chunk", version)
		}
		if s.boundary() != r.start+pglogrepl.LSN(len(r.wal)) {
			t.Errorf("%d: the boundary is %s", version, s.boundary())
		}
	}
}

// TestEveryCut cuts the WAL at each position: the chunk before the cut and the one behind it tell the same as the two in
// one. Each pair lies in a window, from whose start the scanner is set up as it was there.
func TestEveryCut(t *testing.T) {
	const window = 256
	for _, version := range versions {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			t.Parallel()
			r := readRecording(t, version)
			s := r.scanner(t, r.start)
			for from := r.start; len(r.from(from)) > window; from += window {
				chunk := r.from(from)[:window]
				before := duplicate(s)
				var want []event
				if err := s.scan(from, chunk, collect(&want)); err != nil {
					t.Fatal(err)
				}
				if before.blank > s.at || from%pageSize != 0 && before.have == recordHeader && before.left > window {
					continue // nothing to cut: all of it is passed over, or one record's body
				}
				for cut := 1; cut < window; cut++ {
					c := duplicate(before)
					var got []event
					if err := c.scan(from, chunk[:cut], collect(&got)); err != nil {
						t.Fatal(err)
					}
					if err := c.scan(from+pglogrepl.LSN(cut), chunk[cut:], collect(&got)); err != nil {
						t.Fatal(err)
					}
					if !slices.Equal(got, want) || !alike(c, s) {
						t.Fatalf("cut at %s: %+v, and %+v in one", from+pglogrepl.LSN(cut), got, want)
					}
				}
			}
		})
	}
}

func duplicate(s *scanner) *scanner {
	d := *s
	d.body = bytes.Clone(s.body)
	return &d
}

// alike tells whether two scanners will do the same with what comes.
func alike(a, b *scanner) bool {
	return a.at == b.at && a.end == b.end && a.prev == b.prev && a.blank == b.blank && a.fresh == b.fresh && a.page == b.page &&
		a.start == b.start && a.head == b.head && a.have == b.have && a.left == b.left && a.keep == b.keep &&
		(!a.keep || bytes.Equal(a.body, b.body))
}

// TestFromEveryPage begins at every page: in the middle of records, and in what is left of a segment after a switch.
func TestFromEveryPage(t *testing.T) {
	for _, version := range versions {
		r := readRecording(t, version)
		all := r.all(t)
		for at := r.start; len(r.from(at)) > 0; at += pageSize {
			var got []event
			s := r.scanner(t, at)
			// Into the next segment, where records begin again.
			chunk := r.from(at)
			chunk = chunk[:min(len(chunk), r.segment+(64<<10)-int(at)%r.segment)]
			if err := s.scan(at, chunk, collect(&got)); err != nil {
				t.Fatalf("%d from %s: %v", version, at, err)
			}
			end := at + pglogrepl.LSN(len(chunk))
			var want []event
			for _, e := range all {
				if e.start >= at && e.end <= end {
					want = append(want, e)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%d from %s: %+v, not %+v", version, at, got, want)
			}
		}
	}
}

// TestResume stops at many places and goes on with another scanner, as boundary has it.
func TestResume(t *testing.T) {
	for _, version := range versions {
		r := readRecording(t, version)
		all := r.all(t)
		for stop := 1; stop < len(r.wal); stop += 99991 {
			var got []event
			s := r.scanner(t, r.start)
			if err := s.scan(r.start, r.wal[:stop], collect(&got)); err != nil {
				t.Fatal(err)
			}
			boundary := s.boundary()
			if boundary%alignment != 0 {
				t.Fatalf("%d: stopped after %d bytes, the boundary is %s", version, stop, boundary)
			}
			page := boundary &^ (pageSize - 1)
			err := r.scanner(t, page).scan(page, r.from(page), func(e event) error {
				if e.start >= boundary {
					got = append(got, e)
				}
				return nil
			})
			if err != nil {
				t.Fatalf("%d: resumed at %s: %v", version, page, err)
			}
			if !slices.Equal(got, all) {
				t.Fatalf("%d: stopped after %d bytes and resumed at %s: other events", version, stop, page)
			}
		}
	}
}

func TestNothingAllocated(t *testing.T) {
	r := readRecording(t, 18)
	quiet, at := r.quiet(t)
	s := r.scanner(t, at)
	n := testing.AllocsPerRun(5, func() {
		*s = scanner{version: s.version, segment: s.segment, magic: s.magic, at: at, end: at, fresh: true}
		if err := s.scan(at, quiet, func(event) error { return fmt.Errorf("an event") }); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations for %d bytes without an event", n, len(quiet))
	}
}

// quiet is the longest part of the recording, in whole pages, in which no event begins or ends and that is not blank.
func (r *recording) quiet(t testing.TB) (part []byte, at pglogrepl.LSN) {
	from := r.start
	for _, e := range append(r.all(t), event{start: r.start + pglogrepl.LSN(len(r.wal))}) {
		begin, end := (from+pageSize-1)&^(pageSize-1), e.start&^(pageSize-1)
		if s := pglogrepl.LSN(r.segment); end/s != begin/s {
			end = end / s * s // a switch may lie before
		}
		if end > begin && int(end-begin) > len(part) {
			part, at = r.from(begin)[:end-begin], begin
		}
		from = e.end
	}
	return part, at
}

func BenchmarkScan(b *testing.B) {
	r := readRecording(b, 18)
	b.Run("recording", func(b *testing.B) { benchmark(b, r, r.start, r.wal) })
	quiet, at := r.quiet(b)
	b.Run("quiet", func(b *testing.B) { benchmark(b, r, at, quiet) })
	w := newWriter() // records of 80 bytes, as many small updates make them
	for len(w.wal) < 900<<10 {
		w.record(10, 0, 0, make([]byte, 80-recordHeader))
	}
	b.Run("small", func(b *testing.B) {
		benchmark(b, &recording{version: writtenVersion, segment: writtenSegment}, w.start, w.wal)
	})
	w = newWriter()
	for len(w.wal) < 900<<10 {
		w.commit(7)
	}
	b.Run("commits", func(b *testing.B) {
		benchmark(b, &recording{version: writtenVersion, segment: writtenSegment}, w.start, w.wal)
	})
}

func benchmark(b *testing.B, r *recording, at pglogrepl.LSN, wal []byte) {
	b.SetBytes(int64(len(wal)))
	b.ReportAllocs()
	s := r.scanner(b, at)
	fresh := *s
	for b.Loop() {
		body := s.body
		*s = fresh
		s.body = body
		for done := 0; done < len(wal); done += 128 << 10 {
			if err := s.scan(at+pglogrepl.LSN(done), wal[done:min(len(wal), done+128<<10)], func(event) error { return nil }); err != nil {
				b.Fatal(err)
			}
		}
	}
}
