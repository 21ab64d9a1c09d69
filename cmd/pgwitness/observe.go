package main

import (
	"context"
	"encoding/json"
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
// the last look, of this run or of the one before.
type observer struct {
	slot  *capture.Source
	kafka *publish.Sink
	log   hclog.Logger
	last  *capture.Coverage

	cancel context.CancelFunc
	done   chan struct{}
}

// startObserver reads what was seen last and begins to look.
func startObserver(ctx context.Context, slot *capture.Source, kafka *publish.Sink, log hclog.Logger) (*observer, error) {
	o := &observer{slot: slot, kafka: kafka, log: log, done: make(chan struct{})}
	recorded, err := kafka.Observed(ctx)
	if err != nil {
		return nil, err
	}
	if recorded != nil {
		o.last = &capture.Coverage{}
		if err := json.Unmarshal(recorded, o.last); err != nil {
			return nil, err
		}
	}
	ctx, o.cancel = context.WithCancel(ctx)
	go o.run(ctx)
	return o, nil
}

// stop ends the looking and waits for it.
func (o *observer) stop() {
	o.cancel()
	<-o.done
}

func (o *observer) run(ctx context.Context) {
	defer close(o.done)
	failing := false
	for {
		began := time.Now()
		err := o.look(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil && !failing {
			o.log.Warn("cannot see what the publication covers; trying again", "error", err)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-time.After(max(observeEvery, observeShare*time.Since(began))):
		}
	}
}

// look looks once.
func (o *observer) look(ctx context.Context) error {
	now, err := o.slot.Coverage(ctx)
	if err != nil {
		return err
	}
	var seen []publish.Observation
	if o.last != nil {
		changes := now.Since(o.last)
		if len(changes) == 0 {
			return nil
		}
		for _, c := range changes {
			detail, err := json.Marshal(c)
			if err != nil {
				return err
			}
			seen = append(seen, publish.Observation{Op: c.Op, Detail: detail})
			o.log.Warn("what the trail covers has changed", "op", c.Op, "change", c.Change, "schema", c.Schema, "table", c.Table, "name", c.Name)
		}
	}
	whole, err := json.Marshal(now)
	if err != nil {
		return err
	}
	if err := o.kafka.Observe(seen, whole); err != nil {
		return err
	}
	o.last = now
	return nil
}
