package publish

import (
	"fmt"
	"maps"
	"slices"

	"pgwitness/decode"
)

// A masking is what is remembered of a table's masks (decode.Masking).
type masking struct {
	Oid     uint32         `json:"oid"`
	Masks   []string       `json:"masks"`
	Columns map[string]int `json:"columns,omitempty"`
	Hashed  string         `json:"hashed,omitempty"`
}

func maskingOf(rec *decode.Record) *masking {
	if rec.Masking == nil {
		return nil
	}
	m := masking(*rec.Masking)
	return &m
}

func (m *masking) equal(other *masking) bool {
	if m == nil || other == nil {
		return m == other
	}
	return m.Oid == other.Oid && slices.Equal(m.Masks, other.Masks) && maps.Equal(m.Columns, other.Columns) && m.Hashed == other.Hashed
}

func (m *masking) hashed() string {
	if m == nil {
		return ""
	}
	return m.Hashed
}

// mostEarlier bounds what is remembered of tables that bore a name before another one did.
const mostEarlier = 64

// remember takes up how the record's table is masked. In a topic with several partitions a key that is hashed otherwise
// goes to another one, so what was sent before must be behind us. The former routing cannot hold until then, as it does for
// another primary key: by it, keys might be published as they are.
func (s *Sink) remember(r *route, rec *decode.Record) error {
	now := maskingOf(rec)
	if now.equal(r.Masking) {
		return nil
	}
	if now.hashed() != r.Masking.hashed() && r.Partitions > 1 && r.Key != nil {
		if r.used {
			return ErrRerouted
		}
		if !s.passed(r) {
			return fmt.Errorf("the masks of table %s.%s by hash, or their key, are not those of the run before, which has sent records "+
				"that it did not confirm: hashes decide to which of the %d partitions of %s a key goes. Run with the former mask and "+
				"mask_key_file until all is delivered (run --until LSN), then with the new ones", r.Schema, r.Table, r.Partitions, r.Topic)
		}
	}
	if was := r.Masking; was != nil && now != nil && was.Oid != now.Oid {
		r.Earlier = slices.DeleteFunc(r.Earlier, func(m masking) bool { return m.Oid == was.Oid || m.Oid == now.Oid })
		r.Earlier = append(r.Earlier, *was)
		r.Earlier = r.Earlier[max(len(r.Earlier)-mostEarlier, 0):]
	}
	r.Masking, s.dirty = now, true
	return nil
}

// passed resets the routing, unless records of the route's topic come again.
func (s *Sink) passed(r *route) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.topics[r.Topic].partitions {
		if p.tail.known && !p.tail.met && p.tail.comesAgain(s.cfg.Start) {
			return false
		}
	}
	s.reset()
	return true
}

// Recall is meant for decode.Source. A table that was renamed is known by its oid, also where another one bears its name.
func (s *Sink) Recall(oid uint32, table *decode.Target) (list []decode.Masking) {
	for leaf, r := range s.routes {
		if r.Masking != nil && (leaf == *table || r.Masking.Oid == oid) {
			list = append(list, decode.Masking(*r.Masking))
		}
		for _, m := range r.Earlier {
			if m.Oid == oid {
				list = append(list, decode.Masking(m))
			}
		}
	}
	return list
}
