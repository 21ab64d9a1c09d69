package main

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"

	"pgwitness/capture"
	"pgwitness/publish"
)

const (
	observeEvery = 10 * time.Second
	observeShare = 50 // the server spends at most this part of its time on looking
)

// An observer looks at what the publication covers, again and again, and has the trail told of what has changed since
// the last look, of this run or of the one before. What becomes of hold, and whose changes are known, it tells as well.
type observer struct {
	slot  *capture.Source
	kafka *publish.Sink
	hold  *keeper // nil without hold
	seen  *coverage
	log   hclog.Logger
	last  *observed // nil: nothing has been seen

	cancel context.CancelFunc
	done   chan struct{}
}

// observed is all that was seen, as the control topic keeps it for the next run.
type observed struct {
	*capture.Coverage
	Hold holdMemory `json:"hold,omitzero"`
}

// startObserver reads what was seen last and begins to look.
func startObserver(ctx context.Context, slot *capture.Source, kafka *publish.Sink, hold *keeper, seen *coverage, log hclog.Logger) (*observer, error) {
	o := &observer{slot: slot, kafka: kafka, hold: hold, seen: seen, log: log, done: make(chan struct{})}
	recorded, err := kafka.Observed(ctx)
	if err != nil {
		return nil, err
	}
	if recorded != nil {
		o.last = &observed{Coverage: &capture.Coverage{}}
		if err := json.Unmarshal(recorded, o.last); err != nil {
			return nil, err
		}
		if hold != nil {
			hold.recall(o.last.Hold)
		}
		slot.Sealed(o.last.Coverage)
	}
	// The first look comes before the first change: it says whether contexts can be believed.
	err = o.look(ctx)
	ctx, o.cancel = context.WithCancel(ctx)
	go o.run(ctx, err)
	return o, nil
}

// stop ends the looking and waits for it.
func (o *observer) stop() {
	o.cancel()
	<-o.done
}

// news is hold's.
func (o *observer) news() <-chan struct{} {
	if o.hold == nil {
		return nil
	}
	return o.hold.news
}

// run goes on looking after the first look.
func (o *observer) run(ctx context.Context, err error) {
	defer close(o.done)
	failing := false
	var took time.Duration
	for ctx.Err() == nil {
		if err != nil && !failing {
			o.log.Warn("cannot see what the publication covers; trying again", "error", err)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-o.news():
		case <-time.After(max(observeEvery, observeShare*took)):
		}
		began := time.Now()
		err = o.look(ctx)
		took = time.Since(began)
	}
}

// look looks once.
func (o *observer) look(ctx context.Context) error {
	coverage, err := o.slot.Coverage(ctx)
	if err != nil {
		return err
	}
	return o.tell(observed{Coverage: coverage})
}

// tell has the trail told of what has changed, if anything has.
func (o *observer) tell(now observed) error {
	var seen, held []publish.Observation
	if o.hold != nil {
		held, now.Hold = o.hold.take()
		seen = slices.Clone(held)
	} else if o.last != nil {
		now.Hold = o.last.Hold
	}
	changed := len(seen) > 0 || o.last == nil || o.last.Hold != now.Hold || o.last.Sealed != now.Sealed
	if o.last != nil {
		for _, c := range now.Since(o.last.Coverage) {
			detail, err := json.Marshal(c)
			if err != nil {
				return err
			}
			changed = true
			seen = append(seen, publish.Observation{Op: c.Op, Detail: detail})
			o.log.Warn("what the trail covers has changed", "op", c.Op, "change", c.Change, "schema", c.Schema, "table", c.Table, "name", c.Name)
		}
	}
	if counted, ok := o.seen.observation(time.Now(), false); ok {
		if err := o.kafka.Observe([]publish.Observation{counted}, nil); err != nil {
			return err
		}
	}
	if !changed {
		return nil
	}
	whole, err := json.Marshal(now)
	if err != nil {
		return err
	}
	if err := o.kafka.Observe(seen, whole); err != nil {
		if o.hold != nil {
			o.hold.giveBack(held)
		}
		return err
	}
	o.last = &now
	return nil
}

// end tells what became of hold, and what was counted, at the end of a run, when nobody looks any more.
func (o *observer) end() error {
	if counted, ok := o.seen.observation(time.Now(), true); ok {
		if err := o.kafka.Observe([]publish.Observation{counted}, nil); err != nil {
			return err
		}
	}
	if o.last == nil || o.hold == nil {
		return nil
	}
	return o.tell(observed{Coverage: o.last.Coverage})
}
