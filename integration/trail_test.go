//go:build integration

package integration

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"

	"pgwitness/integration/ledger"
	"pgwitness/integration/product"
	"pgwitness/integration/servers"
	"pgwitness/integration/topics"
)

// A trail is one test's product: a database, a Kafka, and names that no other test has.
type trail struct {
	*servers.Database
	kafka        *servers.Kafka
	reader       *topics.Reader
	prefix, slot string   // the publication and the role are called as the slot
	settings     []string // further environment of the product
}

const rolePassword = "role-secret"

// newTrail makes a database on the shared servers.
func newTrail(t *testing.T, version int) *trail {
	t.Helper()
	return newTrailOn(t, servers.SharedPostgres(t, version), servers.SharedKafka(t))
}

func newTrailOn(t *testing.T, p *servers.Postgres, k *servers.Kafka) *trail {
	t.Helper()
	tr := &trail{kafka: k, reader: topics.NewReader(k.Bootstrap()), prefix: servers.Unique("p"), slot: servers.Unique("w")}
	t.Cleanup(tr.reader.Close)
	t.Cleanup(func() { dropRole(t, p, tr.slot) }) // runs after the database is gone
	tr.Database = p.NewDatabase(t)
	return tr
}

func dropRole(t *testing.T, p *servers.Postgres, role string) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, p.URL("postgres"))
	if err != nil {
		return // a test that left its server stopped
	}
	defer c.Close(ctx)
	c.Exec(ctx, "drop owned by "+role) // its rights on settings; no matter if there is no such role
	if _, err := c.Exec(ctx, "drop role if exists "+role); err != nil {
		t.Errorf("drop role %s: %v", role, err)
	}
}

// setup runs `pgwitness setup --apply` as the superuser for tables such as "public.*".
func (tr *trail) setup(t *testing.T, tables string, args ...string) {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(secret, []byte(rolePassword), 0o600); err != nil {
		t.Fatal(err)
	}
	args = append([]string{"setup", "--apply", "--tables", tables, "--role", tr.slot, "--role-password-file", secret}, args...)
	r := product.Run(t, time.Minute, append(tr.names(), "PGWITNESS_SOURCE_URL="+tr.URL()), args...)
	if r.Code != 0 {
		t.Fatalf("setup: exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
}

// names is the environment that every command shares.
func (tr *trail) names() []string {
	return append([]string{
		"PGWITNESS_SOURCE_SLOT=" + tr.slot, "PGWITNESS_SOURCE_PUBLICATION=" + tr.slot,
		"PGWITNESS_KAFKA_BROKERS=" + strings.Join(tr.kafka.Bootstrap(), ","), "PGWITNESS_KAFKA_PREFIX=" + tr.prefix,
	}, tr.settings...)
}

// environment is that of run, which connects as the role that setup has made.
func (tr *trail) environment() []string {
	return append(tr.names(), "PGWITNESS_SOURCE_URL="+tr.URLAs(tr.slot, rolePassword))
}

// run starts `pgwitness run`.
func (tr *trail) run(t *testing.T, args ...string) *product.Process {
	t.Helper()
	return product.Start(t, tr.environment(), append([]string{"run"}, args...)...)
}

// catchUp runs `pgwitness run --until` the position that the server has reached.
func (tr *trail) catchUp(t *testing.T, limit time.Duration) {
	t.Helper()
	if r := tr.run(t, "--until", tr.position(t).String()).Wait(t, limit); r.Code != 0 {
		t.Fatalf("run --until: exit code %d\n%s", r.Code, r.Stderr)
	}
}

// position is the server's, behind everything that is committed.
func (tr *trail) position(t *testing.T) pglogrepl.LSN {
	t.Helper()
	return lsn(t, tr.Text(t, "select pg_current_wal_insert_lsn()"))
}

// confirmed is what the slot has been told.
func (tr *trail) confirmed(t *testing.T) pglogrepl.LSN {
	t.Helper()
	return lsn(t, tr.Text(t, "select confirmed_flush_lsn from pg_replication_slots where slot_name = $1", tr.slot))
}

func lsn(t *testing.T, text string) pglogrepl.LSN {
	t.Helper()
	pos, err := pglogrepl.ParseLSN(text)
	if err != nil {
		t.Fatal(err)
	}
	return pos
}

// awaitConfirmed waits until the slot has been told of everything that is committed now.
func (tr *trail) awaitConfirmed(t *testing.T, limit time.Duration) {
	t.Helper()
	target := tr.position(t)
	var pos pglogrepl.LSN
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if pos = tr.confirmed(t); pos >= target {
			return
		}
	}
	t.Fatalf("the slot stands at %s after %s, the server at %s", pos, limit, target)
}

// topics reads all that is in the trail's topics.
func (tr *trail) topics(t *testing.T) []topics.Partition {
	t.Helper()
	partitions, err := tr.reader.ReadAll(t.Context(), tr.prefix)
	if err != nil {
		t.Fatal(err)
	}
	return partitions
}

// records reads what the topics of the tables hold, in the order of topic, partition and offset.
func (tr *trail) records(t *testing.T) []ledger.Record {
	t.Helper()
	var all []ledger.Record
	for _, p := range tr.topics(t) {
		if !strings.Contains(strings.TrimPrefix(p.Topic, tr.prefix+"."), ".") {
			continue // control, who, message
		}
		for _, raw := range p.Records {
			rec, err := ledger.Parse(raw)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, rec)
		}
	}
	return all
}

// audited puts the audit trigger on tables, and remembers the order of commits from now on.
func (tr *trail) audited(t *testing.T, tables ...string) {
	t.Helper()
	c := tr.Connect(t)
	if err := ledger.InstallAudit(t.Context(), c, tr.slot+"_audit"); err != nil {
		t.Fatal(err)
	}
	if err := ledger.Audit(t.Context(), c, tables...); err != nil {
		t.Fatal(err)
	}
}

// judge holds the topics against the books and fails the test for what is wrong.
func (tr *trail) judge(t *testing.T) *ledger.Books {
	t.Helper()
	books, err := ledger.ReadBooks(t.Context(), tr.Connect(t), tr.slot+"_audit")
	if err != nil {
		t.Fatal(err)
	}
	failures, err := ledger.Judge(t.Context(), books, tr.reader, tr.prefix, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range failures {
		if i == 20 {
			t.Errorf("… %d failures in all", len(failures))
			break
		}
		t.Error(f)
	}
	t.Logf("%d changes in %d transactions", len(books.Changes), len(books.Commits))
	return books
}

// summary is a record in a few words.
func summary(r ledger.Record) string {
	return fmt.Sprintf("%s %s.%s %s -> %s", r.Op, r.Schema, r.Table, orDash(r.Before), orDash(r.After))
}

func orDash(image []byte) string {
	if len(image) == 0 || string(image) == "null" {
		return "-"
	}
	return string(image)
}
