package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/jackc/pglogrepl"
	"github.com/spf13/cobra"

	"pgwitness/capture"
	"pgwitness/decode"
	"pgwitness/publish"
)

const runLong = `Captures the changes that the slot holds and delivers them to Kafka until told to stop. It never
creates the slot: a slot made anew would hide a gap.

With --wait a second instance stands by: it waits while another one holds the slot and takes over when
that one dies. With --takeover-after it does so, too, when nothing has been heard of the other one for
so long, because its machine is gone or it hangs. Without it the server notices after
wal_sender_timeout.

With --hold a witness reads the raw log as a synchronous standby, <slot>_witness, and names the session
of every commit that waits for it (docs/holding.md). Without it, sessions that run long enough are named
by sampling.

SIGINT and SIGTERM stop reading, wait for Kafka's acknowledgements (run.drain), confirm them to the server
and exit with 0. A second signal exits at once; nothing is lost either way.`

func newRunCommand(cfg *config) *cobra.Command {
	var until string
	var what order
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Capture changes and deliver them to Kafka until told to stop",
		Long:  runLong,
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := what.read(until, cmd.Flags().Changed("takeover-after")); err != nil {
				return err
			}
			if err := cfg.needBrokers(); err != nil {
				return err
			}
			if what.hold && witnessName(cfg.Source.Slot) == "" {
				return usagef("--hold: slot %s leaves no room for the name of its witness; allowed: %d characters", cfg.Source.Slot, longestHeldSlot)
			}
			return run(cmd.Context(), cfg, what, cfg.logger(cmd.ErrOrStderr()))
		},
	}
	cmd.Flags().StringVar(&until, "until", "", "stop with exit code 0 once everything that committed up to this `LSN` is in Kafka")
	keyFlag(cmd.Flags(), "listen", "run.listen", "serve metrics and health at this `address` (default: nowhere)")
	cmd.Flags().StringVar(&what.acceptGap, "accept-gap", "", "go on beyond the gap with this `ID`, which then stands in the trail as accepted")
	cmd.Flags().BoolVar(&what.hold, "hold", false, "run the witness that names sessions while their commits wait (setup --hold makes what it needs)")
	cmd.Flags().BoolVar(&what.wait, "wait", false, "wait as a warm standby while another session holds the slot, and take over when it ends")
	cmd.Flags().DurationVar(&what.takeoverAfter, "takeover-after", 0, "with --wait, end a session whose client has been silent for this `duration` (15s or more)")
	return cmd
}

// An order is what one run is asked for beyond the configuration.
type order struct {
	until         pglogrepl.LSN // 0: without end
	acceptGap     string
	hold          bool
	wait          bool
	takeoverAfter time.Duration // 0: never
}

// leastTakeover leaves a living holder, which is heard every 10 seconds, time for it.
const leastTakeover = 15 * time.Second

func (o *order) read(until string, takeover bool) error {
	if until != "" {
		var err error
		if o.until, err = pglogrepl.ParseLSN(until); err != nil || o.until == 0 {
			return usagef("--until %q is not a position such as 0/16B3748", until)
		}
	}
	if takeover && o.takeoverAfter < leastTakeover {
		return usagef("--takeover-after %s: a living session is heard every 10 seconds; wanted: %s or more", o.takeoverAfter, leastTakeover)
	}
	if takeover && !o.wait {
		return usagef("--takeover-after is for a run with --wait")
	}
	return nil
}

// run captures until it is told to stop. A session that has to start again (a change of the routing, a batch whose fate
// only the tails tell) ends as by a crash: the next one is the ordinary start.
func run(ctx context.Context, cfg *config, what order, log hclog.Logger) error {
	who, seen := &attendance{cfg: cfg, what: what, log: log}, newCoverage()
	defer who.close(ctx)
	m, err := startMonitor(ctx, cfg, who, seen, log)
	if err != nil {
		return err
	}
	defer m.close()
	for {
		err := session(ctx, cfg, what, m, who, seen, log)
		var stuck *capture.UnsendableError
		switch {
		case errors.Is(err, errLeftOut) && errors.As(err, &stuck):
			if err := capture.Skip(ctx, cfg.capture(), stuck.Commit, log); err != nil {
				return err
			}
		case !startsAgain(err):
			return classify(recordLoss(ctx, cfg, err, log))
		}
		log.Info("starting again", "reason", err)
	}
}

// startsAgain tells the ends after which another session goes on by itself.
func startsAgain(err error) bool {
	return errors.Is(err, publish.ErrRerouted) || errors.Is(err, publish.ErrUnsure) || errors.Is(err, publish.ErrMarkedAgain)
}

