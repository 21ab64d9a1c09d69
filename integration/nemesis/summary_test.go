//go:build integration

package nemesis

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// A summary is what many rounds did.
type summary struct {
	began                           time.Time
	rounds, failed                  int
	starts, kills, commits, changes int
	held                            int                     // rounds with hold
	actors                          map[bool]map[string]int // transactions by verdict, with hold and without
	done                            map[what]int
	reasons                         map[string]int
	seeds                           []uint64 // of those that failed
}

func newSummary() *summary {
	return &summary{began: time.Now(), actors: map[bool]map[string]int{true: {}, false: {}}, done: make(map[what]int), reasons: make(map[string]int)}
}

func (s *summary) add(r *round, plan []disturbance, passed bool) {
	s.rounds++
	if !passed {
		s.failed++
		s.seeds = append(s.seeds, r.seed)
	}
	for _, d := range plan {
		s.done[d.what]++
	}
	if r.supervisor != nil {
		s.starts += len(r.supervisor.all)
		s.kills += r.supervisor.kills
		for reason, n := range r.supervisor.reasons {
			s.reasons[reason] += n
		}
	}
	if r.workload != nil {
		s.commits += r.workload.commits
	}
	s.changes += r.changes
	if r.hold {
		s.held++
	}
	for verdict, n := range r.actors {
		s.actors[r.hold][verdict] += n
	}
}

func (s *summary) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d rounds in %s, %d failed %v: %d starts and %d kills of pgwitness, %d transactions, %d changes\n",
		s.rounds, time.Since(s.began).Round(time.Second), s.failed, s.seeds, s.starts, s.kills, s.commits, s.changes)
	fmt.Fprintf(&b, "transactions of the %d rounds with hold: %s\n", s.held, listed(s.actors[true]))
	fmt.Fprintf(&b, "transactions of the others: %s\n", listed(s.actors[false]))
	for _, w := range slices.Sorted(maps.Keys(s.done)) {
		fmt.Fprintf(&b, "%5d %s\n", s.done[w], w)
	}
	b.WriteString("why pgwitness ended with 1:\n")
	for _, r := range slices.Sorted(maps.Keys(s.reasons)) {
		fmt.Fprintf(&b, "%5d %s\n", s.reasons[r], r)
	}
	return b.String()
}
