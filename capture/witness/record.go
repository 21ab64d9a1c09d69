package witness

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pglogrepl"
)

// A whoRecord is a record of the journal: one look-up. Together the records are the cluster's commit journal.
type whoRecord struct {
	ID       string        `json:"id"`
	Timeline uint32        `json:"timeline"`
	From     lsn           `json:"from"` // the WAL that it answers for: (from, to]
	To       lsn           `json:"to"`
	At       time.Time     `json:"at"` // the snapshot, by the server's clock
	Sessions []*Session    `json:"sessions"`
	Commits  []whoCommit   `json:"commits"` // in the order of the WAL
	Prepared []whoPrepared `json:"prepared,omitempty"`
	State    state         `json:"state"`
	Source   whoSource     `json:"source"`
}

// A whoCommit is a commit record. Sessions are numbers in the record's list.
type whoCommit struct {
	XID       uint32 `json:"xid"`
	Commit    lsn    `json:"commit_lsn"` // where the record begins, as in the trail's tx.commit_lsn
	End       lsn    `json:"end_lsn"`
	Session   *int   `json:"session,omitempty"`
	Reason    string `json:"reason,omitempty"`
	GID       string `json:"gid,omitempty"`
	Committer *int   `json:"committer,omitempty"`
}

// A whoPrepared is a prepared transaction that is open. A record in which their list has changed has all of it.
type whoPrepared struct {
	XID     uint32 `json:"xid"`
	GID     string `json:"gid,omitempty"`
	Session *int   `json:"session,omitempty"`
	Reason  string `json:"reason,omitempty"`
}

// state is what a restart must know. Every record carries it, so the last one is all that has to be read.
type state struct {
	Prepared lsn `json:"prepared,omitempty"` // end of the record that has the newest list of prepared transactions
}

type whoSource struct {
	System string `json:"system"`
	Slot   string `json:"slot"`
}

// lsn is a position as text in JSON.
type lsn pglogrepl.LSN

func (l lsn) MarshalText() ([]byte, error) { return []byte(pglogrepl.LSN(l).String()), nil }

func (l *lsn) UnmarshalText(text []byte) error {
	pos, err := pglogrepl.ParseLSN(string(text))
	*l = lsn(pos)
	return err
}

func parseRecord(value []byte) (*whoRecord, error) {
	r := new(whoRecord)
	if err := json.Unmarshal(value, r); err != nil {
		return nil, fmt.Errorf("read a who record: %w", err)
	}
	if r.To == 0 || r.Source.System == "" {
		return nil, fmt.Errorf("read a who record: it is none of pgwitness")
	}
	return r, nil
}

// session is the one with that number.
func (r *whoRecord) session(n *int) *Session {
	if n == nil || *n < 0 || *n >= len(r.Sessions) {
		return nil
	}
	return r.Sessions[*n]
}

// number adds a session to the list, once.
func (r *whoRecord) number(s *Session) *int {
	if s == nil {
		return nil
	}
	for n, other := range r.Sessions {
		if other == s {
			return &n
		}
	}
	n := len(r.Sessions)
	r.Sessions = append(r.Sessions, s)
	return &n
}

// answers lists what the record says, for the memory.
func (r *whoRecord) answers() []answer {
	list := make([]answer, len(r.Commits))
	for i, c := range r.Commits {
		list[i] = answer{pglogrepl.LSN(c.Commit), pglogrepl.LSN(c.End), Commit{
			XID: c.XID, Session: r.session(c.Session), Reason: c.Reason, GID: c.GID, Committer: r.session(c.Committer),
		}}
	}
	return list
}
