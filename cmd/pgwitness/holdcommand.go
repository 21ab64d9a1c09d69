package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/spf13/cobra"

	"pgwitness/capture"
)

const holdOffLong = `Takes the witness (--slot with _witness) out of synchronous_standby_names, at once and for the whole
cluster, and frees the commits that wait for it. It needs no Kafka and no running pgwitness, and does no
harm where hold is off already. Other standbys of the list stay.

It needs a superuser, or a role with ALTER SYSTEM on synchronous_standby_names (PostgreSQL 15 and later)
and EXECUTE on pg_reload_conf: the one of pgwitness run has them after setup --hold. When no connection
is left, superusers still get in. Hold is on again after pgwitness setup --hold --apply.`

const holdOnLong = `Puts the witness (--slot with _witness) into synchronous_standby_names, so that every commit of the
cluster waits for it, beside the other standbys of the list. It must be streaming: start pgwitness run
--hold first. What else hold needs is the business of pgwitness setup --hold, which does this too.`

func newHoldCommand(cfg *config) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "hold",
		Short: "Free the commits that wait for pgwitness, or let them wait",
		Args:  noArguments,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use:     "off",
		Short:   "Free the commits that wait for pgwitness, now and from now on",
		Long:    holdOffLong,
		Example: "  pgwitness hold off --source postgres://postgres@db/postgres",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return switchHold(cmd.Context(), cfg, "off", cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}, &cobra.Command{
		Use:   "on",
		Short: "Let the commits of the cluster wait for pgwitness, which must be streaming",
		Long:  holdOnLong,
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return switchHold(cmd.Context(), cfg, "on", cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	})
	return cmd
}

func switchHold(ctx context.Context, cfg *config, to string, stdout, stderr io.Writer) error {
	name := witnessName(cfg.Source.Slot)
	if name == "" {
		return usagef("--slot %s is longer than %d bytes: it has no witness", cfg.Source.Slot, longestHeldSlot)
	}
	conn, err := connect(ctx, cfg, "hold "+to, stderr)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if to == "off" {
		return runHoldOff(ctx, conn, name, stdout)
	}
	if err := holdOn(ctx, conn, name); err != nil {
		return explainHold(err)
	}
	now, _, err := readStandbys(ctx, conn)
	if err == nil {
		fmt.Fprintf(stdout, "hold is on: synchronous_standby_names is %s\n", listText(now))
	}
	return err
}

func runHoldOff(ctx context.Context, conn *pgx.Conn, name string, stdout io.Writer) error {
	waited, err := waitingSessions(ctx, conn)
	if err != nil {
		return err
	}
	former, err := holdOff(ctx, conn, name)
	if err != nil {
		return explainHold(err)
	}
	now, _, err := readStandbys(ctx, conn)
	if err != nil {
		return err
	}
	if now == former {
		fmt.Fprintf(stdout, "nothing to do: %s is not in synchronous_standby_names, which is %s\n", name, listText(now))
		return hintOthers(now, stdout)
	}
	fmt.Fprintf(stdout, "hold is off: synchronous_standby_names was %s and is %s\n", listText(former), listText(now))
	return reportFreed(ctx, conn, waited, now, stdout)
}

// hintOthers names the slots of other witnesses that the list seems to have.
func hintOthers(list string, stdout io.Writer) error {
	l, err := parseStandbys(list)
	for _, name := range l.names {
		if slot, ok := strings.CutSuffix(foldName(name), capture.WitnessSuffix); ok {
			fmt.Fprintf(stdout, "if %s is a witness too: pgwitness hold off --slot %s\n", printable(name), printable(slot))
		}
	}
	return err
}

// explainHold adds to the server's refusal who may.
func explainHold(err error) error {
	var pe *pgconn.PgError
	if errors.As(err, &pe) && pe.Code == insufficientPrivilege {
		return fmt.Errorf("%w; needs: superuser; from 15 on, a role with ALTER SYSTEM on synchronous_standby_names and EXECUTE on pg_reload_conf", err)
	}
	if errors.Is(err, errCommandLine) {
		return fmt.Errorf("%w; until then pg_cancel_backend frees a waiting session: its commit stands", err)
	}
	return err
}

// A waiting session is one whose transaction is committed here and waits for a standby.
type waiting struct {
	pid   int
	since int64 // microseconds: its state's beginning tells this wait from a later one
}

// waitingSessions lists those that the role may see.
func waitingSessions(ctx context.Context, conn *pgx.Conn) ([]waiting, error) {
	rows, err := conn.Query(ctx, `
		select pid, (extract(epoch from state_change) * 1000000)::bigint from pg_stat_activity
		 where wait_event = 'SyncRep' and state_change is not null`)
	if err == nil {
		var list []waiting
		list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (w waiting, err error) {
			return w, row.Scan(&w.pid, &w.since)
		})
		if err == nil {
			return list, nil
		}
	}
	return nil, fmt.Errorf("look who waits: %w", err)
}

// freedTime is how long the checkpointer, or other standbys, may take to release those that waited.
const freedTime = 10 * time.Second

// reportFreed says what became of those that waited.
func reportFreed(ctx context.Context, conn *pgx.Conn, waited []waiting, list string, stdout io.Writer) error {
	left := 0
	for deadline := time.Now().Add(freedTime); ; time.Sleep(50 * time.Millisecond) {
		now, err := waitingSessions(ctx, conn)
		if err != nil {
			return err
		}
		still := map[waiting]bool{}
		for _, w := range now {
			still[w] = true
		}
		left = 0
		for _, w := range waited {
			if still[w] {
				left++
			}
		}
		if left == 0 || time.Now().After(deadline) {
			break
		}
	}
	switch {
	case len(waited) == 0:
		var all bool
		if err := conn.QueryRow(ctx, "select pg_has_role('pg_read_all_stats', 'USAGE')").Scan(&all); err != nil {
			return err
		}
		if !all {
			fmt.Fprintf(stdout, "who waited cannot be seen: the role is no member of pg_read_all_stats\n")
			return nil
		}
		fmt.Fprintf(stdout, "no session waited\n")
	case left == 0:
		fmt.Fprintf(stdout, "sessions that waited and are free: %d\n", len(waited))
	case list == "":
		fmt.Fprintf(stdout, "sessions that waited and are free: %d; still waiting: %d, until the checkpointer has read the setting\n", len(waited)-left, left)
	default:
		fmt.Fprintf(stdout, "sessions that waited and are free: %d; still waiting: %d, for other standbys of the list\n", len(waited)-left, left)
	}
	return nil
}
