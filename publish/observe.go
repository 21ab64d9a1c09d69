package publish

import (
	"context"
	"encoding/json"
)

// An Observation is something that was seen of the source outside of the stream: it has no place among the rows, only
// one in the control topic. Detail is a JSON object.
type Observation struct {
	Op     string
	Detail json.RawMessage
}

// Observed returns the whole that Observe was given last, in this run or an earlier one; nil when there was none. It
// belongs to the goroutine that sends.
func (s *Sink) Observed(ctx context.Context) (json.RawMessage, error) {
	if s.state.Whole < 0 {
		return nil, nil
	}
	n, at, err := s.noteFrom(ctx, s.state.Whole, func(n *note) bool { return n.Whole != nil })
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Whole = at
	return n.Whole, nil
}

// Observe writes down what was seen and, for the next run to compare with, the whole as it is now. It does not wait for
// Kafka. Any goroutine may call it between Prepare and Finish.
func (s *Sink) Observe(seen []Observation, whole json.RawMessage) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	for _, o := range seen {
		if err := s.note(note{Op: o.Op, Observed: o.Detail}); err != nil {
			return err
		}
	}
	if whole != nil && len(whole) < s.control.topic.limit/2 { // a larger one: the next run compares with what it finds there
		if err := s.note(note{Op: "observed", Whole: whole}); err != nil {
			return err
		}
	}
	s.dispatch()
	return nil
}
