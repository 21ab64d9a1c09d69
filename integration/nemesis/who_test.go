//go:build integration

package nemesis

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"pgwitness/integration/topics"
)

// whoBooksSQL has the books say who made each transaction, in the transaction's own words. Every transaction of the
// workload that leaves a trace is in one of the three tables.
const whoBooksSQL = `
alter table audit.audit_log add column pid int default pg_backend_pid(), add column application text default current_setting('application_name');
create table books.signature (xid bigint default pg_current_xact_id()::text::bigint, role text default session_user,
	pid int default pg_backend_pid(), application text default current_setting('application_name'));
alter table books.message add column xid bigint default pg_current_xact_id()::text::bigint, add column role text default session_user,
	add column pid int default pg_backend_pid(), add column application text default current_setting('application_name');
`

// A maker is who made a transaction. The application's name is that of this transaction alone: sessions change it with
// each one.
type maker struct {
	User        string `json:"user"`
	PID         int32  `json:"pid"`
	Application string `json:"application"`
}

// readMakers reads the truth of each transaction.
func readMakers(ctx context.Context, c *pgx.Conn) (map[uint64]maker, error) {
	rows, err := c.Query(ctx, `select xid, changed_by, pid, application from audit.audit_log
		union select xid, role, pid, application from books.signature
		union select xid, role, pid, application from books.message`)
	if err != nil {
		return nil, err
	}
	makers := make(map[uint64]maker)
	var xid uint64
	var m maker
	_, err = pgx.ForEachRow(rows, []any{&xid, &m.User, &m.PID, &m.Application}, func() error {
		if other, twice := makers[xid]; twice {
			return fmt.Errorf("the books name two makers of transaction %d: %v and %v", xid, other, m)
		}
		makers[xid] = m
		return nil
	})
	return makers, err
}

// An identification holds each record's actor against the books. What must hold: a named actor is never wrong, and under
// hold every transaction whose commit the client saw succeed is attributed. The others are those whose commit stands
// although the session did not wait to the end: the server crashed or was stopped, or the session was killed, ended or
// cancelled in its wait. Nobody waits in their place, so whether they have a name depends on who was quicker.
type identification struct {
	hold         bool
	makers       map[uint64]maker
	acknowledged map[string]bool    // by application
	enders       map[string][]maker // of prepared transactions

	verdicts map[uint64]string // of each transaction, one of the following
	bad      []string
}

const (
	attributed = "attributed"
	sampled    = "sampled"
	unknown    = "unknown: " // and the reason
	exempt     = "exempt: "  // and the reason
)

// An actor is what the judge looks at.
type actor struct {
	maker
	Evidence    string          `json:"evidence"`
	Reason      string          `json:"reason"`
	Client      string          `json:"client"`
	BackendType string          `json:"backend_type"`
	Start       string          `json:"session_start"`
	Context     json.RawMessage `json:"context"`
	GID         string          `json:"gid"`
	Committer   *maker          `json:"committer"`
}

func (i *identification) note(raw topics.Record) error {
	var r struct {
		ID    string `json:"id"`
		Actor *actor `json:"actor"`
		Tx    struct {
			XID uint64 `json:"xid"`
		} `json:"tx"`
	}
	if err := json.Unmarshal(raw.Value, &r); err != nil {
		return err
	}
	if r.Tx.XID == 0 {
		return nil // no transaction's
	}
	verdict, fault := i.verdict(r.Actor, r.Tx.XID)
	if fault != "" {
		i.bad = append(i.bad, fmt.Sprintf("actor of %s, transaction %d: %s", r.ID, r.Tx.XID, fault))
		return nil
	}
	if i.verdicts == nil {
		i.verdicts = make(map[uint64]string)
	}
	i.verdicts[r.Tx.XID] = verdict
	return nil
}

// verdict judges one actor.
func (i *identification) verdict(a *actor, xid uint64) (verdict, fault string) {
	truth, booked := i.makers[xid]
	switch {
	case a == nil:
		return "", "there is none"
	case !booked:
		return "", "the books do not know its maker"
	case a.Context != nil:
		return "", "a context, and nobody gave one"
	case a.Committer != nil && !slices.Contains(i.enders[a.GID], *a.Committer):
		return "", fmt.Sprintf("wrong: %q was committed by %v, in truth by one of %v", a.GID, *a.Committer, i.enders[a.GID])
	case a.Evidence == "none":
		return i.unnamed(a, truth)
	case a.Evidence != "sample" && (a.Evidence != "hold" || !i.hold):
		return "", fmt.Sprintf("evidence %q", a.Evidence)
	case a.maker != truth:
		return "", fmt.Sprintf("wrong: by %s it was %v, in truth %v", a.Evidence, a.maker, truth)
	case a.Client == "" || a.BackendType != "client backend" || a.Start == "":
		return "", fmt.Sprintf("incomplete: %+v", *a)
	case a.Evidence == "hold":
		return attributed, ""
	case i.hold && i.acknowledged[truth.Application]:
		return "", fmt.Sprintf("unattributed: only seen by sampling, and %v saw its commit succeed", truth)
	}
	return sampled, ""
}

// reasons are what may be said of a transaction of a round with hold.
var reasons = []string{"not waiting when looked up", "released before a restart", "look-up failed"}

func (i *identification) unnamed(a *actor, truth maker) (verdict, fault string) {
	switch {
	case !i.hold:
		return unknown + a.Reason, ""
	case i.acknowledged[truth.Application]:
		return "", fmt.Sprintf("unattributed: %q, and %v saw its commit succeed", a.Reason, truth)
	case !slices.Contains(reasons, a.Reason):
		return "", fmt.Sprintf("%q is no reason for %v", a.Reason, truth)
	}
	return exempt + a.Reason, ""
}

// counts says how many transactions have which verdict.
func (i *identification) counts() map[string]int {
	counts := make(map[string]int)
	for _, v := range i.verdicts {
		counts[v]++
	}
	return counts
}

// judge tells what is wrong.
func (i *identification) judge() []string {
	faults := i.bad
	if len(faults) > 20 {
		faults = append(faults[:20:20], fmt.Sprintf("… and %d more actors", len(faults)-20))
	}
	return faults
}

// listed shows counts.
func listed(counts map[string]int) string {
	var parts []string
	for _, v := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d %s", counts[v], v))
	}
	return strings.Join(parts, ", ")
}
