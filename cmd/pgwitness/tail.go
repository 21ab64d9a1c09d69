package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
)

const tailLong = `Follows the topics of the prefix and shows who changed what: time, actor, operation, table, key,
and the columns that changed, old → new. It needs the brokers only. Changes of several topics are
shown in the order of their commits. Topics that appear later are picked up.`

// tailFlags are the flags of tail alone.
type tailFlags struct {
	fromBeginning bool
	untilEnd      bool
	json          bool
}

func newTailCommand(cfg *config) *cobra.Command {
	var f tailFlags
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Follow the topics and show who changed what",
		Long:  tailLong,
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runTail(cmd.Context(), cfg, f, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVar(&f.fromBeginning, "from-beginning", false, "begin with the oldest records instead of the next ones")
	flags.BoolVar(&f.untilEnd, "until-end", false, "show what is there, from the beginning, and stop")
	flags.BoolVar(&f.json, "json", false, "print the records as they are, one a line")
	return cmd
}

func runTail(ctx context.Context, cfg *config, f tailFlags, stdout, stderr io.Writer) error {
	if err := cfg.needBrokers(); err != nil {
		return err
	}
	cluster := openCluster(cfg, pollTopics)
	defer cluster.close()
	show := showRaw(stdout)
	if !f.json {
		show = showLines(stdout)
	}
	follower := &follower{
		cluster:  cluster,
		cfg:      cfg,
		notes:    stderr,
		backlog:  f.fromBeginning || f.untilEnd,
		untilEnd: f.untilEnd,
	}
	err := follower.run(ctx, show)
	if err != nil && errors.Is(ctx.Err(), context.Canceled) { // stopped by a signal: that is how following ends
		return nil
	}
	return err
}

// showRaw prints the value of each record as it is.
func showRaw(w io.Writer) func(tailRecord) error {
	return func(r tailRecord) error {
		_, err := fmt.Fprintf(w, "%s\n", r.value)
		return err
	}
}

// showLines prints a line for each change. A change that stands in several partitions (of a key that moved, of a
// truncate) is one change.
func showLines(w io.Writer) func(tailRecord) error {
	screen := screenOf(w)
	last := ""
	return func(r tailRecord) error {
		if r.id != "" && r.id == last {
			return nil
		}
		last = r.id
		line, ok := renderRecord(r.value, time.UnixMilli(r.millis))
		if !ok {
			return nil
		}
		_, err := fmt.Fprintln(w, line.fit(screen.width()).text(screen.colour))
		return err
	}
}

// A screen is what is known of where lines go to.
type screen struct {
	file   *os.File // nil: not a terminal
	colour bool
}

func screenOf(w io.Writer) screen {
	f, ok := w.(*os.File)
	if !ok || terminalWidth(f) == 0 {
		return screen{}
	}
	colour := os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" // https://no-color.org
	return screen{f, colour}
}

// width is asked for anew for each line: windows are resized. 0 means no limit.
func (s screen) width() int {
	if s.file == nil {
		return 0
	}
	return terminalWidth(s.file)
}
