package publish

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/jackc/pglogrepl"
	"github.com/segmentio/kafka-go"

	"pgwitness/decode"
)

func TestReachesIsTheOrder(t *testing.T) {
	type place struct {
		timeline uint32
		pos      pglogrepl.LSN
	}
	var places []place // in order
	for timeline := range uint32(3) {
		for _, pos := range []pglogrepl.LSN{0, 1, 0xFFFFFFFF, 0x100000000, 0xFFFFFFFFFFFFFFFF} {
			places = append(places, place{timeline, pos})
		}
	}
	for i, a := range places {
		for k, b := range places {
			id := decode.ID{System: 1, Timeline: a.timeline, LSN: a.pos}
			if got := reaches(id, b.timeline, b.pos); got != (i >= k) {
				t.Errorf("reaches(%v, %v) = %v", a, b, got)
			}
		}
	}
}

func TestJournalGoesOn(t *testing.T) {
	cfg := journalConfig(startKafka(t))
	counted := &counts{}
	cfg.Meter = counted
	j := openJournal(t, cfg)
	if last := j.Last(); last != nil {
		t.Fatalf("a new journal ends with %s", last)
	}
	j.append(t, 1, 10, 20, 30)
	j.finish(t)
	var durable pglogrepl.LSN
	for len(j.durable) > 0 {
		pos := <-j.durable
		if pos <= durable {
			t.Errorf("durable went from %d to %d", durable, pos)
		}
		durable = pos
	}
	if st := j.Stats(); durable != 30 || st.Confirmed != 30 || counted.total() != 3 || st.Buffered != 0 || !st.Oldest.IsZero() {
		t.Errorf("durable %d, stats %+v", durable, st)
	}
	j.Close()

	j = openJournal(t, cfg)
	if want := valueAt(1, 30); !bytes.Equal(j.Last(), want) {
		t.Fatalf("Last = %s, want %s", j.Last(), want)
	}
	if st := j.Stats(); st.Confirmed != 30 {
		t.Errorf("confirmed %d when opened", st.Confirmed)
	}
	for _, pos := range []pglogrepl.LSN{0, 29, 30} {
		if err := j.Append(t.Context(), 1, pos, nil); err == nil {
			t.Errorf("%d was appended to a journal that ends at 30", pos)
		}
	}
	if err := j.Append(t.Context(), 0, 40, nil); err == nil {
		t.Error("a record of an earlier timeline was appended")
	}
	j.append(t, 1, 31)
	j.finish(t)
	r := j.records(t, 1, 0)
	r.expect(t, 1, 10, 20, 30, 31)
	r.expectEnd(t)
	j.append(t, 1, 50, 60)
	j.finish(t)
	r.expect(t, 1, 50, 60)
	r.expectEnd(t)
}

// TestJournalRenews takes new epochs between batches, as a journal of some days does.
func TestJournalRenews(t *testing.T) {
	j := openJournal(t, journalConfig(startKafka(t)))
	var want []pglogrepl.LSN
	for pos := pglogrepl.LSN(1); pos <= 60; pos++ {
		want = append(want, pos)
		j.append(t, 1, pos)
		if pos%20 != 0 {
			continue
		}
		before := j.producer
		if err := j.renewOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		if j.producer == before {
			t.Fatalf("the epoch is still %v", before)
		}
	}
	j.finish(t)
	r := j.records(t, 1, 1)
	r.expect(t, 1, want...)
	r.expectEnd(t)
}

func TestJournalOfAnotherTimeline(t *testing.T) {
	cfg := journalConfig(startKafka(t))
	j := openJournal(t, cfg)
	j.append(t, 1, 1000, 5000)
	j.finish(t)
	j.Close()

	// The server left timeline 1 at 2000. The tail is not of its history, and nothing is made of that.
	cfg.Source.TimelineOf = func(pos pglogrepl.LSN) uint32 {
		if pos < 2000 {
			return 1
		}
		return 2
	}
	j = openJournal(t, cfg)
	if want := valueAt(1, 5000); !bytes.Equal(j.Last(), want) {
		t.Fatalf("Last = %s, want %s", j.Last(), want)
	}
	j.append(t, 2, 2100, 2200)
	j.finish(t)
	if pos := <-j.durable; pos != 2100 && pos != 2200 {
		t.Errorf("durable %d after records up to 2200", pos)
	}
	if st := j.Stats(); st.Confirmed != 2200 {
		t.Errorf("confirmed %d, want 2200", st.Confirmed)
	}
	j.append(t, 2, 9000)
	j.append(t, 3, 2300) // while open
	j.finish(t)
	var durable pglogrepl.LSN
	for len(j.durable) > 0 {
		durable = <-j.durable
	}
	if durable != 2300 {
		t.Errorf("durable %d, want 2300", durable)
	}
	if err := j.Append(t.Context(), 2, 9001, nil); err == nil {
		t.Error("a record of an earlier timeline was appended")
	}
	for _, c := range []struct {
		timeline uint32
		pos      pglogrepl.LSN
		skip     int
	}{{1, 0, 0}, {1, 1001, 1}, {1, 5001, 2}, {2, 0, 2}, {2, 2101, 3}, {2, 9001, 5}, {3, 2300, 5}, {3, 2301, 6}} {
		r := j.records(t, c.timeline, c.pos)
		for _, record := range []struct {
			timeline uint32
			pos      pglogrepl.LSN
		}{{1, 1000}, {1, 5000}, {2, 2100}, {2, 2200}, {2, 9000}, {3, 2300}}[c.skip:] {
			r.expect(t, record.timeline, record.pos)
		}
		r.expectEnd(t)
	}
}

