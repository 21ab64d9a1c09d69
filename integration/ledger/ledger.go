// Package ledger keeps the books of a workload and holds the topics against them.
//
// The books are the database's own: an AFTER trigger on every table writes each change, with row_to_json of the old and
// the new row, into a log table in the same transaction; and a second replication slot, read by SQL, says in which
// order the transactions were committed. A Validator takes what the topics hold, record by record, and decides what is
// missing, there twice, out of order, altered, or was never committed. This is the testable form of the promise:
//
//	for every partition, the records are exactly the published changes in commit order, each once.
package ledger

import (
	"cmp"
	"slices"

	"github.com/jackc/pglogrepl"
)

// A Change is one change as the log table has it.
type Change struct {
	XID           uint64 // 64 bits
	Seq           int64  // order within the transaction
	Table         string // schema.table
	Op            string // insert, update, delete, truncate
	Before, After string // row_to_json's text; "" where there is no such row
}

// A Commit is a transaction's place in the order of commits.
type Commit struct {
	XID uint64
	LSN pglogrepl.LSN // of the commit record's start
	End pglogrepl.LSN // behind the commit record: what a slot that has the transaction confirms
}

// Books are what the database says happened.
type Books struct {
	Changes []Change
	Commits []Commit
}

// A transaction is a committed one with its changes, a table at a time, in order.
type transaction struct {
	Commit
	rank   int // 0 for the first commit
	tables map[string][]Change
	count  int
}

// transactions orders the books. Transactions without changes stay: a record that claims one of them is wrong.
func (b *Books) transactions() map[uint64]*transaction {
	commits := slices.Clone(b.Commits)
	slices.SortFunc(commits, func(a, b Commit) int { return cmp.Compare(a.LSN, b.LSN) })
	all := make(map[uint64]*transaction, len(commits))
	for rank, c := range commits {
		all[c.XID] = &transaction{Commit: c, rank: rank, tables: make(map[string][]Change)}
	}
	changes := slices.Clone(b.Changes)
	slices.SortFunc(changes, func(a, b Change) int { return cmp.Compare(a.Seq, b.Seq) })
	for _, c := range changes {
		t := all[c.XID]
		if t == nil {
			// Committed, for the log table shows it, but not seen by the slot: not to be expected in the topics either
			// way, so it must not pass silently.
			t = &transaction{Commit: Commit{XID: c.XID}, rank: -1, tables: make(map[string][]Change)}
			all[c.XID] = t
		}
		t.tables[c.Table] = append(t.tables[c.Table], c)
		t.count++
	}
	return all
}
