package capture

import (
	"slices"
	"sync"

	"github.com/jackc/pglogrepl"
)

// A seal is the position since which nobody but superusers, and so our own function, could write logical messages. A
// context from before may be forged: what the privileges were then is not known now.
//
// That nobody has the right is not enough. The server asks for it once, where a statement begins, and does not ask a
// statement that runs already; and a grant whose commit is in the log may not be visible yet. So the seal is set when
// the transactions that ran at an earlier look have ended, and nobody had the right at either look.
type seal struct {
	mu     sync.Mutex    // guards the rest
	at     pglogrepl.LSN // 0 while others may write, or it is not known
	before pglogrepl.LSN // what the run before knew, until the first look
	rights string        // what the privileges were then; any change of them makes another

	// Of the first look that found nobody. Later looks have seen every change of the privileges from before it.
	since   pglogrepl.LSN
	running []string // the transactions of then that may still run
}

// look takes what a look has found, and returns the seal's own position.
func (s *seal) look(l *looked) string {
	from, err1 := pglogrepl.ParseLSN(l.From)
	now, err2 := pglogrepl.ParseLSN(l.At)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(l.Writers) > 0 || l.Rights != s.rights || err1 != nil || err2 != nil {
		s.at, s.since, s.before, s.rights = 0, 0, 0, l.Rights
	}
	switch {
	case len(l.Writers) > 0 || err1 != nil || err2 != nil:
	case s.at != 0:
	case s.before != 0:
		s.at = min(s.before, now)
	case s.since == 0:
		s.since, s.running = from, l.Running
	default:
		s.running = slices.DeleteFunc(s.running, func(tx string) bool { return !slices.Contains(l.Running, tx) })
		if len(s.running) == 0 {
			s.at = now
		}
	}
	s.before = 0
	if s.at == 0 {
		return ""
	}
	return s.at.String()
}

// broken takes the commit of a change of the privileges. Only other looks can tell what they are now.
func (s *seal) broken(commit pglogrepl.LSN) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if commit >= s.since {
		s.at, s.since = 0, 0
	}
}

// holds takes the position of a message, which is where its record ends (logicalmsg_decode in decode.c).
func (s *seal) holds(message pglogrepl.LSN) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at != 0 && message > s.at
}

// Sealed takes over the seal of a Coverage that a run before has kept: it holds if the privileges are still those, whatever
// was granted and withdrawn while nobody looked. It is called before the first Coverage of this run.
func (s *Source) Sealed(was *Coverage) {
	if at, err := pglogrepl.ParseLSN(was.Sealed); err == nil {
		s.seal.before, s.seal.rights = at, was.Rights
	}
}

// Unforgeable is meant for decode.Source.
func (s *Source) Unforgeable(message pglogrepl.LSN) bool { return s.seal.holds(message) }

// Unsealed is meant for decode.Source: the stream tells of a change of the privileges.
func (s *Source) Unsealed(commit pglogrepl.LSN) { s.seal.broken(commit) }
