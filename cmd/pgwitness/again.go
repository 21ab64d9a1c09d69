package main

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/go-hclog"

	"pgwitness/capture"
	"pgwitness/capture/witness"
	"pgwitness/publish"
)

// A session that ends, ends as by a crash, and what follows is the ordinary start: there is no other recovery. After most
// ends that is somebody else's task, who mends what is wrong first. Here is what the run does by itself.

// startsAgain tells the ends after which the next session begins at once: a change of the routing, a batch whose fate
// only the tails tell.
func startsAgain(err error) bool {
	return errors.Is(err, publish.ErrRerouted) || errors.Is(err, publish.ErrUnsure) || errors.Is(err, publish.ErrMarkedAgain)
}

// comesBack tells the ends that pass by themselves when the server is back.
func comesBack(err error) bool {
	_, away := errors.AsType[*capture.AwayError](err)
	return away || errors.Is(err, witness.ErrHistory)
}

// goesOn reports whether another session follows the one that ended with err. A server that has not been there yet is
// waited for only by who is to wait: the address may be wrong.
func (r *runner) goesOn(ctx context.Context, err error) bool {
	return startsAgain(err) || comesBack(err) && ctx.Err() == nil && (r.former != 0 || r.what.wait)
}

// givenUp ends a run that was asked to stop while it had no session.
func (r *runner) givenUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.cfg.Run.Drain)
	defer cancel()
	r.who.stop(ctx, r.former, nil)
	r.log.Info("asked to stop")
	return nil
}

// pauses are those before another session, longer after each that ended soon.
type pauses struct {
	next time.Duration
	told time.Time // when the last one was told of
}

const (
	leastPause = 200 * time.Millisecond
	mostPause  = 2 * time.Second
	steady     = 30 * time.Second // a session that lasted so long was a good one
	tellEvery  = time.Minute
)

// wait pauses, until ctx ends.
func (p *pauses) wait(ctx context.Context, lasted time.Duration, reason error, log hclog.Logger) {
	if lasted > steady || p.next == 0 {
		p.next, p.told = leastPause, time.Time{}
	}
	if time.Since(p.told) > tellEvery {
		p.told = time.Now()
		log.Warn("the server, or the way to it, is gone; connecting until it is back", "error", reason)
	}
	select {
	case <-ctx.Done():
	case <-time.After(p.next):
	}
	p.next = min(2*p.next, mostPause)
}
