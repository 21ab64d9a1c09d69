package publish

import (
	"fmt"

	"pgwitness/decode"
)

// rehash takes up how the record's table is masked by hashes. In a topic with several partitions a key that is hashed
// otherwise goes to another one, so what the run before has sent must be behind us. The former routing cannot hold until
// then, as it does for another primary key: by it, keys might be published as they are.
func (s *Sink) rehash(r *route, rec *decode.Record) error {
	if r.Hashed == rec.Hashed {
		return nil
	}
	if r.Partitions > 1 && r.Key != nil && !s.mayReset(r) {
		return fmt.Errorf("the masks of table %s.%s by hash, or their key, are not those of the run before, which has sent records "+
			"that it did not confirm: hashes decide to which of the %d partitions of %s a key goes. Run with the former mask and "+
			"mask_key_file until all is delivered (run --until LSN), then with the new ones", r.Schema, r.Table, r.Partitions, r.Topic)
	}
	r.Hashed = rec.Hashed
	s.dirty = s.dirty || r.Partitions > 1
	return nil
}

// mayReset resets the routing, unless something that was sent by the route may come again.
func (s *Sink) mayReset(r *route) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.used || s.unmet > 0 {
		return false
	}
	s.reset()
	return true
}
