package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pglogrepl"

	"pgwitness/capture"
	"pgwitness/decode"
	"pgwitness/publish"
)

// session connects the three parts and carries changes until a stop is asked for. Any error ends it; the next one is
// the ordinary start.
func (r *runner) session(ctx context.Context) error {
	if err := r.cfg.weighCopies(ctx); err != nil {
		return err
	}
	reading, stop := context.WithCancelCause(ctx)
	defer stop(nil)

	from := r.cfg.capture()
	from.Wait, from.TakeoverAfter, from.Former, from.Failed = r.what.wait, r.what.takeoverAfter, r.former, stop
	slot, err := capture.Open(reading, from, r.log)
	if err != nil {
		return r.asked(ctx, err)
	}
	again := r.former != 0
	r.former = slot.PID()
	r.monitor.sessions.Add(1)
	began := time.Now()
	r.monitor.present.Store(&present{slot: slot, began: began})
	defer r.monitor.present.Store(nil)
	if err = r.cfg.masks.Check(reading, slot.Catalogue()); err == nil {
		err = r.who.join(reading, slot, stop)
	}
	var kafka *publish.Sink
	if err == nil {
		kafka, err = r.openSink(reading, slot, again, stop)
	}
	if err != nil {
		err = r.asked(ctx, reasonOf(reading, err))
		if !r.goesOn(ctx, err) {
			r.who.stop(context.WithoutCancel(ctx), r.former, err)
		}
		end := slot.Close(context.WithoutCancel(ctx))
		return cmp.Or(err, end)
	}
	r.monitor.present.Store(&present{slot: slot, sink: kafka, began: began})
	r.manager.session(slot.Start())
	defer r.manager.between()
	worked := r.watchBacklog(reading, slot, kafka)
	defer func() {
		stop(nil)
		<-worked
	}()
	var watch *observer
	if err = prepare(reading, slot, kafka); err == nil {
		watch, err = startObserver(reading, slot, kafka, r.who.keeper, r.seen, r.log)
	}
	if until := r.what.until; err == nil && (until == 0 || until > slot.Start()) {
		err = carry(reading, slot, kafka, until, r.cfg.masks, r.seen)
	}
	return r.finish(ctx, slot, kafka, watch, r.asked(ctx, reasonOf(reading, err)))
}

// reasonOf replaces what the end of the reading made of a step by what ended the reading.
func reasonOf(reading context.Context, err error) error {
	if cause := context.Cause(reading); cause != nil && errors.Is(err, context.Canceled) {
		return cause
	}
	return err
}

// openSink opens the delivery of what comes out of the slot. Brokers that have been reached before are waited for.
func (r *runner) openSink(ctx context.Context, slot *capture.Source, again bool, fail context.CancelCauseFunc) (*publish.Sink, error) {
	to := r.cfg.publish()
	to.Source, to.Start = slot.Origin(), slot.Start()
	to.Held, to.Durable, to.Failed, to.Meter = slot.Held, slot.Confirm, fail, r.meter
	to.AcceptGap, to.Patient = r.what.acceptGap, r.what.wait || again
	return publish.Open(ctx, to, r.log)
}

// prepare opens the topics of all published tables together: one by one, with their first records, hundreds take long.
func prepare(ctx context.Context, slot *capture.Source, kafka *publish.Sink) error {
	published, err := slot.Published(ctx)
	if err != nil {
		return err
	}
	tables := make([]publish.Table, len(published))
	for i, t := range published {
		tables[i] = publish.Table(t)
	}
	return kafka.Prepare(ctx, tables)
}

// carry carries changes.
func carry(ctx context.Context, slot *capture.Source, kafka *publish.Sink, until pglogrepl.LSN, masks *decode.Masks, seen *coverage) error {
	origin := slot.Origin()
	origin.Masks, origin.Recall = masks, kafka.Recall
	origin.Settle, origin.Unforgeable, origin.Unsealed = kafka.Settle, slot.Unforgeable, slot.Unsealed
	return pipe(ctx, slot, decode.NewDecoder(origin, slot.Catalogue()), kafka, until, seen)
}

// asked turns an end that was asked for into none.
func (r *runner) asked(ctx context.Context, err error) error {
	if ctx.Err() == nil || !errors.Is(err, context.Canceled) && !errors.Is(err, context.Cause(ctx)) {
		return err
	}
	r.log.Info("asked to stop")
	return nil
}

// finish ends a session; watch is nil if it did not begin. After an ordinary end what was sent is waited for and
// confirmed; after an error there is nothing that the next session does not do as well.
func (r *runner) finish(ctx context.Context, slot *capture.Source, kafka *publish.Sink, watch *observer, err error) error {
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.cfg.Run.Drain)
	defer cancel()
	if watch != nil {
		watch.stop()
	}
	if !r.goesOn(ctx, err) {
		r.who.stop(bounded, r.former, err)
	}
	var stuck *capture.UnsendableError
	unsendable := errors.As(err, &stuck)
	if err == nil || unsendable || errors.Is(err, publish.ErrRerouted) {
		if watch != nil {
			err = cmp.Or(err, watch.end())
		}
		if late := kafka.Finish(bounded); late != nil {
			err = fmt.Errorf("%w: nothing is lost, the next run sends the rest", late)
		} else if unsendable {
			err = cmp.Or(kafka.Unsendable(bounded, stuck.Commit, stuck), fmt.Errorf("%w: %w", errLeftOut, stuck))
		}
	}
	kafka.Close()
	if end := slot.Close(context.WithoutCancel(ctx)); err == nil && end != nil {
		// Everything is in Kafka. What the slot sends again, the next run skips.
		r.log.Warn("the server has not taken the last confirmation in time", "error", end)
	}
	if err == nil {
		r.log.Info("stopped", "confirmed", kafka.Confirmed().String())
	}
	return err
}

// errLeftOut ends a session whose next transaction cannot be sent and is left out, as an operator has accepted.
var errLeftOut = errors.New("a transaction is left out")
