package publish

import (
	"context"
	"fmt"

	"github.com/jackc/pglogrepl"
)

// Unsendable records that a transaction cannot be delivered: a gap, which returns nil when an operator has accepted it.
// Then the slot may be moved past the commit, and no further. It is called after Finish.
func (s *Sink) Unsendable(ctx context.Context, commit pglogrepl.LSN, why error) error {
	at := lsn(commit)
	err := s.gap(ctx, Gap{Reason: "unsendable", From: &at,
		Detail: fmt.Sprintf("%v; of this transaction the trail has what stands before that change, and nothing else", why)})
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.state.Bound = max(s.state.Bound, at+1)
	s.mu.Unlock()
	return s.noteNow(ctx, note{Op: "bound", Position: &at})
}
