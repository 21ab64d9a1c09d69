package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/jackc/pglogrepl"

	"pgwitness/capture"
	"pgwitness/capture/witness"
	"pgwitness/publish"
)

// An attendance is what names the sessions behind the transactions: with --hold the witness, and a sampler wherever no
// commit waits for one. It begins with the first session of a run and lasts to the run's end, because commits wait for it.
type attendance struct {
	cfg  *config
	what order
	log  hclog.Logger

	meter    *meter
	sampler  *witness.Sampler
	keeper   *keeper // nil without --hold
	witness  *witness.Witness
	journal  *publish.Journal
	timeline uint32 // that the witness knows to be the newest
	begun    bool   // there was a witness in this run

	mu     sync.Mutex              // guards the rest
	fail   context.CancelCauseFunc // ends the present session
	failed error
}

// join lets the slot's transactions be named, and begins what has not begun yet. fail ends the session when the witness
// ends by itself.
func (a *attendance) join(ctx context.Context, slot *capture.Source, fail context.CancelCauseFunc) error {
	if err := a.goOn(fail); err != nil {
		return err
	}
	lasting := context.WithoutCancel(ctx)
	if a.what.hold && a.keeper == nil {
		k := startKeeper(lasting, a.cfg, witnessName(a.cfg.Source.Slot), a.log)
		a.mu.Lock()
		a.keeper = k
		a.mu.Unlock()
	}
	timeline := slot.Origin().TimelineOf(math.MaxUint64)
	if a.witness != nil && timeline != a.timeline { // its answers are of a history that the server has left
		a.leave()
	}
	a.timeline = timeline
	if a.what.hold && a.witness == nil {
		if err := a.startWitness(ctx, slot); err != nil {
			return err
		}
	}
	if every := a.cfg.Sample.Interval; a.sampler != nil {
		a.sampler.Forget()
	} else if every > 0 {
		a.sampler = witness.StartSampler(lasting, slot.Witness(), every, a.unheld, a.log)
	}
	patience := a.cfg.Hold.MaxWait
	if a.cfg.Hold.OnStop == "keep" {
		patience = 0 // the commits wait as well
	}
	slot.Attribute(a.witness, a.sampler, patience)
	return nil
}

// goOn takes the next session. What ended the last one may have been the witness, which then begins anew.
func (a *attendance) goOn(fail context.CancelCauseFunc) error {
	a.mu.Lock()
	a.fail = fail
	failed := a.failed
	a.failed = nil
	a.mu.Unlock()
	if failed == nil {
		return nil
	}
	a.leave()
	if startsAgain(failed) || comesBack(failed) {
		return nil
	}
	return failed
}

// startWitness opens the who topic and begins to read the log.
func (a *attendance) startWitness(ctx context.Context, slot *capture.Source) error {
	cfg := slot.Witness()
	cfg.Wait, cfg.TakeoverAfter, cfg.Failed, cfg.Waited = a.what.wait, a.what.takeoverAfter, a.end, a.meter.waited
	w := witness.New(cfg, a.log)
	to := a.cfg.publish()
	to.Source, to.Start = slot.Origin(), slot.Start()
	to.Held, to.Patient, to.Meter = slot.Held, a.what.wait || a.begun, a.meter
	to.Durable, to.Failed = w.Durable, func(err error) { a.end(fmt.Errorf("the who topic: %w", err)) }
	journal, err := publish.OpenJournal(ctx, to, a.log)
	if err != nil {
		return err
	}
	if err := w.Start(ctx, whoJournal{journal}); err != nil {
		journal.Close()
		return capture.Away(err)
	}
	a.witness, a.journal, a.begun = w, journal, true
	a.keeper.witness.Store(w)
	return nil
}

// end ends the present session, and all that would follow, with an error of the witness.
func (a *attendance) end(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.failed == nil {
		a.failed = err
		a.fail(err)
	}
}

// held is the keeper of hold, nil when there is none; any goroutine may ask.
func (a *attendance) held() *keeper {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.keeper
}

// unheld reports whether commits go on without waiting for the witness.
func (a *attendance) unheld() bool { return a.keeper == nil || !a.keeper.inForce() }

// stop applies hold.on_stop while the witness still answers, at the end of a run; former is the server process of its
// last session at the slot. Whoever has been pushed aside leaves hold to the successor.
func (a *attendance) stop(ctx context.Context, former int, why error) {
	if a.keeper == nil || errors.Is(why, publish.ErrFenced) {
		return
	}
	reason := "the run has stopped"
	if why != nil {
		reason = "the run has failed"
	}
	if err := a.keeper.stop(ctx, former, reason); err != nil {
		a.log.Error("hold stays in force and commits may wait", "error", err)
	}
}

// leave ends the witness.
func (a *attendance) leave() {
	if a.witness == nil {
		return
	}
	a.keeper.witness.Store(nil)
	a.witness.Close()
	a.journal.Close()
	a.witness, a.journal = nil, nil
}

// close ends it all.
func (a *attendance) close(ctx context.Context) {
	a.leave()
	if a.sampler != nil {
		a.sampler.Close()
	}
	if a.keeper != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		a.keeper.close(ctx)
	}
}

// whoJournal is a who topic as the witness sees it.
type whoJournal struct{ *publish.Journal }

func (j whoJournal) Records(ctx context.Context, timeline uint32, pos pglogrepl.LSN) (witness.Reader, bool, error) {
	r, err := j.Journal.Records(ctx, timeline, pos)
	if err != nil {
		return nil, false, err
	}
	return whoReader{r}, r.Expired(), nil
}

type whoReader struct{ *publish.JournalReader }

func (r whoReader) Next(ctx context.Context) ([]byte, error) {
	value, _, err := r.JournalReader.Next(ctx)
	return value, err
}