// TestJournalFenced opens a journal twice: the first one ends.
func TestJournalFenced(t *testing.T) {
	cfg := journalConfig(startKafka(t))
	first := openJournal(t, cfg)
	first.append(t, 1, 10)
	first.finish(t)
	r := first.records(t, 1, 0)
	r.expect(t, 1, 10)

	refusal := errors.New("not ours")
	cfg.Held = func(context.Context) error { return refusal }
	if _, err := OpenJournal(t.Context(), cfg, hclog.NewNullLogger()); !errors.Is(err, refusal) {
		t.Fatalf("without a right to it: %v", err)
	}
	first.append(t, 1, 20)
	first.finish(t)

	cfg.Held = func(context.Context) error { return nil }
	second := openJournal(t, cfg)
	if want := valueAt(1, 20); !bytes.Equal(second.Last(), want) {
		t.Fatalf("Last = %s, want %s", second.Last(), want)
	}
	first.append(t, 1, 30)
	if err := first.Finish(t.Context()); !errors.Is(err, ErrFenced) {
		t.Errorf("Finish of the first: %v", err)
	}
	if err := <-first.failed; !errors.Is(err, ErrFenced) {
		t.Errorf("the first failed with %v", err)
	}
	if err := first.Append(t.Context(), 1, 40, nil); !errors.Is(err, ErrFenced) {
		t.Errorf("Append to the first: %v", err)
	}
	if _, _, err := r.Next(t.Context()); !errors.Is(err, ErrFenced) {
		t.Errorf("a reader of the first: %v", err)
	}
	second.append(t, 1, 30)
	second.finish(t)
	r = second.records(t, 1, 0)
	r.expect(t, 1, 10, 20, 30)
	r.expectEnd(t)
}

// TestJournalOfSomebodyElse finds records that are not the journal's, and does no harm to whoever wrote them.
func TestJournalOfSomebodyElse(t *testing.T) {
	cfg := journalConfig(startKafka(t))
	owner := openJournal(t, cfg)
	owner.append(t, 1, 10)
	owner.finish(t)

	other := cfg
	other.Source.System = 8
	_, err := OpenJournal(t.Context(), other, hclog.NewNullLogger())
	if err == nil || !strings.Contains(err.Error(), "of system 7, not of system 8") {
		t.Errorf("another system's journal: %v", err)
	}
	owner.append(t, 1, 20)
	owner.finish(t)
	owner.Close()

	for i, header := range [][]kafka.Header{
		nil,
		{{Key: "id", Value: []byte("7.1.16401-0000000000000030-1")}}, // a table's
	} {
		own := cfg
		own.Prefix = fmt.Sprint("p", i)
		j := openJournal(t, own)
		j.append(t, 1, 10)
		j.finish(t)
		r := j.records(t, 1, 0)
		r.expect(t, 1, 10)
		writeForeign(t, own, header)
		if _, _, err := r.Next(t.Context()); err == nil || !strings.Contains(err.Error(), "who offset 2 ") {
			t.Errorf("a reader that meets a record with %v: %v", header, err)
		}
		if _, err := OpenJournal(t.Context(), own, hclog.NewNullLogger()); err == nil || !strings.Contains(err.Error(), "who offset 2 ") {
			t.Errorf("a journal that ends with a record with %v: %v", header, err)
		}
	}
}

// TestJournalWithoutKafka fills the buffer of a journal whose brokers are gone.
func TestJournalWithoutKafka(t *testing.T) {
	kafka := startKafka(t)
	cfg := journalConfig(kafka)
	cfg.BufferBytes = 1000
	j := openJournal(t, cfg)
	j.append(t, 1, 1)
	j.finish(t)
	r := j.records(t, 1, 0)
	kafka.Close()

	read := make(chan error, 1)
	go func() {
		_, _, err := r.Next(t.Context())
		read <- err
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	var err error
	for pos := pglogrepl.LSN(2); err == nil; pos++ {
		if pos > 100 {
			t.Fatal("the buffer has no end")
		}
		err = j.Append(ctx, 1, pos, bytes.Repeat([]byte("x"), 100))
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Append with a full buffer: %v", err)
	}
	if st := j.Stats(); st.Buffered == 0 || st.Buffered > cfg.BufferBytes || st.Oldest.IsZero() {
		t.Errorf("with a full buffer: %+v", st)
	}
	j.Close() // and the reader, which asks in vain
	if err := <-read; !errors.Is(err, errClosed) {
		t.Errorf("a reader of a closed journal: %v", err)
	}
	if err := j.Append(t.Context(), 1, 1000, nil); !errors.Is(err, errClosed) {
		t.Errorf("Append to a closed journal: %v", err)
	}
}

func TestJournalRefusesWhatItsTopicDoesNotTake(t *testing.T) {
	cfg := journalConfig(startKafka(t))
	cfg.MaxMessageBytes = 1000
	j := openJournal(t, cfg)
	if err := j.Append(t.Context(), 1, 10, make([]byte, 1000)); err == nil || !strings.Contains(err.Error(), "max.message.bytes") {
		t.Errorf("Append of 1000 bytes: %v", err)
	}
	j.append(t, 1, 10)
	j.finish(t)
}
