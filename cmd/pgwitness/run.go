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
			return run(cmd.Context(), cfg, what, cfg.logger(cmd.ErrOrStderr()))
		},
	}
	cmd.Flags().StringVar(&until, "until", "", "stop with exit code 0 once everything that committed up to this `LSN` is in Kafka")
	keyFlag(cmd.Flags(), "listen", "run.listen", "serve metrics and health at this `address` (default: nowhere)")
	cmd.Flags().StringVar(&what.acceptGap, "accept-gap", "", "go on beyond the gap with this `ID`, which then stands in the trail as accepted")
	cmd.Flags().BoolVar(&what.wait, "wait", false, "wait as a warm standby while another session holds the slot, and take over when it ends")
	cmd.Flags().DurationVar(&what.takeoverAfter, "takeover-after", 0, "with --wait, end a session whose client has been silent for this `duration` (15s or more)")
	return cmd
}

// An order is what one run is asked for beyond the configuration.
type order struct {
	until         pglogrepl.LSN // 0: without end
	acceptGap     string
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
	m, err := startMonitor(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer m.close()
	for {
		err := session(ctx, cfg, what, m, log)
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
func session(ctx context.Context, cfg *config, what order, m *monitor, log hclog.Logger) error {
	reading, stop := context.WithCancelCause(ctx)
	defer stop(nil)

	from := cfg.capture()
	from.Wait, from.TakeoverAfter, from.Failed = what.wait, what.takeoverAfter, stop
	slot, err := capture.Open(reading, from, log)
	if err != nil {
		return asked(ctx, err, log)
	}
	to := cfg.publish()
	to.Source, to.Start = slot.Origin(), slot.Start()
	to.Held, to.Durable, to.Failed = slot.Held, slot.Confirm, stop
	to.AcceptGap, to.Patient = what.acceptGap, what.wait
	kafka, err := publish.Open(reading, to, log)
	if err != nil {
		end := slot.Close(context.WithoutCancel(ctx))
		return cmp.Or(asked(ctx, err, log), end)
	}
	m.sink.Store(kafka)
	defer m.sink.Store(nil)
	err = prepare(reading, slot, kafka)
	if err == nil && (what.until == 0 || what.until > slot.Start()) {
		err = carry(reading, slot, kafka, what.until, log)
	}
	if cause := context.Cause(reading); cause != nil && errors.Is(err, context.Canceled) {
		err = cause // of those that end the reading, stop's is the one that says why
	}
	return finish(ctx, cfg, slot, kafka, asked(ctx, err, log), log)
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

// carry carries changes, and looks meanwhile whether the publication still covers what it did.
func carry(ctx context.Context, slot *capture.Source, kafka *publish.Sink, until pglogrepl.LSN, log hclog.Logger) error {
	watch, err := startObserver(ctx, slot, kafka, log)
	if err != nil {
		return err
	}
	defer watch.stop()
	origin := slot.Origin()
	origin.Settle = kafka.Settle
	return pipe(ctx, slot, decode.NewDecoder(origin, slot.Catalogue()), kafka, until)
}

// asked turns an end that was asked for into none.
func asked(ctx context.Context, err error, log hclog.Logger) error {
	if ctx.Err() == nil || !errors.Is(err, context.Canceled) && !errors.Is(err, context.Cause(ctx)) {
		return err
	}
	log.Info("asked to stop")
	return nil
}

// finish ends a session. After an ordinary end what was sent is waited for and confirmed; after an error there is
// nothing that the next run does not do as well.
func finish(ctx context.Context, cfg *config, slot *capture.Source, kafka *publish.Sink, err error, log hclog.Logger) error {
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.Run.Drain)
	defer cancel()
	var stuck *capture.UnsendableError
	unsendable := errors.As(err, &stuck)
	if err == nil || unsendable || errors.Is(err, publish.ErrRerouted) {
		if late := kafka.Finish(bounded); late != nil {
			err = fmt.Errorf("%w: nothing is lost, the next run sends the rest", late)
		} else if unsendable {
			err = cmp.Or(kafka.Unsendable(bounded, stuck.Commit, stuck), fmt.Errorf("%w: %w", errLeftOut, stuck))
		}
	}
	kafka.Close()
	if end := slot.Close(context.WithoutCancel(ctx)); err == nil && end != nil {
		// Everything is in Kafka. What the slot sends again, the next run skips.
		log.Warn("the server has not taken the last confirmation in time", "error", end)
	}
	if err == nil {
		log.Info("stopped", "confirmed", kafka.Confirmed())
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
