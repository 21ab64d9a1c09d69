package decode

import (
	"context"
	"strconv"

	"github.com/jackc/pglogrepl"
)

// A Message is one pgoutput message as it came out of the slot.
type Message struct {
	LSN   pglogrepl.LSN // XLogData's dataStart: the change's position, 0 for R, Y and a B after O
	Data  []byte        // the message; borrowed, not kept beyond the call it is given to
	Actor *Actor        // with a Begin: who made the transaction; nil means that nothing is known
}

// An ID names a change for ever: the same bytes of WAL give the same ID in every run (DESIGN.md §6).
type ID struct {
	System   uint64        // pg_control's system identifier
	Timeline uint32        // the timeline that LSN belongs to
	Database uint32        // the database's oid
	LSN      pglogrepl.LSN // of the commit record's start; a non-transactional message's own
	Ordinal  uint64        // counts from 1 in the transaction; 0 for a non-transactional message
}

// AppendTo appends the ID's text, for example 7412345678901234567.1.16401-00000000016B3748-3.
func (id ID) AppendTo(dst []byte) []byte {
	dst = append(strconv.AppendUint(dst, id.System, 10), '.')
	dst = append(strconv.AppendUint(dst, uint64(id.Timeline), 10), '.')
	dst = append(strconv.AppendUint(dst, uint64(id.Database), 10), '-')
	for shift := 60; shift >= 0; shift -= 4 {
		dst = append(dst, upper[id.LSN>>shift&15])
	}
	return strconv.AppendUint(append(dst, '-'), id.Ordinal, 10)
}

func (id ID) String() string { return string(id.AppendTo(nil)) }

// A Target is the stream that a record belongs to: a table's (Schema and Table as PostgreSQL names them, not yet a
// topic name), or, with an empty Schema, one of the service streams below. The decoder hands out one pointer a
// target, so a pointer can be compared and used as a map key.
type Target struct {
	Schema, Table string
}

// The service streams.
var (
	Messages = &Target{Table: "message"} // logical messages of applications
	Control  = &Target{Table: "control"} // the trail's own diary
	Who      = &Target{Table: "who"}     // the witness's journal
)

// A Record is a change in its final form. Its slices belong to the decoder and hold until the call that passed the
// record on returns: a receiver that keeps them copies them.
type Record struct {
	ID     ID
	XID    uint64  // 0 for a non-transactional message
	Time   int64   // commit time, microseconds since 1970-01-01 UTC; the message's read time is never used
	Op     Op      // what it tells of
	Target *Target // the table's, the leaf's where it is partitioned
	Root   *Target // of the partitioned table at the top, nil when the table is no partition
	Key    []byte  // the row's key as a JSON object, nil without one
	Value  []byte  // the JSON object of DESIGN.md §6

	// A change of the key concerns a second key. Where it lies in another partition that partition gets a record of
	// its own, alike but for "key"; otherwise these are ignored. Nil when the key did not change.
	NewKey, NewValue []byte

	// Everywhere is set where the record concerns every partition (a truncate).
	Everywhere bool

	// Evidence is by which the session is known that made the change: one of the constants.
	Evidence string

	// Columns names the key's columns: part of the routing that a restart must know. Shared, not to be changed.
	Columns []string

	// Masking is which masks concern the table, nil for none. Shared by the records until they may have changed.
	Masking *Masking

	layout layout
}

// IDText is the ID's text as Value has it, which saves writing it once more (0.14 µs). It is borrowed as Value is.
func (r *Record) IDText() []byte { return r.Value[len(idBefore):r.layout.idEnd] }

// A Source names where changes come from.
type Source struct {
	System   uint64
	Database string
	Oid      uint32 // the database's
	Slot     string
	Encoding string // of the stream's bytes, as pg_encoding_to_char names it

	// Charset converts the stream's text; nil for UTF8 and SQL_ASCII, where what is not UTF-8 is shown as hex.
	Charset Charset

	// TimelineOf tells the timeline that a position belongs to.
	TimelineOf func(pglogrepl.LSN) uint32

	// Settle, if set, says what holds for a table, given what the catalogue has now (nil: the table is gone): a restart
	// keys and routes what it has to send again as the run before did.
	Settle func(table *Target, now *RelationInfo) *RelationInfo

	// Masks, if set, says which columns' values are not shown.
	Masks *Masks
	// Recall, if set, says how a table was masked when its latest record was sent, by its oid and by its name: a mask that
	// does not concern it any more may have lost it by accident. The answer is shared, not to be changed.
	Recall func(oid uint32, table *Target) []Masking

	// Unforgeable reports of a context's position, that of the message and not of its commit, which may come long after,
	// whether nobody but pgwitness.set_actor could have written it. Nil: somebody could.
	Unforgeable func(message pglogrepl.LSN) bool

	// Unsealed, if set, is told of a commit in which a statement changed who may write messages: what Unforgeable says of
	// later ones must rest on another look.
	Unsealed func(commit pglogrepl.LSN)

	// NextXID is a recent 64-bit transaction id of the server: 32-bit ids of the stream are extended to lie within
	// 2^31 of it, and of each other.
	NextXID uint64
}

// A Catalogue answers what the stream does not say, from the server's catalogue as it is now. Calls block on the
// network; they come at most once a relation message and once a type.
type Catalogue interface {
	// Relation describes a table; a nil answer without an error means that it is gone.
	Relation(ctx context.Context, oid uint32) (*RelationInfo, error)
	// Type describes a type; a nil answer without an error means that it is gone.
	Type(ctx context.Context, oid uint32) (*TypeInfo, error)
	// Tables describes the tables of these names, in their order, nil for one that does not exist. It is asked for those
	// that masks name, with each relation message.
	Tables(ctx context.Context, names []Target) ([]*TableInfo, error)
}

// RelationInfo is a table as the catalogue has it now.
type RelationInfo struct {
	PrimaryKey []string // columns of the primary key in index order, nil without one
	RootSchema string   // of the partitioned table at the top, "" when it is not a partition
	RootTable  string

	Schema, Table string   // its name
	Partitioned   bool     // it has no rows of its own
	Parents       []Target // all that it inherits from, partition or child, up to the top

	Columns map[string]int // its columns' numbers (pg_attribute.attnum)
}

// TableInfo is a table that was asked for by its name.
type TableInfo struct {
	Columns   []string // all of them
	Generated []string // those of them that are generated: the log need not have them
	Partition bool     // it is one
	Inherited bool     // it has, or once had, partitions or children
}

// TypeInfo is a pg_type row, with what belongs to it.
type TypeInfo struct {
	Schema, Name string
	Kind         byte        // typtype: b c d e p r m
	Base         uint32      // domain: its base type (typbasetype)
	Element      uint32      // a true array's element type (typelem where typsubscript is array_subscript_handler)
	Delimiter    byte        // between elements of arrays of this type (typdelim)
	Fields       []FieldInfo // composite: its attributes in order, dropped ones left out
	CastToJSON   bool        // a cast to json by a function exists (pg_cast, castmethod f)
}

// FieldInfo is an attribute of a composite type.
type FieldInfo struct {
	Name string
	Type uint32
}
