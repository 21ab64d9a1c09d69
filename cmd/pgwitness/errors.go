package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// The exit codes, for scripts and service managers.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2 // the command line or the configuration: starting again changes nothing
	exitGap    = 3 // the trail has a gap that an operator must accept
)

// A usageError is a fault of the command line or the configuration.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// usagef returns a usageError.
func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// A gapError says that the trail has a gap.
type gapError struct{ error }

func (e gapError) Unwrap() error { return e.error }

// errReported ends a command that failed and has already said why.
var errReported = errors.New("reported")

// exitCode decides what an error means to whoever started us, and prints it as one line.
func exitCode(err error, stderr io.Writer) int {
	if err == nil {
		return exitDone
	}
	if !errors.Is(err, errReported) {
		fmt.Fprintf(stderr, "pgwitness: %s\n", oneLine(err.Error()))
	}
	var usage usageError
	var gap gapError
	switch {
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &gap):
		return exitGap
	}
	return exitFailed
}

// oneLine folds a message of several lines (pgx lists the addresses it tried that way) into one that is safe on a
// terminal.
func oneLine(s string) string {
	return printable(strings.Join(strings.Fields(s), " "))
}
