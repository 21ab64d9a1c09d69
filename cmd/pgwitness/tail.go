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

const tailExample = `  pgwitness tail --brokers kafka:9092 --since 2h --table 'billing.*' --op update,delete
  pgwitness tail --brokers kafka:9092 --since 2026-11-24 --until 2026-11-25 --actor u_42 --key id=17`

const tailLong = `Follows the topics of the prefix and shows who changed what: time, actor, operation, table, key,
and the columns that changed, old → new: of a JSON document the members that changed, of a long text
the part. Names of tables and actors may have * and ?; all filters have to let a change through. It
needs the brokers only. Changes of several topics are shown in the order of their commits. Topics that
appear later are picked up.`

// tailFlags are the flags of tail alone.
type tailFlags struct {
	fromBeginning bool
	untilEnd      bool
	json          bool

	table, key, actor, op, since, until string
}

func newTailCommand(cfg *config) *cobra.Command {
	var f tailFlags
	cmd := &cobra.Command{
		Use:     "tail",
		Short:   "Follow the topics and show who changed what",
		Long:    tailLong,
		Example: tailExample,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runTail(cmd.Context(), cfg, f, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVar(&f.fromBeginning, "from-beginning", false, "begin with the oldest records instead of the next ones")
	flags.BoolVar(&f.untilEnd, "until-end", false, "show what is there, from the beginning, and stop")
	flags.StringVar(&f.since, "since", "", "show changes that were committed since a `time`: 2026-11-25T08:35 (UTC), or 90m ago")
	flags.StringVar(&f.until, "until", "", "show changes before a `time`, and stop")
	flags.StringVar(&f.table, "table", "", "of tables that match `patterns`: schema.table,…")
	flags.StringVar(&f.key, "key", "", "of rows with this key: `column=value,…` or value")
	flags.StringVar(&f.actor, "actor", "", "by these `users`, of the session or by the application's word (user_id)")
	flags.StringVar(&f.op, "op", "", "of these `operations`: insert,update,delete,truncate,…")
	flags.BoolVar(&f.json, "json", false, "print the records as they are, one a line")
	return cmd
}

func runTail(ctx context.Context, cfg *config, f tailFlags, stdout, stderr io.Writer) error {
	filter, err := f.filter(time.Now())
	if err != nil {
		return err
	}
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
		backlog:  f.fromBeginning || f.untilEnd || !filter.since.IsZero() || !filter.until.IsZero(),
		untilEnd: f.untilEnd || !filter.until.IsZero() && !filter.until.After(time.Now()),
		since:    filter.since,
	}
	if !filter.until.IsZero() && !follower.untilEnd { // a time to come
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, filter.until)
		defer cancel()
	}
	err = follower.run(ctx, filter.through(show))
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return nil
	}
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
