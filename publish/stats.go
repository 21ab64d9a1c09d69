package publish

import (
	"time"

	"github.com/jackc/pglogrepl"
)

// Stats is what a Sink or a Journal says of itself as it is now. What it has done, its Config.Meter was told.
type Stats struct {
	Buffered  int           // bytes accepted and not yet acknowledged
	Oldest    time.Time     // timestamp of the oldest record that is not acknowledged, zero when there is none
	Failing   int           // partitions whose last try failed
	Published pglogrepl.LSN // the position up to which everything sent is acknowledged
	Confirmed pglogrepl.LSN // the position that Config.Durable was told last

	Gaps, Accepted int // of a Sink: that stand in the control topic, still to be accepted, and accepted
}

// Stats may be called by any goroutine.
func (s *Sink) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.counted()
	st.Confirmed = s.bounds.told
	st.Gaps, st.Accepted = len(s.state.Gaps), len(s.state.Accepted)
	return st
}
