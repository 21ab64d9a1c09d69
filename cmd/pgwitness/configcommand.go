package main

import (
	_ "embed"
	"fmt"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"
)

//go:embed example.yaml
var exampleYAML string

func newConfigCommand(cfg *config) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Judge a configuration file, or print one to begin with",
		Args:  noArguments,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		&cobra.Command{
			Use:   "check FILE",
			Short: "Read a file as run would, and say what is wrong; no server is asked",
			Args: func(cmd *cobra.Command, args []string) error {
				if len(args) != 1 {
					return usagef("one file is wanted (see %s --help)", cmd.CommandPath())
				}
				return nil
			},
			RunE: func(cmd *cobra.Command, args []string) error {
				if err := cfg.load(args[0], cmd.Flags()); err != nil {
					return err
				}
				if err := cfg.secureKafka(); err != nil {
					return err
				}
				if err := cfg.loadMasks(); err != nil {
					return err
				}
				if _, err := cfg.listenTLS(hclog.NewNullLogger()); err != nil {
					return err
				}
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s can be used\n", args[0])
				return err
			},
		},
		&cobra.Command{
			Use:   "example",
			Short: "Print a file with every key and its default",
			Args:  noArguments,
			RunE: func(cmd *cobra.Command, _ []string) error {
				_, err := fmt.Fprint(cmd.OutOrStdout(), exampleYAML)
				return err
			},
		},
	)
	return cmd
}
