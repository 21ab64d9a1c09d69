package main

import (
	"context"
	"errors"
	"os"
	"runtime/debug"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/jackc/pglogrepl"
	"github.com/spf13/cobra"

	"pgwitness/capture"
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

A server that restarts, or a connection that breaks, does not end the run: it connects again until the server
is back.

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
			if err := cfg.loadMasks(); err != nil {
				return err
			}
			if what.hold && witnessName(cfg.Source.Slot) == "" {
				return usagef("--hold: slot %s leaves no room for the name of its witness; allowed: %d characters", cfg.Source.Slot, longestHeldSlot)
			}
			out := newConsole(cmd.ErrOrStderr())
			return run(cmd.Context(), cfg, what, cfg.logger(out), out)
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

// A runner is one run: a session at the slot, or several in turn, and what lasts beyond them.
type runner struct {
	cfg     *config
	what    order
	log     hclog.Logger
	console *console // where the log goes
	monitor *monitor
	manager *notifier // of the service, if there is one
	who     *attendance
	seen    *coverage
	meter   *meter

	former int // the server process of the last session at the slot, 0 before the first
	pauses pauses
}

// gcPercent is how much garbage there may be for what is in use, which is mostly records that wait for Kafka. A run makes
// little: collecting it earlier than Go does by itself (100) took 5 to 15 MB off the peak of a catch-up, and cost nothing
// that shows but with rows of 1 MB (a fifth of our processor time).
const gcPercent = 40

// run captures until it is told to stop.
func run(ctx context.Context, cfg *config, what order, log hclog.Logger, out *console) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	r := &runner{cfg: cfg, what: what, log: log, console: out, seen: newCoverage(), meter: newMeter()}
	r.who = &attendance{cfg: cfg, what: what, log: log, meter: r.meter}
	defer r.who.close(ctx)
	err := cfg.tellSettings(log)
	if err != nil {
		return err
	}
	if r.monitor, err = startMonitor(ctx, r); err != nil {
		return err
	}
	defer r.monitor.close()
	if cfg.masks != nil {
		log.Info("columns are masked", "columns", len(cfg.Mask), "key_id", cfg.masks.KeyID())
	}
	r.manager = startNotifier(ctx, r.monitor.alive, log)
	defer r.manager.close()
	for {
		began := time.Now()
		err := r.session(ctx)
		var stuck *capture.UnsendableError
		switch {
		case errors.Is(err, errLeftOut) && errors.As(err, &stuck):
			if err := capture.Skip(ctx, cfg.capture(), stuck.Commit, log); err != nil {
				return err
			}
		case !r.goesOn(ctx, err):
			return classify(recordLoss(ctx, cfg, err, log))
		case startsAgain(err):
			log.Info("starting again", "reason", err)
		default:
			if r.pauses.wait(ctx, time.Since(began), err, log); ctx.Err() != nil {
				return r.givenUp(ctx)
			}
		}
	}
}

// classify brings the parts' errors under the exit codes.
func classify(err error) error {
	var gap *publish.GapError
	if errors.Is(err, capture.ErrSlotLost) || errors.As(err, &gap) {
		return gapError{err}
	}
	return err
}
