package capture

import (
	"sync"

	"github.com/jackc/pglogrepl"
)

// A seal is the position since which nobody but superusers, and so our own function, could write logical messages. A
// context from before may be forged: what the privileges were then is not known now.
type seal struct {
	mu     sync.Mutex    // guards the rest
	at     pglogrepl.LSN // 0 while others may write, or it is not known
	before pglogrepl.LSN // what the run before knew, until the first look
}

// look takes who may write, as the catalogue had it when the server stood at a position, and returns the seal's own.
func (s *seal) look(writers []string, position string) string {
	now, err := pglogrepl.ParseLSN(position)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case len(writers) > 0 || err != nil:
		s.at = 0
	case s.at == 0:
		s.at = now
		if s.before != 0 {
			s.at = min(s.before, now)
		}
	}
	s.before = 0
	if s.at == 0 {
		return ""
	}
	return s.at.String()
}

// broken takes a position at which the privileges were changed. Only another look can tell what they are now.
func (s *seal) broken(at pglogrepl.LSN) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at >= s.at {
		s.at = 0
	}
}

func (s *seal) holds(at pglogrepl.LSN) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at != 0 && at >= s.at
}

// Sealed takes over the seal of a Coverage that a run before has kept. It is called before the first Coverage of this one.
func (s *Source) Sealed(since string) {
	if at, err := pglogrepl.ParseLSN(since); err == nil {
		s.seal.before = at
	}
}

// Unforgeable is meant for decode.Source.
func (s *Source) Unforgeable(commit pglogrepl.LSN) bool { return s.seal.holds(commit) }

// Unsealed is meant for decode.Source: the stream tells of a change of the privileges.
func (s *Source) Unsealed(commit pglogrepl.LSN) { s.seal.broken(commit) }
