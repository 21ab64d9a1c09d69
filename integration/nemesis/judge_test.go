//go:build integration

package nemesis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"

	"pgwitness/integration/ledger"
	"pgwitness/integration/rebuild"
	"pgwitness/integration/topics"
)

// judge holds the topics against the books of the database.
func (r *round) judge(t *testing.T) []string {
	t.Helper()
	var books *ledger.Books
	var booked []string
	actors := &identification{hold: r.hold, acknowledged: r.workload.succeed, enders: r.workload.enders}
	err := r.ask(t.Context(), func(c *pgx.Conn) (err error) {
		if booked, err = bookedMessages(t.Context(), c); err != nil {
			return err
		}
		if actors.makers, err = readMakers(t.Context(), c); err != nil {
			return err
		}
		books, err = ledger.ReadBooks(t.Context(), c, r.slot+"_audit")
		return err
	})
	if err != nil {
		return []string{err.Error()}
	}
	bounds, err := r.reader.Bounds(t.Context(), r.prefix)
	if err != nil {
		return []string{err.Error()}
	}
	widths := make(map[string]int)
	for _, p := range bounds {
		widths[p.Topic]++
	}
	diary := &diary{slot: r.slot}
	messages := &messages{seen: make(map[string]int)}
	timing := newTiming(books)
	v := ledger.NewValidator(books, widths)
	for _, p := range bounds {
		err := r.reader.Each(t.Context(), p.Topic, p.ID, p.Start, p.End, func(raw topics.Record) error {
			switch strings.TrimPrefix(p.Topic, r.prefix+".") {
			case "who":
				return nil // what it says stands in the other records
			case "control":
				rec, err := ledger.Parse(raw)
				if err == nil && rec.Tx.XID != 0 {
					v.NoteMessage(rec) // of an event trigger of setup's
				}
				return errors.Join(err, diary.note(raw), actors.note(raw))
			case "message":
				rec, err := messages.note(raw)
				v.NoteMessage(rec)
				return errors.Join(err, actors.note(raw))
			}
			rec, err := ledger.Parse(raw)
			if err == nil {
				v.Note(rec)
				timing.note(rec)
			}
			return errors.Join(err, actors.note(raw))
		})
		if err != nil {
			return []string{err.Error()}
		}
	}
	var faults []string
	for i, f := range v.Finish(0) {
		if i == 20 {
			faults = append(faults, "… and more")
			break
		}
		faults = append(faults, f.String())
	}
	faults = append(faults, timing.early(r.sampler.samples)...)
	faults = append(faults, messages.judge(booked)...)
	faults = append(faults, diary.judge(r.supervisor.woken == 0)...)
	faults = append(faults, actors.judge()...)
	faults = append(faults, r.rebuild(t.Context())...)
	r.tell("%d changes in %d transactions, %d samples, %d starts", len(books.Changes), len(books.Commits),
		len(r.sampler.samples), len(r.supervisor.all))
	r.changes, r.actors = len(books.Changes), actors.counts()
	r.tell("of the transactions are %s; %d were seen to succeed", listed(r.actors), len(r.workload.succeed))
	return faults
}

// A timing knows where each partition's records of which transactions are.
type timing struct {
	ends   map[uint64]pglogrepl.LSN // of each transaction: what a slot that has it confirms
	places map[place][]mark
}

// A mark is a record's place, and the position that must not be confirmed before it is there.
type mark struct {
	offset int64
	end    pglogrepl.LSN
	id     string
}

func newTiming(books *ledger.Books) *timing {
	t := &timing{ends: make(map[uint64]pglogrepl.LSN), places: make(map[place][]mark)}
	for _, c := range books.Commits {
		t.ends[c.XID] = c.End
	}
	return t
}

func (t *timing) note(r ledger.Record) {
	at := place{r.Topic, r.Partition}
	t.places[at] = append(t.places[at], mark{r.Offset, t.ends[r.Tx.XID], r.ID})
}

// early finds what was confirmed too early: a record behind the ends that a sample saw, of a transaction that the slot
// had been told of before that.
func (t *timing) early(samples []sample) []string {
	var faults []string
	for _, s := range samples {
		for at, marks := range t.places {
			// In the order of offsets the positions ascend: the first behind the end is the one that counts.
			i, _ := slices.BinarySearchFunc(marks, s.ends[at], func(m mark, end int64) int { return cmp.Compare(m.offset, end) })
			if i < len(marks) && marks[i].end <= s.confirmed && marks[i].end != 0 {
				faults = append(faults, fmt.Sprintf("confirmed too early: at %.2fs the slot stood at %s, but %s/%d ended at %d, before %s, which ends at %s",
					s.at.Seconds(), s.confirmed, at.topic, at.partition, s.ends[at], marks[i].id, marks[i].end))
			}
		}
	}
	return faults
}

// messages are what the message topic holds.
type messages struct {
	seen map[string]int
	last position
	bad  []string
}

// position orders the records of a topic.
type position struct {
	lsn     pglogrepl.LSN
	ordinal uint64
}

func (m *messages) note(raw topics.Record) (ledger.Record, error) {
	rec, content, err := parseMessage(raw)
	if err != nil {
		return rec, err
	}
	lsn, err := pglogrepl.ParseLSN(rec.Tx.CommitLSN)
	if err != nil {
		return rec, err
	}
	m.seen[content]++
	now := position{lsn, rec.Tx.Ordinal}
	if now.lsn < m.last.lsn || now.lsn == m.last.lsn && now.ordinal <= m.last.ordinal {
		m.bad = append(m.bad, fmt.Sprintf("out of order: message %s after %s-%d", rec.ID, m.last.lsn, m.last.ordinal))
	}
	m.last = now
	return rec, nil
}

// bookedMessages reads the contents of the messages that must be there.
func bookedMessages(ctx context.Context, c *pgx.Conn) ([]string, error) {
	rows, err := c.Query(ctx, "select content from books.message")
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// judge holds the messages against their books.
func (m *messages) judge(booked []string) []string {
	faults := m.bad
	for _, content := range booked {
		if m.seen[content] == 0 {
			faults = append(faults, "missing: message "+content)
		}
	}
	for content, n := range m.seen {
		if n > 1 {
			faults = append(faults, fmt.Sprintf("twice: message %s is there %d times", content, n))
		}
		if !strings.HasPrefix(content, "loose ") && !slices.Contains(booked, content) {
			faults = append(faults, "phantom: message "+content)
		}
	}
	return faults
}

// rebuild makes the tables again from the topics alone, definitions as the control topic tells of them, and compares
// them with the real ones.
func (r *round) rebuild(ctx context.Context) []string {
	records, err := rebuild.Read(ctx, r.reader, r.prefix)
	if err != nil {
		return []string{err.Error()}
	}
	state, unfit := rebuild.Replay(records, rebuild.ByTrail)
	none := func(rebuild.Name) bool { return false }
	rows, differ, err := rebuild.Compare(ctx, r.admin, publication, state, none)
	if err != nil {
		return []string{err.Error()}
	}
	var faults []string
	for i, f := range append(unfit, differ...) {
		if i == 10 {
			break
		}
		faults = append(faults, "rebuilt: "+f.String())
	}
	r.tell("%d rows rebuilt; unknown are %v", rows, state.Broken())
	return faults
}
