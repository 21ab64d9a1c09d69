package publish

import (
	"time"

	"github.com/jackc/pglogrepl"
)

// Stats is what a Sink or a Journal says of itself. The counts are of its whole life.
type Stats struct {
	Records  uint64 // acknowledged
	Bytes    uint64 // of them, before compression
	Batches  uint64 // acknowledged
	Retries  uint64 // batches sent once more
	Oversize uint64 // records delivered without their images

	Buffered  int           // bytes accepted and not yet acknowledged
	Oldest    time.Time     // timestamp of the oldest record that is not acknowledged, zero when there is none
	Confirmed pglogrepl.LSN // the position that Config.Durable was told last
}

// Stats may be called by any goroutine.
func (s *Sink) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.counted()
	st.Confirmed = s.bounds.told
	return st
}
