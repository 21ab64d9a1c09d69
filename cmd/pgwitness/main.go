// Command pgwitness is a witness to every row change in a PostgreSQL database: it reads one logical replication slot
// and delivers each committed change to Kafka once, in order, attributed.
//
// Each subcommand has a file of its own. A command gets its settings from one config (defaults, file, environment,
// flags), writes results to its standard output and everything else to standard error, and returns an error; what
// exit code an error means is decided in errors.go alone.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() { os.Exit(profiled(pgwitness)) }

// profiled runs the program. A build for profiling (profile.go) puts another one in its place.
var profiled = func(work func() int) int { return work() }

// pgwitness runs the command line and returns the exit code. The first SIGINT or SIGTERM cancels the commands'
// context; a second one ends the process at once.
func pgwitness() int {
	ctx, restore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer restore()
	context.AfterFunc(ctx, restore)
	return exitCode(newRootCommand().ExecuteContext(ctx), os.Stderr)
}
