package publish

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/hashicorp/go-hclog"
)

// A Gap is something that the trail cannot keep its promise about. It is recorded in the control topic and stops every
// run until an operator accepts it by its ID, also when what was found is not to be seen any more.
type Gap struct {
	ID     string `json:"id"`
	Reason string `json:"reason"`          // moved, lost, diverged, records, expired, control, unknown
	From   *lsn   `json:"from,omitempty"`  // the last position that is certain
	To     *lsn   `json:"to,omitempty"`    // the first position that is certain again
	Topic  string `json:"topic,omitempty"` // where it is one topic's
	Detail string `json:"detail"`
}

// A GapError ends a run at a gap that is not accepted.
type GapError struct{ Gap Gap }

func (e *GapError) Error() string {
	return fmt.Sprintf("gap in the trail (%s): %s: look into it, then go on with run --accept-gap %s", e.Gap.Reason, e.Gap.Detail, e.Gap.ID)
}

// gap records a gap once. It returns nil when an operator has accepted this very gap.
func (s *Sink) gap(ctx context.Context, g Gap) error {
	g.ID = g.Reason
	for _, pos := range []*lsn{g.From, g.To} {
		if pos != nil {
			g.ID += fmt.Sprintf("-%X", uint64(*pos))
		}
	}
	if g.Topic != "" {
		g.ID += "-" + g.Topic
	}
	switch {
	case slices.Contains(s.state.Accepted, g.ID):
		return nil
	case s.cfg.AcceptGap == g.ID:
		return s.accept(ctx, g)
	case slices.ContainsFunc(s.state.Gaps, func(old Gap) bool { return old.ID == g.ID }):
		return &GapError{g}
	}
	s.mu.Lock()
	s.state.Gaps = append(slices.Clone(s.state.Gaps), g)
	s.mu.Unlock()
	if err := s.noteNow(ctx, note{Op: "gap", Gap: &g}); err != nil {
		return err
	}
	return &GapError{g}
}

// accept writes down that an operator has accepted a gap.
func (s *Sink) accept(ctx context.Context, g Gap) error {
	s.mu.Lock()
	if g.Reason == "lost" { // the slot is another one, which delivers from its start on
		start := lsn(s.cfg.Start)
		g.To = &start
	}
	if g.Reason == "lost" || g.Reason == "moved" {
		s.state.Bound = max(s.state.Bound, *g.To)
	}
	s.state.Gaps = slices.DeleteFunc(slices.Clone(s.state.Gaps), func(old Gap) bool { return old.ID == g.ID })
	s.state.Accepted = append(slices.Clone(s.state.Accepted), g.ID)
	s.mu.Unlock()
	s.log.Warn("accepted a gap in the trail", "gap", g.ID, "detail", g.Detail)
	return s.noteNow(ctx, note{Op: "gap", Gap: &g, Accepted: true})
}

// checkGaps stops the run at gaps that earlier runs have recorded and nobody has accepted.
func (s *Sink) checkGaps(ctx context.Context) error {
	for _, g := range slices.Clone(s.state.Gaps) {
		if g.ID != s.cfg.AcceptGap {
			return &GapError{g}
		}
		if err := s.accept(ctx, g); err != nil {
			return err
		}
	}
	return nil
}

// errNoTrail says that there is no control topic with a record yet.
var errNoTrail = errors.New("there is no trail yet")

// Lost records that the slot cannot deliver what the trail still needs: cfg.Source is its origin, cfg.Start its confirmed
// position, 0 where nobody knows that any more. It returns the GapError, or nil where no run of this slot has begun a
// trail. To accept the gap takes another slot.
func Lost(ctx context.Context, cfg Config, detail string, log hclog.Logger) error {
	cfg.AcceptGap = ""
	s, err := open(ctx, cfg, false, log)
	if errors.Is(err, errNoTrail) {
		return nil
	}
	if err != nil {
		return err
	}
	defer s.Close()
	from := lsn(cfg.Start)
	if from == 0 {
		from = s.state.Bound
	}
	return s.gap(ctx, Gap{Reason: "lost", From: &from, Detail: detail})
}
