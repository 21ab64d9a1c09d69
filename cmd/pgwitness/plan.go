package main

import (
	"fmt"
	"io"
)

// A step is one statement that changes a source. Each can be repeated without harm; done says that it need not be.
type step struct {
	about    string // what it brings about, as a comment
	subject  string // the same in a word or two, for the report
	sql      string // without the semicolon
	secret   string // end of the statement that is never shown
	oid      uint32 // of the table that it locks
	needs    string // who may run it
	done     bool
	patient  bool    // may wait for other transactions: nobody queues behind it
	requires *step   // must have succeeded
	without  string  // what the trail lacks without it; "" where there is no trail without it
	waits    string  // why it must not run yet
	standbys *string // what it sets synchronous_standby_names to, which the server has to read again afterwards
}

// A problem is something that we do not change by ourselves.
type problem struct {
	what string
	mend string // the command that mends it
}

// A plan is the way from a source as it stands to one as it should be. It is there when all steps are done.
type plan struct {
	steps    []*step
	notes    []string  // what the reader should know: tables left out, and why
	triggers *step     // that makes the event triggers
	problems []problem // nothing is applied while there are any
}

func (p *plan) note(format string, args ...any) {
	p.notes = append(p.notes, fmt.Sprintf(format, args...))
}

func (p *plan) refuse(mend, format string, args ...any) {
	p.problems = append(p.problems, problem{fmt.Sprintf(format, args...), mend})
}

func (p *plan) add(s *step) *step {
	p.steps = append(p.steps, s)
	return s
}

// reportProblems says what has to be mended first. Nothing has been changed.
func (p *plan) reportProblems(stderr io.Writer) error {
	if len(p.problems) == 1 {
		return fmt.Errorf("%s; nothing was changed; mend it: %s", p.problems[0].what, p.problems[0].mend)
	}
	for _, problem := range p.problems {
		fmt.Fprintf(stderr, "wrong: %s\n  mend: %s\n", problem.what, problem.mend)
	}
	return fmt.Errorf("%d things have to be mended first; nothing was changed", len(p.problems))
}

// writeNotes prints what the reader should know whatever is done.
func (p *plan) writeNotes(stderr io.Writer) {
	for _, note := range p.notes {
		fmt.Fprintln(stderr, "note:", note)
	}
}
