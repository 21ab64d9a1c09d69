package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// writeScript prints the plan for psql. What is done already is left out but for a comment.
func (p *plan) writeScript(w io.Writer, command string, s *survey, lockTimeout time.Duration) {
	fmt.Fprintf(w, "-- pgwitness %s, database %s, PostgreSQL %s.\n", command, displayPart(s.database), printable(s.versionText))
	fmt.Fprintf(w, "-- Run it with psql as it stands, or let `pgwitness %s --apply` do it. What is done is not printed again.\n", command)
	done := 0
	var left []*step
	for _, step := range p.steps {
		if step.done {
			done++
		} else {
			left = append(left, step)
		}
	}
	if done > 0 {
		fmt.Fprintf(w, "-- Already as it should be: %d of %d parts.\n", done, len(p.steps))
	}
	if len(left) == 0 {
		fmt.Fprintf(w, "-- Nothing is left to do.\n")
		return
	}
	writeStatements(w, left, lockTimeout)
}

// writeStatements prints statements with what they are for and who may run them, each said once a group.
func writeStatements(w io.Writer, steps []*step, lockTimeout time.Duration) {
	fmt.Fprintf(w, "\n\\set ON_ERROR_STOP on\n")
	for _, setting := range applySettings(lockTimeout) {
		fmt.Fprintf(w, "%s;\n", setting)
	}
	about := ""
	for _, step := range steps {
		if step.about != about {
			about = step.about
			fmt.Fprintf(w, "\n-- %s\n-- Needs: %s.\n", strings.ReplaceAll(about, "\n", "\n-- "), step.needs)
		}
		if step.patient {
			fmt.Fprintf(w, "set lock_timeout = 0;\n")
		}
		if step.waits != "" {
			fmt.Fprintf(w, "-- Not yet: %s.\n-- So %s. It will be:\n", step.waits, step.without)
			for line := range strings.Lines(step.script()) {
				fmt.Fprintf(w, "-- %s", line)
			}
			continue
		}
		if step.without != "" { // what follows does not need it
			fmt.Fprintf(w, "\\set ON_ERROR_STOP off\nbegin;\n%s;\ncommit;\n\\set ON_ERROR_STOP on\n", step.sql)
			continue
		}
		io.WriteString(w, step.script())
	}
}

// script is the statement, and what makes the server take it up.
func (s *step) script() string {
	if s.standbys != nil {
		return s.sql + ";\n" + reloadServer + ";\n"
	}
	return s.sql + ";\n"
}

// applySettings are the session's settings while statements that take locks run. lock_timeout: whoever waits for a
// table's lock makes everybody after him wait too.
func applySettings(lockTimeout time.Duration) []string {
	return []string{
		"set synchronous_commit = local",
		"set search_path = ''",
		"set standard_conforming_strings = on",
		fmt.Sprintf("set lock_timeout = '%dms'", lockTimeout.Milliseconds()),
	}
}
