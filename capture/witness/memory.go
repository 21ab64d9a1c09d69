package witness

import (
	"sort"
	"sync"

	"github.com/jackc/pglogrepl"
)

// An answer is what the witness has said of one commit record.
type answer struct {
	start, end pglogrepl.LSN
	commit     Commit
}

// keepAnswers is how many durable answers are kept at hand: some seconds of a busy cluster.
const keepAnswers = 1 << 16

// A memory keeps the newest answers in the order of the WAL. Answers that are not durable yet are all in it; the journal,
// which takes no more when its buffer is full, bounds them.
//
// Invariant: it knows every commit record with floor < end and start < covered, and no other.
type memory struct {
	mu      sync.Mutex // guards everything below
	answers []answer   // answers[first:] are kept
	first   int
	floor   pglogrepl.LSN
	covered pglogrepl.LSN
	change  chan struct{} // closed and replaced when covered advances
}

func newMemory(from pglogrepl.LSN) *memory {
	return &memory{floor: from, covered: from, change: make(chan struct{})}
}

// add takes the answers for everything up to covered. What is older and durable may be forgotten.
func (m *memory) add(list []answer, covered, durable pglogrepl.LSN) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answers = append(m.answers, list...)
	m.covered = covered
	for len(m.answers)-m.first > keepAnswers && m.answers[m.first].end <= durable {
		m.floor = m.answers[m.first].end
		m.answers[m.first] = answer{}
		m.first++
	}
	if m.first > keepAnswers { // amortised: each answer is moved at most once
		m.answers = append(m.answers[:0], m.answers[m.first:]...)
		m.first = 0
	}
	close(m.change)
	m.change = make(chan struct{})
}

// A standing says where a commit record stands towards the memory.
type standing int

const (
	known   standing = iota // the answer is here
	older                   // than what is kept
	later                   // not reached yet
	unknown                 // the WAL that was read has no such commit record
)

// of finds the commit record that begins at start. Later comes with the channel that is closed when there is more.
func (m *memory) of(start pglogrepl.LSN) (standing, Commit, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case start < m.floor:
		return older, Commit{}, nil
	case start >= m.covered:
		return later, Commit{}, m.change
	}
	kept := m.answers[m.first:]
	if a := search(kept, start); a != nil {
		return known, a.commit, nil
	}
	return unknown, Commit{}, nil
}

// search finds the answer for the record that begins at start, in a list that is in the order of the WAL.
func search(list []answer, start pglogrepl.LSN) *answer {
	i := sort.Search(len(list), func(i int) bool { return list[i].start >= start })
	if i < len(list) && list[i].start == start {
		return &list[i]
	}
	return nil
}

// begins is the position below which answers have been forgotten.
func (m *memory) begins() pglogrepl.LSN {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.floor
}
