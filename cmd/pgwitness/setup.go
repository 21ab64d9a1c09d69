package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const setupLong = `Prints the SQL that a source needs, as a script for psql: role, publication, replica
identities, slot. With --apply it runs it, statement by statement, and verifies afterwards that each
took effect. What is there already is kept; running it twice changes nothing.

With --hold every commit of the cluster, in every database, waits until pgwitness run --hold has seen
whose it is. That takes two steps: setup --hold makes the witness's slot; when pgwitness run --hold
streams, setup --hold again lets the commits wait. pgwitness hold off ends it at once.`

const setupExample = `  pgwitness setup --source postgres://postgres@db/shop --tables 'public.*,billing.invoice'
  pgwitness setup --source postgres://postgres@db/shop --all-tables --apply
  pgwitness setup --source postgres://postgres@db/shop --hold --context-roles app --unheld-roles app --apply`

// setupFlags are the flags of setup alone.
type setupFlags struct {
	tables       string
	allTables    bool
	role         string
	passwordFile string
	failover     bool
	contextRoles []string
	hold         bool
	unheldRoles  []string
	follow       string
	operations   string
	apply        bool
	lockTimeout  time.Duration
}

func newSetupCommand(cfg *config) *cobra.Command {
	var f setupFlags
	cmd := &cobra.Command{
		Use:     "setup",
		Short:   "Print or apply the SQL that a source needs",
		Long:    setupLong,
		Example: setupExample,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runSetup(cmd.Context(), cfg, f, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.tables, "tables", "", "`patterns` of the tables to witness: schema.table,… with * and ?")
	flags.BoolVar(&f.allTables, "all-tables", false, "all of today's tables, by name")
	flags.StringVar(&f.operations, "operations", allOperations, "make the publication for these `operations` alone, with allow: [fewer-operations]")
	flags.StringVar(&f.role, "role", "pgwitness", "`name` of the role that pgwitness run connects as")
	flags.StringVar(&f.passwordFile, "role-password-file", "", "`file` with the password of a role that is created")
	flags.BoolVar(&f.failover, "failover", false, "make the slot a failover slot (PostgreSQL 17 and later)")
	flags.StringVar(&f.follow, "follow", "", "take up tables that are made later, in these `schemas` or in all: --follow=public,billing")
	flags.Lookup("follow").NoOptDefVal = allSchemas
	rolesFlag(flags, &f.contextRoles, "context-roles", "let these `roles` say by set_actor for whom they act: app,batch")
	flags.BoolVar(&f.hold, "hold", false, "let the commits of the cluster wait until pgwitness run --hold has seen whose they are")
	rolesFlag(flags, &f.unheldRoles, "unheld-roles", "with --hold, `roles` whose commits do not wait: app,batch")
	flags.DurationVar(&f.lockTimeout, "lock-timeout", 5*time.Second, "give up on a table that is locked for longer than this `duration`")
	flags.BoolVar(&f.apply, "apply", false, "run the SQL instead of printing it")
	return cmd
}

// wish checks the flags and reads the password's file.
func (f setupFlags) wish(cfg *config) (setupWish, error) {
	w := setupWish{slot: cfg.Source.Slot, publication: cfg.Source.Publication, role: f.role, failover: f.failover, allTables: f.allTables,
		contextRoles: f.contextRoles, hold: f.hold, unheldRoles: f.unheldRoles, fewerOperations: cfg.allows(fewerOperations)}
	if !legalName(f.role) || strings.HasPrefix(f.role, "pg_") {
		return w, usagef("--role: %q is not allowed; allowed: 1 to 63 bytes, not beginning with pg_", f.role)
	}
	if f.hold && witnessName(w.slot) == "" {
		return w, usagef("--hold: slot %s is longer than %d bytes, which leaves no room for the witness's name", w.slot, longestHeldSlot)
	}
	if len(f.unheldRoles) > 0 && !f.hold {
		return w, usagef("--unheld-roles is for setup --hold")
	}
	if f.follow != "" {
		schemas, err := followedSchemas(f.follow)
		if err != nil {
			return w, usagef("--follow: %w", err)
		}
		w.follow = &schemas
	}
	if f.lockTimeout < time.Millisecond {
		return w, usagef("--lock-timeout: %q is not allowed; allowed: 1ms or more", f.lockTimeout)
	}
	if f.tables != "" && f.allTables {
		return w, usagef("--tables and --all-tables exclude each other")
	}
	var err error
	if w.operations, err = operationsOf(f.operations); err != nil {
		return w, usagef("--operations: %w", err)
	}
	if w.operations != allOperations && !w.fewerOperations {
		return w, usagef("--operations: the trail would lack what is left out; say that it is meant: allow: [%s]", fewerOperations)
	}
	if f.tables != "" {
		if w.patterns, err = parseTablePatterns(f.tables); err != nil {
			return w, usagef("--tables: %w", err)
		}
	}
	if f.passwordFile != "" {
		text, err := os.ReadFile(f.passwordFile)
		if err != nil {
			return w, usagef("--role-password-file: %w", err)
		}
		if w.verifier, err = scramVerifier(strings.TrimRight(string(text), "\r\n")); err != nil {
			return w, usagef("--role-password-file: %s: %w", f.passwordFile, err)
		}
	}
	return w, nil
}

// allSchemas is the flag's value where it has none.
const allSchemas = "*"

// followedSchemas are names as they are in the catalogue; none stands for all schemas.
func followedSchemas(text string) ([]string, error) {
	if text == allSchemas {
		return []string{}, nil
	}
	schemas := splitList(text)
	for _, name := range schemas {
		if !legalName(name) || strings.HasPrefix(name, "pg_") || name == ownSchema || name == "information_schema" {
			return nil, fmt.Errorf("%q has no tables to witness", name)
		}
	}
	if len(schemas) == 0 {
		return nil, fmt.Errorf("%q names no schema", text)
	}
	return schemas, nil
}

// rolesFlag defines a flag that takes names of roles, as they are in the catalogue.
func rolesFlag(flags *pflag.FlagSet, roles *[]string, name, usage string) {
	flags.Var((*roleList)(roles), name, usage)
}

// A roleList is the flag's value.
type roleList []string

func (l *roleList) String() string { return strings.Join(*l, ",") }
func (l *roleList) Type() string   { return "roles" }

func (l *roleList) Set(text string) error {
	for _, role := range splitList(text) {
		if !legalName(role) {
			return fmt.Errorf("%q is no role's name", role)
		}
		if !slices.Contains(*l, role) {
			*l = append(*l, role)
		}
	}
	return nil
}

func runSetup(ctx context.Context, cfg *config, f setupFlags, stdout, stderr io.Writer) error {
	w, err := f.wish(cfg)
	if err != nil {
		return err
	}
	if !f.apply {
		w.verifier = "" // a script is no place for it
	}
	conn, err := connect(ctx, cfg, "setup", stderr)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	s, err := takeSurvey(ctx, conn, cfg, w.role, w.roles()...)
	if err != nil {
		return err
	}
	p, err := planSetup(s, w)
	if err != nil {
		return err
	}
	p.writeNotes(stderr)
	if len(p.problems) > 0 {
		return p.reportProblems(stderr)
	}
	if !f.apply {
		out := bufio.NewWriter(stdout)
		p.writeScript(out, "setup", s, f.lockTimeout)
		return out.Flush()
	}
	replan := func() (*plan, error) {
		s, err := takeSurvey(ctx, conn, cfg, w.role, w.roles()...)
		if err != nil {
			return nil, err
		}
		return planSetup(s, w)
	}
	a := application{command: "setup", conn: conn, lockTimeout: f.lockTimeout, out: stdout, notes: stderr, replan: replan}
	return a.run(ctx, p)
}
