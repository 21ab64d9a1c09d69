package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

const checkLong = `Looks at everything that a promise of the trail rests on and says of each whether it holds, or what
is wrong and the command that mends it. It looks with the eyes of the role that it connects as: use
the one of pgwitness run. Exit code 1 when a promise cannot be kept.`

// A level says what a finding means.
type level string

const (
	levelOK      level = "ok"
	levelNote    level = "note"    // worth knowing
	levelWarning level = "warning" // a promise holds, but less than it could
	levelWrong   level = "wrong"   // a promise cannot be kept
)

// A finding is one thing that was looked at. Its JSON names are stable.
type finding struct {
	Level level  `json:"level"`
	About string `json:"about"`
	What  string `json:"what"`
	Mend  string `json:"mend,omitempty"`
}

// findings collects them in the order of looking.
type findings []finding

func (f *findings) add(l level, about, mend, format string, args ...any) {
	*f = append(*f, finding{l, about, fmt.Sprintf(format, args...), mend})
}

func (f *findings) ok(about, format string, args ...any) { f.add(levelOK, about, "", format, args...) }

func (f *findings) note(about, format string, args ...any) {
	f.add(levelNote, about, "", format, args...)
}

func (f *findings) warn(about, mend, format string, args ...any) {
	f.add(levelWarning, about, mend, format, args...)
}

func (f *findings) wrong(about, mend, format string, args ...any) {
	f.add(levelWrong, about, mend, format, args...)
}

func (f findings) count(l level) int {
	n := 0
	for _, one := range f {
		if one.Level == l {
			n++
		}
	}
	return n
}

func newCheckCommand(cfg *config) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Judge everything that the trail rests on",
		Long:  checkLong,
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runCheck(cmd.Context(), cfg, asJSON, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// runCheck judges both sides, also when one cannot be reached.
func runCheck(ctx context.Context, cfg *config, asJSON bool, stdout, stderr io.Writer) error {
	var all findings
	survey, err := all.source(ctx, cfg, stderr)
	if err != nil {
		return err
	}
	if len(cfg.Kafka.Brokers) == 0 {
		all.warn("brokers", "set kafka.brokers, PGWITNESS_KAFKA_BROKERS or --brokers", "none is configured: Kafka was not looked at")
	} else if err := all.kafka(ctx, cfg, survey); err != nil {
		return err
	}
	if err := all.write(stdout, asJSON); err != nil {
		return err
	}
	if n := all.count(levelWrong); n > 0 {
		return fmt.Errorf("check: %d of %d findings are wrong", n, len(all))
	}
	return nil
}

func (f findings) write(w io.Writer, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		return e.Encode(f)
	}
	colour := screenOf(w).colour
	var b strings.Builder
	for _, one := range f {
		var l line
		l.add(styleOfLevel[one.Level], fmt.Sprintf("%-8s", one.Level))
		l.add(plain, one.About+": "+one.What)
		b.WriteString(l.text(colour) + "\n")
		if one.Mend != "" {
			fmt.Fprintf(&b, "         mend: %s\n", printable(one.Mend))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

var styleOfLevel = map[level]style{levelOK: green, levelNote: cyan, levelWarning: yellow, levelWrong: red}
