package publish

import (
	"context"
	"fmt"
	"io"

	"github.com/jackc/pglogrepl"
	"github.com/segmentio/kafka-go/protocol"
)

// journalFetchBytes bounds what a reader asks for at once, as it lies in the topic. It is compressed there: a reader
// holds a multiple of it.
const journalFetchBytes = 256 << 10

// A JournalReader shows a Journal's records in order. It belongs to one goroutine, and holds one fetch's worth of them.
type JournalReader struct {
	journal *Journal
	cursor  cursor
	end     int64 // the next offset when it was asked for last
	expired bool

	values []byte // of the records below
	kept   []kept
	shown  int // of kept
}

// kept is a record that was fetched and not shown yet.
type kept struct {
	stored     // without the value
	end    int // of the value, which begins where the one before ends
}

// Records reads the journal from the first record on that covers the position, or from its present end when there is
// none. Any goroutine may call it.
func (j *Journal) Records(ctx context.Context, timeline uint32, pos pglogrepl.LSN) (*JournalReader, error) {
	r := &JournalReader{journal: j}
	r.cursor = cursor{partition: j.partition, bytes: journalFetchBytes, record: r.keep, marker: func(*protocol.ControlBatch) {}}
	first, err := j.offset(ctx, earliest)
	if err != nil {
		return nil, err
	}
	if r.end, err = j.offset(ctx, latest); err != nil {
		return nil, err
	}
	r.cursor.at, err = seek(first, r.end, func(offset int64) (int64, bool, error) {
		found, err := j.from(ctx, offset, r.end)
		if found == nil || err != nil {
			return offset, true, err
		}
		id, err := j.identify(j.partition.topic, found)
		return found.offset + 1, reaches(id, timeline, pos), err
	})
	r.expired = first > 0 && r.cursor.at == first
	return r, err
}

// seek finds where the records begin that reach what is looked for: the first offset from which on all of them do. at
// looks at the first record at or after an offset: does it reach it, and which offset comes after it. No record reaches
// it too.
func seek(first, end int64, at func(offset int64) (after int64, reaches bool, err error)) (int64, error) {
	for first < end {
		middle := first + (end-first)/2
		after, reaches, err := at(middle)
		if err != nil {
			return 0, err
		}
		if reaches {
			end = middle
		} else {
			first = after
		}
	}
	return first, nil
}

// Next returns the next record and the position that it covers; io.EOF at the present end, after which it may be called
// again later. The value is valid until the next call.
func (r *JournalReader) Next(ctx context.Context) (value []byte, to pglogrepl.LSN, err error) {
	for r.shown == len(r.kept) {
		if err := r.fill(ctx); err != nil {
			return nil, 0, err
		}
	}
	begin := 0
	if r.shown > 0 {
		begin = r.kept[r.shown-1].end
	}
	k := &r.kept[r.shown]
	id, err := r.journal.identify(r.cursor.partition.topic, &k.stored)
	if err != nil {
		return nil, 0, err
	}
	r.shown++
	return r.values[begin:k.end:k.end], id.LSN, nil
}

// Expired reports whether the topic's retention may have taken records that the reader would have shown. When it is
// true after Records, the first record is the oldest that there is; whether the one before it covered the position is
// seen by where the first one's WAL begins.
func (r *JournalReader) Expired() bool { return r.expired }

// fill fetches what comes next.
func (r *JournalReader) fill(ctx context.Context) error {
	at := r.cursor.at
	if at >= r.end {
		var err error
		if r.end, err = r.journal.offset(ctx, latest); err != nil {
			return err
		}
		switch {
		case at == r.end:
			return io.EOF
		case at > r.end:
			return r.shortened(at)
		}
	}
	r.values, r.kept, r.shown = r.values[:0], r.kept[:0], 0
	if err := r.journal.read(ctx, &r.cursor); err != nil {
		return err
	}
	if r.cursor.at < at {
		return r.shortened(at)
	}
	r.expired = r.expired || r.cursor.expired
	return nil
}

func (r *JournalReader) shortened(at int64) error {
	return fmt.Errorf("%s had records up to offset %d and is shorter now: the brokers lost records", r.cursor.partition, at-1)
}

func (r *JournalReader) keep(s *stored) error {
	r.values = append(r.values, s.value...)
	s.value = nil
	r.kept = append(r.kept, kept{stored: *s, end: len(r.values)})
	return nil
}

// from returns the first record at or after an offset, nil when there is none before end.
func (j *Journal) from(ctx context.Context, offset, end int64) (found *stored, err error) {
	cu := &cursor{partition: j.partition, at: offset, bytes: 1, marker: func(*protocol.ControlBatch) {}} // one batch
	cu.record = func(s *stored) error {
		if found == nil {
			found = s
		}
		return nil
	}
	for found == nil && cu.at < end {
		if err := j.read(ctx, cu); err != nil {
			return nil, err
		}
		cu.bytes = journalFetchBytes // there may be many markers
	}
	return found, nil
}

// read fetches once.
func (j *Journal) read(ctx context.Context, cu *cursor) error {
	return j.ask(ctx, fmt.Sprintf("read %s at offset %d", cu.partition, cu.at), func(ctx context.Context) error {
		return j.cluster.fetch(ctx, []*cursor{cu})
	})
}

// offset returns the journal's first or next offset.
func (j *Journal) offset(ctx context.Context, which int64) (offset int64, err error) {
	err = j.ask(ctx, fmt.Sprintf("read the offsets of %s", j.partition), func(ctx context.Context) error {
		return j.cluster.offsets(ctx, []*partition{j.partition}, which, func(_ *partition, o int64) { offset = o })
	})
	return offset, err
}

// ask repeats a question until it is answered, or the journal ends.
func (j *Journal) ask(ctx context.Context, step string, f func(context.Context) error) error {
	j.mu.Lock()
	if err := j.err; err != nil {
		j.mu.Unlock()
		return err
	}
	j.flights.Add(1) // close waits for it
	j.mu.Unlock()
	defer j.flights.Done()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(j.ctx, func() { cancel(errClosed) })()
	return j.cluster.retry(ctx, step, f)
}
