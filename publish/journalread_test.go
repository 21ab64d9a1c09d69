package publish

import (
	"bytes"
	"fmt"
	"io"
	"math/bits"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pglogrepl"
)

// TestSeek compares with a search from the front, in topics with markers anywhere and without their beginning.
func TestSeek(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 2000 {
		first := random.Int64N(50)
		end := first + random.Int64N(200)
		markers := random.IntN(101) // of a hundred offsets
		places := make(map[int64]int)
		place := 0
		for o := first; o < end; o++ {
			if random.IntN(100) >= markers {
				place += 1 + random.IntN(3)
				places[o] = place
			}
		}
		wanted := random.IntN(place + 3)
		next := func(offset int64) int64 {
			for ; offset < end; offset++ {
				if _, record := places[offset]; record {
					break
				}
			}
			return offset
		}
		looks := 0
		got, err := seek(first, end, func(offset int64) (int64, bool, error) {
			looks++
			if offset < first || offset >= end {
				t.Fatalf("looked at offset %d of %d to %d", offset, first, end)
			}
			found := next(offset)
			return found + 1, found == end || places[found] >= wanted, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		want := next(first)
		for want < end && places[want] < wanted {
			want = next(want + 1)
		}
		if next(got) != want {
			t.Fatalf("seek %d in %v from %d to %d = %d, whose record is at %d; want the one at %d", wanted, places, first, end, got, next(got), want)
		}
		if limit := bits.Len64(uint64(end - first)); looks > limit {
			t.Fatalf("%d looks at %d offsets", looks, end-first)
		}
	}
}

// TestJournalLookUp asks for every position of a journal that was opened many times, so that markers stand between its
// records and some stand together.
func TestJournalLookUp(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	cfg := journalConfig(startKafka(t))
	var all []pglogrepl.LSN
	pos := pglogrepl.LSN(5)
	var j *testJournal
	for round := range 6 {
		if j != nil {
			j.Close()
		}
		j = openJournal(t, cfg)
		if round > 3 {
			continue // markers are the last that there is
		}
		for range random.IntN(10) {
			pos += pglogrepl.LSN(1 + random.IntN(3))
			all = append(all, pos)
			j.append(t, 1, pos)
			if random.IntN(3) == 0 {
				j.finish(t) // and the next one is a batch of its own
			}
		}
		j.finish(t)
	}
	for at := range pos + 3 {
		for len(all) > 0 && all[0] < at {
			all = all[1:]
		}
		r := j.records(t, 1, at)
		if r.Expired() {
			t.Fatalf("the journal is whole, but at %d some of it has expired", at)
		}
		r.expect(t, 1, all...)
		r.expectEnd(t)
	}
}

func TestJournalExpires(t *testing.T) {
	cfg := journalConfig(startKafka(t))
	j := openJournal(t, cfg)
	j.append(t, 1, 10, 20) // offset 0 is the fence's marker
	j.finish(t)
	slow := j.records(t, 1, 0)
	slow.expect(t, 1, 10, 20)
	j.append(t, 1, 30, 40, 50)
	j.finish(t)

	trim(t, cfg, 4)
	r := j.records(t, 1, 15)
	if !r.Expired() {
		t.Error("nobody says that the record that covers 15 is gone")
	}
	r.expect(t, 1, 40, 50)
	r.expectEnd(t)
	if r := j.records(t, 1, 45); r.Expired() {
		t.Error("the record before the one that covers 45 is there, but some have expired")
	}
	if slow.Expired() {
		t.Error("nothing had expired when this reader read it")
	}
	slow.expect(t, 1, 40, 50)
	if !slow.Expired() {
		t.Error("a reader does not notice that records went away before it read them")
	}

	trim(t, cfg, 6)
	r = j.records(t, 1, 15)
	if r.expectEnd(t); !r.Expired() {
		t.Error("nobody says that all records are gone")
	}
	j.Close()
	j = openJournal(t, cfg)
	if last := j.Last(); last != nil {
		t.Errorf("Last = %s of a journal without records", last)
	}
	j.append(t, 1, 60)
	j.finish(t)
	j.records(t, 1, 60).expect(t, 1, 60)
}

// TestJournalReadersBesideAppend reads at several places while records are appended.
func TestJournalReadersBesideAppend(t *testing.T) {
	j := openJournal(t, journalConfig(startKafka(t)))
	const n = 3000
	go func() {
		for range j.durable { // it must not block
		}
	}()
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			r, err := j.Records(t.Context(), 1, 0) // an empty journal's, perhaps
			for pos := pglogrepl.LSN(1); err == nil && pos <= n; {
				var value []byte
				var to pglogrepl.LSN
				value, to, err = r.Next(t.Context())
				if err == io.EOF {
					err = nil
					time.Sleep(time.Millisecond)
					continue
				}
				if err == nil && (to != pos || !bytes.Equal(value, valueAt(1, pos))) {
					err = fmt.Errorf("record %d is %s, want %d", to, value, pos)
				}
				pos++
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	for pos := pglogrepl.LSN(1); pos <= n; pos++ {
		j.append(t, 1, pos)
	}
	wg.Wait()
	j.Close()
	close(j.durable)
}