// session connects the three parts and carries changes until a stop is asked for. Any error ends it; the next run is
// the ordinary start.
func session(ctx context.Context, cfg *config, what order, m *monitor, who *attendance, seen *coverage, log hclog.Logger) error {
	reading, stop := context.WithCancelCause(ctx)
	defer stop(nil)

	from := cfg.capture()
	from.Wait, from.TakeoverAfter, from.Failed = what.wait, what.takeoverAfter, stop
	slot, err := capture.Open(reading, from, log)
	if err != nil {
		return asked(ctx, err, log)
	}
	err = who.join(reading, slot, stop)
	var kafka *publish.Sink
	if err == nil {
		kafka, err = openSink(reading, cfg, what, slot, stop, log)
	}
	if err != nil {
		who.stop(context.WithoutCancel(ctx), slot, err)
		end := slot.Close(context.WithoutCancel(ctx))
		return cmp.Or(asked(ctx, reasonOf(reading, err), log), end)
	}
	m.sink.Store(kafka)
	defer m.sink.Store(nil)
	var watch *observer
	if err = prepare(reading, slot, kafka); err == nil {
		watch, err = startObserver(reading, slot, kafka, who.keeper, seen, log)
	}
	if err == nil && (what.until == 0 || what.until > slot.Start()) {
		err = carry(reading, slot, kafka, what.until, seen)
	}
	return finish(ctx, ending{cfg, slot, kafka, watch, who}, asked(ctx, reasonOf(reading, err), log), log)
}

// reasonOf replaces what the end of the reading made of a step by what ended the reading.
func reasonOf(reading context.Context, err error) error {
	if cause := context.Cause(reading); cause != nil && errors.Is(err, context.Canceled) {
		return cause
	}
	return err
}

// openSink opens the delivery of what comes out of the slot.
func openSink(ctx context.Context, cfg *config, what order, slot *capture.Source, fail context.CancelCauseFunc, log hclog.Logger) (*publish.Sink, error) {
	to := cfg.publish()
	to.Source, to.Start = slot.Origin(), slot.Start()
	to.Held, to.Durable, to.Failed = slot.Held, slot.Confirm, fail
	to.AcceptGap, to.Patient = what.acceptGap, what.wait
	return publish.Open(ctx, to, log)
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
func carry(ctx context.Context, slot *capture.Source, kafka *publish.Sink, until pglogrepl.LSN, seen *coverage) error {
	origin := slot.Origin()
	origin.Settle, origin.Unforgeable, origin.Unsealed = kafka.Settle, slot.Unforgeable, slot.Unsealed
	return pipe(ctx, slot, decode.NewDecoder(origin, slot.Catalogue()), kafka, until, seen)
}

// asked turns an end that was asked for into none.
func asked(ctx context.Context, err error, log hclog.Logger) error {
	if ctx.Err() == nil || !errors.Is(err, context.Canceled) && !errors.Is(err, context.Cause(ctx)) {
		return err
	}
	log.Info("asked to stop")
	return nil
}

// An ending is what has to be ended with a session.
type ending struct {
	cfg   *config
	slot  *capture.Source
	kafka *publish.Sink
	watch *observer // nil if it did not begin
	who   *attendance
}

// finish ends a session. After an ordinary end what was sent is waited for and confirmed; after an error there is
// nothing that the next run does not do as well.
func finish(ctx context.Context, e ending, err error, log hclog.Logger) error {
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.cfg.Run.Drain)
	defer cancel()
	if e.watch != nil {
		e.watch.stop()
	}
	if !startsAgain(err) {
		e.who.stop(bounded, e.slot, err)
	}
	var stuck *capture.UnsendableError
	unsendable := errors.As(err, &stuck)
	if err == nil || unsendable || errors.Is(err, publish.ErrRerouted) {
		if e.watch != nil {
			err = cmp.Or(err, e.watch.end())
		}
		if late := e.kafka.Finish(bounded); late != nil {
			err = fmt.Errorf("%w: nothing is lost, the next run sends the rest", late)
		} else if unsendable {
			err = cmp.Or(e.kafka.Unsendable(bounded, stuck.Commit, stuck), fmt.Errorf("%w: %w", errLeftOut, stuck))
		}
	}
	e.kafka.Close()
	if end := e.slot.Close(context.WithoutCancel(ctx)); err == nil && end != nil {
		// Everything is in Kafka. What the slot sends again, the next run skips.
		log.Warn("the server has not taken the last confirmation in time", "error", end)
	}
	if err == nil {
		log.Info("stopped", "confirmed", e.kafka.Confirmed())
	}
	return err
}

// errLeftOut ends a session whose next transaction cannot be sent and is left out, as an operator has accepted.
var errLeftOut = errors.New("a transaction is left out")

// classify brings the parts' errors under the exit codes.
func classify(err error) error {
	var gap *publish.GapError
	if errors.Is(err, capture.ErrSlotLost) || errors.As(err, &gap) {
		return gapError{err}
	}
	return err
}
