package main

import (
	"bufio"
	"context"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const teardownLong = `Prints what it would remove, as a script for psql: hold first, so that no commit waits, then the
slots, so that the server keeps no log for them any more, then the rest. With --apply it does it, statement by statement, and verifies.
The trail ends there: changes that the slot still held are not delivered. Kafka's topics stay.`

// teardownFlags are the flags of teardown alone.
type teardownFlags struct {
	role          string
	dropRole      bool
	resetIdentity bool
	unheldRoles   []string
	apply         bool
	lockTimeout   time.Duration
}

func newTeardownCommand(cfg *config) *cobra.Command {
	var f teardownFlags
	cmd := &cobra.Command{
		Use:   "teardown",
		Short: "Remove from a source what setup made",
		Long:  teardownLong,
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runTeardown(cmd.Context(), cfg, f, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVar(&f.resetIdentity, "reset-identity", false, "set the published tables' replica identity back to default")
	rolesFlag(flags, &f.unheldRoles, "unheld-roles", "set synchronous_commit of these `roles` back, where it is local")
	flags.BoolVar(&f.dropRole, "drop-role", false, "drop the role, too")
	flags.StringVar(&f.role, "role", "pgwitness", "`name` of the role that --drop-role drops")
	flags.DurationVar(&f.lockTimeout, "lock-timeout", 5*time.Second, "give up on a table that is locked for longer than this `duration`")
	flags.BoolVar(&f.apply, "apply", false, "do it instead of printing it")
	return cmd
}

func runTeardown(ctx context.Context, cfg *config, f teardownFlags, stdout, stderr io.Writer) error {
	if f.lockTimeout < time.Millisecond {
		return usagef("--lock-timeout: %q is not allowed; allowed: 1ms or more", f.lockTimeout)
	}
	conn, err := connect(ctx, cfg, "teardown", stderr)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	s, err := takeSurvey(ctx, conn, cfg, f.role)
	if err != nil {
		return err
	}
	// The tables are those of the first look: when the publication is gone, nobody knows any more which they were.
	published := publishedTables(s)
	p := planTeardown(s, cfg, f, published)
	p.writeNotes(stderr)
	if len(p.problems) > 0 {
		return p.reportProblems(stderr)
	}
	if !f.apply {
		out := bufio.NewWriter(stdout)
		p.writeScript(out, "teardown", s, f.lockTimeout)
		return out.Flush()
	}
	replan := func() (*plan, error) {
		s, err := takeSurvey(ctx, conn, cfg, f.role)
		if err != nil {
			return nil, err
		}
		return planTeardown(s, cfg, f, published), nil
	}
	a := application{command: "teardown", conn: conn, lockTimeout: f.lockTimeout, out: stdout, notes: stderr, replan: replan}
	return a.run(ctx, p)
}

// publishedTables are the oids of the tables that the publication publishes.
func publishedTables(s *survey) map[uint32]bool {
	oids := map[uint32]bool{}
	for _, t := range s.tables {
		if t.published {
			oids[t.oid] = true
		}
	}
	return oids
}

// planTeardown goes the way of setup backwards. Only what exists is in the plan.
func planTeardown(s *survey, cfg *config, f teardownFlags, published map[uint32]bool) *plan {
	p := &plan{}
	off := p.takeHoldOff(s)
	slot := p.dropSlot(s, cfg, off)
	p.dropWitness(s, f, off)
	p.dropTriggers(s, cfg, slot)
	if s.publication != nil {
		p.add(&step{
			about:    "The publication. Without it a slot that still existed could not be read any more.",
			subject:  "publication " + displayPart(cfg.Source.Publication),
			sql:      "drop publication " + quoteIdent(cfg.Source.Publication),
			needs:    "the owner of the publication",
			requires: slot,
		})
	}
	for _, t := range s.tables {
		if f.resetIdentity && published[t.oid] && t.identity == "f" {
			p.add(&step{
				about:   "Replica identity default: the log carries the key of an old row only.",
				subject: "replica identity of " + t.String(),
				sql:     "alter table only " + quoteIdent(t.schema, t.name) + " replica identity default",
				needs:   "the owner of the table",
				oid:     t.oid,
			})
		}
	}
	if f.dropRole {
		p.dropRole(s, f.role)
	}
	return p
}

func (p *plan) dropSlot(s *survey, cfg *config, off *step) *step {
	name := cfg.Source.Slot
	switch k := s.slot; {
	case k == nil:
		return off
	case k.active:
		p.refuse("stop pgwitness run first", "slot %s is in use by %s", name, printable(k.holder))
	case k.plugin != "pgoutput" || k.database != s.database:
		p.refuse("name the slot with --slot", "slot %s is not pgwitness's: plugin %q, database %q", name, k.plugin, k.database)
	default:
		p.note("what slot %s has not delivered, %s of log, is not delivered any more", name, bytesText(k.behindBytes))
	}
	return p.add(&step{
		about:    "The slot: the server keeps no log for it any more. The trail ends here.",
		subject:  "slot " + name,
		sql:      "select pg_drop_replication_slot(" + quoteLiteral(name) + ")",
		needs:    "superuser, or a role with REPLICATION",
		requires: off,
	})
}

func (p *plan) dropRole(s *survey, role string) {
	if s.role == nil {
		return
	}
	if s.me.name == role {
		p.refuse("connect as another role with --source", "role %s cannot drop itself", displayPart(role))
		return
	}
	var revoke *step
	for _, grant := range s.role.grantedHold {
		revoke = p.add(&step{
			about:    "The role's right to give hold up, without which it could not be dropped.",
			subject:  "right of role " + displayPart(role) + " to " + strings.TrimPrefix(grant, "execute on function pg_catalog."),
			sql:      "revoke " + grant + " from " + quoteIdent(role),
			needs:    "superuser",
			requires: revoke,
		})
	}
	if s.role.granted {
		revoke = p.add(&step{
			about:    "The role's right to connect to this database, without which it could not be dropped.",
			subject:  "rights of role " + displayPart(role) + " on the database",
			sql:      "revoke all on database " + quoteIdent(s.database) + " from " + quoteIdent(role),
			needs:    "the owner of the database",
			requires: revoke,
		})
	}
	p.add(&step{
		about:    "The role. The server refuses while it owns anything or has rights in another database.",
		subject:  "role " + displayPart(role),
		sql:      "drop role " + quoteIdent(role),
		needs:    "superuser; from 16 on, a role with CREATEROLE and the ADMIN option on it",
		requires: revoke,
	})
}
