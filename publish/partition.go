package publish

import (
	"fmt"
	"time"

	"github.com/jackc/pglogrepl"

	"pgwitness/decode"
)

// A topic is where the records of one target go.
type topic struct {
	name       string
	target     decode.Target
	partitions []*partition

	limit          int           // bytes a batch may have (max.message.bytes)
	retention      time.Duration // retention.ms, negative for ever
	retentionBytes int64         // retention.bytes, negative without bound
}

// A partition is one order of records. All fields but the first two are guarded by delivery.mu.
type partition struct {
	topic  *topic
	index  int32
	leader int32

	queue    []*batch // in order; the first is under way while busy, the last is open unless it is that one
	busy     bool
	active   int   // place in delivery.active, -1 when the queue is empty
	sequence int32 // of the next batch to be sealed
	next     int64 // the offset that the next batch must get; -1 when unknown
	failures int   // tries of queue[0] in a row that failed
	unsure   bool  // one of them may have arrived

	tail tail
}

// A tail is the last record that a partition had when we fenced it.
type tail struct {
	id    decode.ID
	xid   uint64
	time  int64 // microseconds, as decode.Record.Time
	known bool  // there is one, and the stream has not passed it yet
	met   bool  // the stream has shown the very same record, or need not
}

// comesAgain reports whether a slot that starts at a position sends the tail's record. It sends the commits that begin
// there or later; a non-transactional message is named by its end (decode, message).
func (t *tail) comesAgain(start pglogrepl.LSN) bool {
	if t.id.Ordinal == 0 {
		return t.id.LSN > start
	}
	return t.id.LSN >= start
}

// has reports whether the partition has the record already. Everything at or below the tail is there, provided that
// the stream is the one that wrote it: then it shows the tail itself again, with the same transaction and time, unless
// the slot starts beyond it. The caller holds s.mu.
func (s *Sink) has(p *partition, r *decode.Record) (bool, error) {
	if r.ID.LSN < pglogrepl.LSN(s.state.Floor) {
		return true, nil
	}
	if !p.tail.known {
		return false, nil
	}
	switch t := &p.tail; {
	case before(r.ID, t.id):
		return true, nil
	case r.ID == t.id:
		if r.XID != t.xid || r.Time != t.time {
			return false, fmt.Errorf("record %s is in %s with transaction %d, but the server says %d: "+
				"the topic was written from another copy of this database; use another prefix", r.ID, p, t.xid, r.XID)
		}
		if !t.met && t.comesAgain(s.cfg.Start) {
			s.unmet--
		}
		t.met = true
		return true, nil
	default:
		if !t.met && t.comesAgain(s.cfg.Start) {
			return false, fmt.Errorf("%s ends with record %s, but the server went past it without sending it: "+
				"the topic was written from another copy of this database, or the slot was moved; use another prefix", p, t.id)
		}
		t.known = false
		return false, nil
	}
}

func (p *partition) String() string { return fmt.Sprintf("%s/%d", p.topic.name, p.index) }

// before orders IDs of one history as the slot delivers them: by commit, then by place in the transaction.
func before(a, b decode.ID) bool {
	if a.LSN != b.LSN {
		return a.LSN < b.LSN
	}
	return a.Ordinal < b.Ordinal
}

// open is the batch that takes the next record of size bytes, or nil when a new one is needed.
func (p *partition) open(size, limit int) *batch {
	n := len(p.queue)
	if n == 0 || n == 1 && p.busy {
		return nil
	}
	if b := p.queue[n-1]; b.size()+size <= limit {
		return b
	}
	return nil
}
