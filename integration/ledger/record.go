package ledger

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/jackc/pglogrepl"

	"pgwitness/integration/topics"
)

// A Record is a change as a topic has it. Images keep the bytes that were delivered.
type Record struct {
	Topic     string
	Partition int
	Offset    int64
	RecordKey string // Kafka's key

	ID      string          `json:"id"`
	Op      string          `json:"op"`
	Schema  string          `json:"schema"`
	Table   string          `json:"table"`
	Key     json.RawMessage `json:"key"`
	Before  json.RawMessage `json:"before"`
	After   json.RawMessage `json:"after"`
	Changed []string        `json:"changed"`
	Missing []string        `json:"missing"`
	Tx      struct {
		XID       uint64 `json:"xid"`
		Ordinal   uint64 `json:"ordinal"`
		Last      bool   `json:"last"`
		CommitLSN string `json:"commit_lsn"`
		Committed string `json:"committed_at"`
	} `json:"tx"`
	Source struct {
		System   string `json:"system"`
		Timeline uint32 `json:"timeline"`
		Database string `json:"database"`
		Slot     string `json:"slot"`
	} `json:"source"`
}

// Parse reads a record of a table's topic.
func Parse(r topics.Record) (Record, error) {
	rec := Record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, RecordKey: string(r.Key)}
	if err := json.Unmarshal(r.Value, &rec); err != nil {
		return rec, fmt.Errorf("%s/%d at %d: %w", r.Topic, r.Partition, r.Offset, err)
	}
	if id := r.Header("id"); id != rec.ID {
		return rec, fmt.Errorf("%s/%d at %d: header id %q, record's %q", r.Topic, r.Partition, r.Offset, id, rec.ID)
	}
	return rec, nil
}

func (r *Record) table() string { return r.Schema + "." + r.Table }

func (r *Record) commit() (pglogrepl.LSN, error) { return pglogrepl.ParseLSN(r.Tx.CommitLSN) }

// place names the record in a failure.
func (r *Record) place() string { return fmt.Sprintf("%s/%d at %d", r.Topic, r.Partition, r.Offset) }

// idFits tells whether the id says what the record says: DESIGN.md, "The record".
func (r *Record) idFits() bool {
	lsn, err := r.commit()
	if err != nil {
		return false
	}
	head, tail, ok := strings.Cut(r.ID, "-")
	return ok && strings.HasPrefix(head, fmt.Sprintf("%s.%d.", r.Source.System, r.Source.Timeline)) &&
		tail == fmt.Sprintf("%016X-%d", uint64(lsn), r.Tx.Ordinal)
}
