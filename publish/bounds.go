package publish

import "github.com/jackc/pglogrepl"

// The slot is normally ahead of the topics: it is confirmed past WAL that concerns no published table. So whether
// somebody moved it cannot be read off the tails. Therefore no position is confirmed before a bound at or above it
// stands in the control topic; a slot that is found beyond the last bound was moved by somebody else.

// bounds is what was reported as durable, and how far that may go. Guarded by Sink.mu.
type bounds struct {
	told    pglogrepl.LSN // the last position reported
	holds   lsn           // the newest bound that is acknowledged; state.Bound is the newest that is written
	written uint64        // that one is acknowledged when all records below this number are
	checked bool          // the slot was compared with the last run's bound, which may be raised from now on
	last    bool          // the run ends: no further bound
}

const (
	boundStep  = 64 << 20 // how far a bound is set ahead, in bytes of WAL
	boundSlack = 32 << 20 // a new one is written when the stream comes this near
)

// report tells what is durable, as far as it may be told: not beyond the bound, and not while a tail has still to be
// met, because until then it is not certain that what was skipped is what is there. The caller holds s.mu.
func (s *Sink) report() error {
	oldest := s.oldest()
	s.progress.settle(oldest)
	b := &s.bounds
	if oldest >= b.written {
		b.holds = s.state.Bound
	}
	if durable := s.progress.durable; durable > b.told && durable <= pglogrepl.LSN(b.holds) && s.unmet == 0 {
		b.told = durable
		if s.cfg.Durable != nil {
			s.cfg.Durable(durable)
		}
	}
	newest := s.progress.newest()
	if !b.checked || b.last || newest+boundSlack <= pglogrepl.LSN(s.state.Bound) || s.err != nil {
		return nil
	}
	s.state.Bound = lsn(newest + boundStep)
	err := s.note(note{Op: "bound", Ends: s.endsNow()})
	b.written = s.progress.next
	s.dispatch()
	return err
}
