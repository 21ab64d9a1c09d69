package witness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pglogrepl"
)

// A Follower goes through the witness's answers in the order of commits. It belongs to one goroutine.
type Follower struct {
	witness *Witness
	reader  Reader // of the journal, while behind the memory
	record  *whoRecord
	answers []answer      // the record's
	trimmed bool          // the record is the journal's oldest, and there were older ones
	barren  pglogrepl.LSN // up to here the journal has nothing after the record
	late    bool          // the last wait was in vain
}

// Follow starts at any position; the first question decides which.
func (w *Witness) Follow() *Follower { return &Follower{witness: w} }

// lateAgain bounds each wait after one that was in vain: who is far behind the witness is not made to wait in full for
// each transaction.
const lateAgain = time.Millisecond

// Of says who made the transaction whose commit record begins at start. Questions come in ascending order. It waits for
// the witness to get there, for patience at most where that is not 0: then the answer is that it had not. An error of ctx
// is returned as it is; other errors mean that the journal cannot be read.
func (f *Follower) Of(ctx context.Context, start pglogrepl.LSN, xid uint32, patience time.Duration) (Commit, error) {
	var timeout <-chan time.Time
	for {
		standing, c, change := f.witness.memory.of(start)
		switch standing {
		case known:
			f.late = false
			f.forget()
			return checked(c, start, xid)
		case unknown:
			return Commit{XID: xid, Reason: Unwitnessed}, nil
		case older:
			return f.fromJournal(ctx, start, xid)
		}
		if timeout == nil && patience > 0 {
			if f.late {
				patience = min(patience, lateAgain)
			}
			timer := time.NewTimer(patience)
			defer timer.Stop()
			timeout = timer.C
		}
		select {
		case <-change:
		case <-timeout:
			f.late = true
			return Commit{XID: xid, Reason: TooLate}, nil
		case <-ctx.Done():
			return Commit{}, ctx.Err()
		}
	}
}

// checked makes sure that both streams speak of the same transaction.
func checked(c Commit, start pglogrepl.LSN, xid uint32) (Commit, error) {
	if c.XID != xid {
		return c, fmt.Errorf("the commit record at %s is of transaction %d in the log, and of %d in the slot's stream", start, c.XID, xid)
	}
	return c, nil
}

// fromJournal answers from the journal, reading on from the last question.
func (f *Follower) fromJournal(ctx context.Context, start pglogrepl.LSN, xid uint32) (Commit, error) {
	if f.reader == nil {
		var err error
		if f.reader, f.trimmed, err = f.witness.journal.Records(ctx, f.witness.cfg.TimelineOf(start), start); err != nil {
			return Commit{}, err
		}
	}
	for start >= f.barren && !f.reaches(start) {
		floor := f.witness.memory.begins() // before reading: what was forgotten until now is in the journal
		value, err := f.reader.Next(ctx)
		if errors.Is(err, io.EOF) {
			f.barren = floor
			break
		}
		if err != nil {
			return Commit{}, err
		}
		if f.record != nil {
			f.trimmed = false
		}
		if f.record, err = parseRecord(value); err != nil {
			return Commit{}, err
		}
		f.answers = f.record.answers()
	}
	if f.record != nil && start >= pglogrepl.LSN(f.record.From) && f.record.Timeline == f.witness.cfg.TimelineOf(start) {
		if a := search(f.answers, start); a != nil {
			return checked(a.commit, start, xid)
		}
	} else if f.trimmed {
		return Commit{XID: xid, Reason: Expired}, nil
	}
	return Commit{XID: xid, Reason: Unwitnessed}, nil
}

// reaches reports whether the record at hand answers for the position, or one after it. The end of a history that the
// server has left lies before all that came after it, whatever its positions.
func (f *Follower) reaches(start pglogrepl.LSN) bool {
	if f.record == nil {
		return false
	}
	timeline := f.witness.cfg.TimelineOf(start)
	return f.record.Timeline > timeline || f.record.Timeline == timeline && pglogrepl.LSN(f.record.To) > start
}

// forget gives up the journal's reader: the memory has the rest.
func (f *Follower) forget() {
	f.reader, f.record, f.answers, f.trimmed, f.barren = nil, nil, nil, false, 0
}
