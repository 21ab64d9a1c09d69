package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

const checkLong = `Looks at everything that a promise of the trail rests on and says of each whether it holds, or what
is wrong and the command that mends it (docs/checks.md explains each by its name). It looks with the eyes of the role that
it connects as: use the one of pgwitness run. Nothing is changed. Exit code 1 when a promise cannot be kept.`

// A state says what a finding means.
type state string

const (
	stateOK      state = "ok"
	stateNote    state = "note"    // worth knowing
	stateWarning state = "warning" // a promise holds, but less than it could
	stateWrong   state = "wrong"   // a promise cannot be kept
)

// A finding is what was found of one thing that was looked at. Its JSON names are stable, and so are the checks' names.
type finding struct {
	Check   string `json:"name"`
	Subject string `json:"subject,omitempty"` // of which table, role, topic; empty where there is but one
	State   state  `json:"state"`
	Message string `json:"message"`
	Mend    string `json:"mend,omitempty"`
}

// findings collects them in the order of looking.
type findings []finding

func (f *findings) add(s state, a about, mend, format string, args ...any) {
	*f = append(*f, finding{a.check, a.subject, s, fmt.Sprintf(format, args...), mend})
}

func (f *findings) ok(a about, format string, args ...any) { f.add(stateOK, a, "", format, args...) }

func (f *findings) note(a about, format string, args ...any) {
	f.add(stateNote, a, "", format, args...)
}

func (f *findings) warn(a about, mend, format string, args ...any) {
	f.add(stateWarning, a, mend, format, args...)
}

func (f *findings) wrong(a about, mend, format string, args ...any) {
	f.add(stateWrong, a, mend, format, args...)
}

// otherwise says that a check found nothing, where it has found nothing.
func (f *findings) otherwise(a about, format string, args ...any) {
	if !slices.ContainsFunc(*f, func(one finding) bool { return one.Check == a.check }) {
		f.ok(a, format, args...)
	}
}

func (f findings) count(s state) int {
	n := 0
	for _, one := range f {
		if one.State == s {
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
		all.warn(aboutBrokers, "set kafka.brokers, PGWITNESS_KAFKA_BROKERS or --brokers", "none is configured: Kafka was not looked at")
	} else if err := all.kafka(ctx, cfg, survey); err != nil {
		return err
	}
	if err := all.write(stdout, asJSON); err != nil {
		return err
	}
	if n := all.count(stateWrong); n > 0 {
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
		l.add(styleOfState[one.State], fmt.Sprintf("%-8s", one.State))
		l.add(plain, one.title()+": "+one.Message)
		b.WriteString(l.text(colour) + "\n")
		if one.Mend != "" {
			fmt.Fprintf(&b, "         mend: %s\n", printable(one.Mend))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// title is the check's name, and its subject where the message does not say it.
func (f finding) title() string {
	if f.Subject == "" || strings.Contains(f.Message, f.Subject) {
		return f.Check
	}
	return f.Check + " " + f.Subject
}

var styleOfState = map[state]style{stateOK: green, stateNote: cyan, stateWarning: yellow, stateWrong: red}
