//go:build integration

package bench

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"pgwitness/integration/servers"
)

// auditLibrary is where Debian puts pgAudit; the server of the same major version can load it from there.
const auditLibrary = "/usr/lib/postgresql/15/lib/pgaudit.so"

// sourceWays are all ways whose price the source pays.
var sourceWays = append(slices.Clone(ways[:len(ways)-1]), // without the crowd
	way{"pgaudit", (*cost).audited},
	way{"log_statement", (*cost).logged},
	way{debezium, (*cost).debezium},
)

// BenchmarkSource measures transactions a second under each way, in turn, an iteration a round: of single-row updates and
// of pgbench's TPC-B-like script. WAYS, LOADS and CLIENTS (8) choose.
func BenchmarkSource(b *testing.B) {
	type run struct {
		Load, Way string
		Clients   int
		TPS       []float64 // each round
	}
	r := &report{Name: "source", Columns: []string{"load", "clients", "way", "tx/s", "of nothing"}}
	var runs []run
	chosenWays := chosen(b, "WAYS", sourceWays, func(w way) string { return w.name })
	for _, load := range chosen(b, "LOADS", []string{"updates", "tpcb"}, func(l string) string { return l }) {
		b.Run(load, func(b *testing.B) {
			c := newCost(b, number(b, "CLIENTS", 8))
			if load == "tpcb" {
				c.tpcb(b)
			}
			tps := map[string][]float64{}
			for b.Loop() {
				for _, w := range chosenWays {
					end := w.begin(c, b)
					tps[w.name] = append(tps[w.name], c.load(b))
					end()
				}
			}
			for _, w := range chosenWays {
				var parts []float64
				for i, x := range tps["none"] {
					parts = append(parts, tps[w.name][i]/x)
				}
				r.row(load, fmt.Sprint(c.clients), w.name, spread("%.0f", tps[w.name]), spread("%.2f", parts))
				runs = append(runs, run{load, w.name, c.clients, tps[w.name]})
			}
		})
	}
	r.Runs = runs
	r.publish(b)
}

// tpcb makes pgbench's own tables, captured like the others.
func (c *cost) tpcb(b *testing.B) {
	if out, err := exec.Command("pgbench", "-i", "-q", "-s", "20", c.local()).CombinedOutput(); err != nil {
		b.Fatalf("pgbench -i: %v\n%s", err, out)
	}
	c.work = []string{"-b", "tpcb-like"}
	c.setup(b)
}

// preloaded is the server's setting where pgAudit is among the ways.
func preloaded(b *testing.B) []string {
	if names := os.Getenv("WAYS"); names != "" && !strings.Contains(names, "pgaudit") || !strings.Contains(b.Name(), "Source") {
		return nil
	}
	if _, err := os.Stat(auditLibrary); errors.Is(err, fs.ErrNotExist) {
		b.Fatal("pgAudit is not installed (Debian: apt-get install postgresql-15-pgaudit), and WAYS does not leave it out")
	}
	return []string{"shared_preload_libraries=" + auditLibrary, "pgaudit.log=none"}
}

// audited logs every statement that writes, for each row, by pgAudit.
func (c *cost) audited(b *testing.B) (end func()) {
	return c.set(b, "pgaudit.log = 'write'", "pgaudit.log_rows = on")
}

// logged has the server log every statement.
func (c *cost) logged(b *testing.B) (end func()) { return c.set(b, "log_statement = 'all'") }

// set gives the sessions of the load settings of the database.
func (c *cost) set(b *testing.B, settings ...string) (end func()) {
	for _, s := range settings {
		c.Exec(b, fmt.Sprintf("alter database %s set %s", c.Name, s))
	}
	return func() { c.Exec(b, fmt.Sprintf("alter database %s reset all", c.Name)) }
}

// A debeziumSource is what a cost needs for Debezium's capture beside ours.
type debeziumSource struct {
	connect *connect
	slot    string
	prefix  string
}

// debezium is the same capture by Debezium, with a slot of its own.
func (c *cost) debezium(b *testing.B) (end func()) {
	o := &c.other
	if o.connect == nil {
		o.connect = newConnect(b, c.kafka.Bootstrap())
	}
	o.slot, o.prefix = servers.Unique("z"), servers.Unique("p")
	c.Exec(b, fmt.Sprintf("select pg_create_logical_replication_slot('%s', 'pgoutput')", o.slot))
	stop := o.connect.start(b, settings(b, c.URL(), o.slot, c.slot, o.prefix))
	c.await(b, "select exists (select from pg_replication_slots where slot_name = $1 and active)", o.slot)
	return func() {
		stop()
		c.drop(b, o.slot)
	}
}

// BenchmarkIdentity tells the bytes of log that a change takes, by the table's replica identity: a table of eight columns,
// one change a transaction, without the images of whole pages that follow a checkpoint.
func BenchmarkIdentity(b *testing.B) {
	const changes = 10_000
	p := servers.StartPostgres(b, 18, "full_page_writes=off", "autovacuum=off", "synchronous_commit=off")
	r := &report{Name: "identity", Columns: []string{"replica identity", "insert, bytes of WAL", "update", "delete"}}
	runs := map[string]map[string]int{}
	for b.Loop() {
		for _, identity := range []string{"default", "full", "nothing"} {
			d := p.NewDatabase(b)
			s := shape{columns: eventColumns, tables: 1, step: 1}
			d.Exec(b, s.create(changes)...)
			d.Exec(b, "alter table event_1 replica identity "+identity)
			runs[identity] = map[string]int{}
			for _, do := range []struct{ name, statement string }{
				{"insert", insertEvents}, {"update", updateEvents}, {"delete", "delete from TABLE where id between FIRST and LAST"},
			} {
				s.change = do.statement
				before := d.Text(b, "select pg_current_wal_insert_lsn()")
				d.Exec(b, s.fill(changes))
				var bytes int
				fmt.Sscan(d.Text(b, "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), $1)::bigint", before), &bytes)
				runs[identity][do.name] = bytes / changes
			}
		}
	}
	for _, identity := range []string{"default", "full", "nothing"} {
		r.row(identity, fmt.Sprint(runs[identity]["insert"]), fmt.Sprint(runs[identity]["update"]), fmt.Sprint(runs[identity]["delete"]))
	}
	r.Runs = runs
	r.publish(b)
}
