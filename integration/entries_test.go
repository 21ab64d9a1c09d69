//go:build integration

package integration

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"sync"
	"testing"

	"github.com/jackc/pglogrepl"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"pgwitness/integration/ledger"
	"pgwitness/integration/topics"
)

// An entry is a record with everything that a subscriber can see of it.
type entry struct {
	ledger.Record
	Identity string                          `json:"identity"`
	Root     *struct{ Schema, Table string } `json:"root"`
	Opaque   []string                        `json:"opaque"`
	Encoding *struct {
		Charset string   `json:"charset"`
		Hex     []string `json:"hex"`
	} `json:"encoding"`
	Oversize *struct {
		Bytes  int64  `json:"bytes"`
		SHA256 string `json:"sha256"`
	} `json:"oversize"`
	Truncate *struct {
		Cascade         bool `json:"cascade"`
		RestartIdentity bool `json:"restart_identity"`
	} `json:"truncate"`
	Message *struct {
		Prefix        string  `json:"prefix"`
		Transactional bool    `json:"transactional"`
		Content       *string `json:"content"`
		ContentHex    *string `json:"content_hex"`
	} `json:"message"`
	Source struct {
		Database string `json:"database"`
		Origin   string `json:"origin"`
	} `json:"source"`

	at     pglogrepl.LSN // of the commit
	value  []byte
	copies []copyOf // where it is: in several partitions after a change of the key, and of a truncate
}

// A copyOf is a change as one partition has it.
type copyOf struct {
	partition      int
	recordKey, key string // Kafka's key, and the one in the record
}

// entries reads every record of tables and messages, in the order of the log and each once.
func (tr *trail) entries(t *testing.T) []*entry {
	t.Helper()
	return slices.DeleteFunc(tr.everything(t), (*entry).ofControl)
}

// fromLog are the records of the control topic that are made of the log's messages. What a run has seen from outside may
// bear the same op, but has no place in the log (docs/definitions.md).
var fromLog = []string{"baseline_broken", "identity", "publication", "privilege", "unexamined", "unverified"}

func (e *entry) ofControl() bool { return slices.Contains(fromLog, e.Op) }

// everything reads every record that comes from the log, those of the control topic too, and holds each against the
// published JSON Schema.
func (tr *trail) everything(t *testing.T) []*entry {
	t.Helper()
	byID := make(map[string]*entry)
	var all []*entry
	for _, p := range tr.topics(t) {
		if p.Topic == tr.prefix+".who" {
			continue
		}
		for _, raw := range p.Records {
			if p.Topic == tr.prefix+".control" && !isFromLog(t, raw.Value) {
				continue
			}
			e := readEntry(t, raw)
			first := byID[e.ID]
			if first == nil {
				first = e
				byID[e.ID] = e
				all = append(all, e)
			}
			first.copies = append(first.copies, copyOf{raw.Partition, string(raw.Key), string(e.Key)})
		}
	}
	slices.SortFunc(all, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.Tx.Ordinal, b.Tx.Ordinal))
	})
	return all
}

func isFromLog(t *testing.T, value []byte) bool {
	t.Helper()
	var e struct {
		Op           string
		Observed, Tx json.RawMessage
	}
	if err := json.Unmarshal(value, &e); err != nil {
		t.Fatal(err)
	}
	if e.Observed != nil && e.Tx != nil {
		t.Errorf("an observation with a place in the log: %.2000s", value)
	}
	return e.Observed == nil && slices.Contains(fromLog, e.Op)
}

func readEntry(t *testing.T, raw topics.Record) *entry {
	t.Helper()
	e := &entry{value: raw.Value}
	err := json.Unmarshal(raw.Value, e)
	if err == nil {
		e.at, err = pglogrepl.ParseLSN(e.Tx.CommitLSN)
	}
	if err == nil {
		err = satisfiesSchema(raw.Value)
	}
	if err != nil {
		t.Fatalf("%s/%d at %d: %v\n%.2000s", raw.Topic, raw.Partition, raw.Offset, err, raw.Value)
	}
	e.Topic, e.Partition, e.Offset, e.RecordKey = raw.Topic, raw.Partition, raw.Offset, string(raw.Key)
	if id := raw.Header("id"); id != e.ID {
		t.Errorf("%s/%d at %d: header id %q, record's %q", raw.Topic, raw.Partition, raw.Offset, id, e.ID)
	}
	return e
}

// satisfiesSchema holds a record against docs/record.schema.json.
func satisfiesSchema(value []byte) error {
	schema, err := recordSchema()
	if err != nil {
		return err
	}
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(value)) // keeps numbers as they are
	if err != nil {
		return err
	}
	return schema.Validate(instance)
}

var recordSchema = sync.OnceValues(func() (*jsonschema.Schema, error) {
	return jsonschema.NewCompiler().Compile("../docs/record.schema.json")
})
