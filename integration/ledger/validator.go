package ledger

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pglogrepl"
)

// A Kind says what is wrong.
type Kind string

// What can be wrong with a topic.
const (
	Missing Kind = "missing"      // committed, and not in the topic
	Twice   Kind = "twice"        // one change more than once in a partition
	Order   Kind = "out of order" // not in commit order
	Altered Kind = "altered"      // not what the database says of that change
	Phantom Kind = "phantom"      // never committed
)

// A Failure is one broken promise.
type Failure struct {
	Kind Kind
	Text string
}

func (f Failure) String() string { return string(f.Kind) + ": " + f.Text }

// A Validator holds records against the books. Note takes each partition's records in their order; Finish tells what
// is wrong.
type Validator struct {
	expected   map[uint64]*transaction
	partitions map[partition]*progress
	seen       map[string]*sighting              // by record id
	found      map[uint64]map[string][]*sighting // by transaction and table
	messages   map[uint64][]*sighting            // by transaction
	widths     map[string]int                    // partitions of each topic
	failures   []Failure
}

type partition struct {
	topic string
	id    int
}

// progress is how far a partition has come.
type progress struct {
	rank    int
	ordinal uint64
	ids     map[string]bool
}

// A sighting is a change that was found in the topics, in one partition or in several.
type sighting struct {
	Record
	partitions []int
}

// NewValidator returns a validator for a workload. The widths are the topics' numbers of partitions.
func NewValidator(books *Books, widths map[string]int) *Validator {
	return &Validator{
		expected:   books.transactions(),
		partitions: make(map[partition]*progress),
		seen:       make(map[string]*sighting),
		found:      make(map[uint64]map[string][]*sighting),
		messages:   make(map[uint64][]*sighting),
		widths:     widths,
	}
}

func (v *Validator) fail(kind Kind, format string, args ...any) {
	v.failures = append(v.failures, Failure{Kind: kind, Text: fmt.Sprintf(format, args...)})
}

// Note takes the next record of a partition.
func (v *Validator) Note(r Record) {
	t := v.expected[r.Tx.XID]
	if t == nil {
		v.fail(Phantom, "%s: transaction %d was not committed", r.place(), r.Tx.XID)
		return
	}
	if lsn, err := r.commit(); err != nil || lsn != t.LSN {
		v.fail(Altered, "%s: commit_lsn %s of transaction %d, which committed at %s", r.place(), r.Tx.CommitLSN, t.XID, t.LSN)
	}
	if !r.idFits() {
		v.fail(Altered, "%s: id %s does not fit the record", r.place(), r.ID)
	}
	v.noteOrder(&r, t)

	s := v.seen[r.ID]
	if s == nil {
		s = &sighting{Record: r}
		v.seen[r.ID] = s
		if v.found[t.XID] == nil {
			v.found[t.XID] = make(map[string][]*sighting)
		}
		v.found[t.XID][r.table()] = append(v.found[t.XID][r.table()], s)
	} else if !sameChange(&s.Record, &r) {
		v.fail(Altered, "%s: id %s says something else than at %s", r.place(), r.ID, s.place())
	}
	s.partitions = append(s.partitions, r.Partition)
}

// NoteMessage takes a logical message of a transaction: the books have none, but it may be the transaction's last record.
func (v *Validator) NoteMessage(r Record) {
	v.messages[r.Tx.XID] = append(v.messages[r.Tx.XID], &sighting{Record: r})
}

func sameChange(a, b *Record) bool {
	return a.Op == b.Op && a.table() == b.table() && string(a.Before) == string(b.Before) &&
		string(a.After) == string(b.After) && a.Tx == b.Tx
}

// noteOrder holds the record against those before it in its partition.
func (v *Validator) noteOrder(r *Record, t *transaction) {
	at := partition{r.Topic, r.Partition}
	p := v.partitions[at]
	if p == nil {
		p = &progress{rank: -1, ids: make(map[string]bool)}
		v.partitions[at] = p
	}
	if p.ids[r.ID] {
		v.fail(Twice, "%s: %s", r.place(), r.ID)
		return
	}
	p.ids[r.ID] = true
	if t.rank < p.rank || t.rank == p.rank && r.Tx.Ordinal <= p.ordinal {
		v.fail(Order, "%s: %s comes after a later change", r.place(), r.ID)
		return
	}
	p.rank, p.ordinal = t.rank, r.Tx.Ordinal
}

// Finish tells what is wrong. Transactions that end beyond upTo may be there only in part, or not at all; with the
// position that a slot has confirmed this finds what was confirmed too early. 0 means that all must be there.
func (v *Validator) Finish(upTo pglogrepl.LSN) []Failure {
	transactions := make([]*transaction, 0, len(v.expected))
	for _, t := range v.expected {
		transactions = append(transactions, t)
	}
	slices.SortFunc(transactions, func(a, b *transaction) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.XID, b.XID))
	})
	for _, t := range transactions {
		whole := upTo == 0 || t.End <= upTo
		if t.rank < 0 && whole {
			v.fail(Missing, "transaction %d with %d changes is not in the slot's order of commits", t.XID, t.count)
		}
		for _, table := range v.tablesOf(t) {
			v.compare(t, table, whole)
		}
		if whole {
			v.checkLast(t)
		}
	}
	return v.failures
}

// tablesOf lists the tables that a transaction changed or is said to have changed.
func (v *Validator) tablesOf(t *transaction) []string {
	names := slices.Collect(maps.Keys(t.tables))
	for name := range v.found[t.XID] {
		if t.tables[name] == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
