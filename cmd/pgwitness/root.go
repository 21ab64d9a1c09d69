package main

import (
	"github.com/spf13/cobra"
)

const rootLong = `pgwitness is a witness to every row change in a PostgreSQL database: who changed which
row, from what to what, in which transaction. It reads one logical replication slot and delivers
each committed change to Kafka once, in order.

Settings come from the file (--config), from the environment (PGWITNESS_SECTION_KEY, for example
PGWITNESS_SOURCE_URL) and from flags; the later wins. docs/configuration.md has every key.

Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 a gap in the trail.`

// newRootCommand returns the whole command line. All commands share one config, which is filled before any of them
// runs.
func newRootCommand() *cobra.Command {
	cfg := defaultConfig()
	var file string
	root := &cobra.Command{
		Use:           "pgwitness",
		Short:         "A witness to every row change in a PostgreSQL database",
		Long:          rootLong,
		Args:          noArguments,
		SilenceErrors: true, // exitCode prints them
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.HasSubCommands() { // nothing but help
				return nil
			}
			return cfg.load(file, cmd.Flags())
		},
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%w (see %s --help)", err, cmd.CommandPath())
	})
	flags := root.PersistentFlags()
	flags.SortFlags = false
	flags.StringVar(&file, "config", "", "configuration `file` (YAML)")
	keyFlag(flags, "source", "source.url", "the database: libpq `URL` or key/value string")
	keyFlag(flags, "slot", "source.slot", "`name` of the replication slot (default pgwitness)")
	keyFlag(flags, "publication", "source.publication", "`name` of the publication (default pgwitness)")
	keyFlag(flags, "brokers", "kafka.brokers", "Kafka brokers, `host:port,…`")
	keyFlag(flags, "prefix", "kafka.prefix", "`prefix` of the topics' names (default pgwitness)")
	keyFlag(flags, "log-level", "log.level", "trace, debug, info, warn or error: `level` (default info)")
	keyFlag(flags, "log-format", "log.format", "text or json: `format` of the log (default text)")

	root.AddCommand(
		newSetupCommand(cfg),
		newCheckCommand(cfg),
		newTailCommand(cfg),
		newStatusCommand(cfg),
		newRunCommand(cfg),
		newHoldCommand(cfg),
		newTeardownCommand(cfg),
		newConfigCommand(cfg),
		newVersionCommand(),
	)
	return root
}

// noArguments refuses arguments; without it a mistyped subcommand would print the help and succeed.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		if cmd.HasSubCommands() {
			return usagef("unknown command %q (see %s --help)", args[0], cmd.CommandPath())
		}
		return usagef("unexpected argument %q (see %s --help)", args[0], cmd.CommandPath())
	}
	return nil
}
