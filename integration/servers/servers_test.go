//go:build integration

package servers

import (
	"fmt"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

// TestEveryVersion is the first that "make test" runs: it shows where the servers come from.
func TestEveryVersion(t *testing.T) {
	for _, version := range Versions {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			d := SharedPostgres(t, version).NewDatabase(t)
			t.Logf("%s", d.Text(t, "select version()"))
			if got := d.Text(t, "select current_setting('wal_level')"); got != "logical" {
				t.Errorf("wal_level = %s", got)
			}
		})
	}
	if err := SharedKafka(t).ready(); err != nil {
		t.Error(err)
	}
}

func TestPostgresEnds(t *testing.T) {
	p := StartPostgres(t, 18)
	d := p.NewDatabase(t)
	d.Exec(t, "create table t(n int)")
	disturb := map[string]func(){
		"kill":    func() { p.Kill(t); p.Start(t) },
		"fast":    func() { p.Restart(t, Fast) },
		"instant": func() { p.Restart(t, Immediate) },
		"pause":   func() { p.Pause(t); p.Resume(t) },
	}
	n := 0
	for name, f := range disturb {
		d.Exec(t, "insert into t values (1)")
		n++
		f()
		if got := d.Text(t, "select count(*) from t"); got != fmt.Sprint(n) {
			t.Errorf("after %s: %s rows, want %d", name, got, n)
		}
	}
}

// The witness connects as a standby does.
func TestPhysicalReplicationIsAdmitted(t *testing.T) {
	d := SharedPostgres(t, 18).NewDatabase(t)
	c, err := pgx.Connect(t.Context(), d.URL()+"&replication=true")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	if err := c.PgConn().Exec(t.Context(), "IDENTIFY_SYSTEM").Close(); err != nil {
		t.Error(err)
	}
}

func TestThreeBrokers(t *testing.T) {
	k := StartKafka(t, 3)
	b := k.Brokers[1]
	b.Kill(t)
	if err := k.ask(k.Brokers[0]); err != nil {
		t.Error(err)
	}
	b.Start(t)
	b.Pause(t)
	b.Resume(t)
	b.Stop(t)
	b.Start(t)
	if err := k.ready(); err != nil {
		t.Error(err)
	}
}
