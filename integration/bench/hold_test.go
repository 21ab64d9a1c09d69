//go:build integration

package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"pgwitness/integration/process"
	"pgwitness/integration/product"
	"pgwitness/integration/servers"
)

// A cost is a server under pgbench's load of single-row updates, and what it pays for being witnessed.
type cost struct {
	*servers.Database
	kafka    *servers.Kafka
	slot     string
	password string   // file
	work     []string // what pgbench does: its arguments
	settings []string // PGOPTIONS of the load
	clients  int
	other    debeziumSource
}

const (
	accounts = 100_000
	loadTime = 5 * time.Second
)

// A way is one of those that are compared. begin prepares it, and returns what ends it.
type way struct {
	name  string
	begin func(*cost, *testing.B) (end func())
}

var ways = []way{
	{"none", func(*cost, *testing.B) func() { return func() {} }},
	{"pg_recvlogical", (*cost).recvlogical},
	{"no-hold", func(c *cost, b *testing.B) func() { return c.run(b) }},
	{"pg_receivewal", (*cost).receivewal},
	{"remote_write", func(c *cost, b *testing.B) func() { return c.hold(b, "remote_write") }},
	{"on", func(c *cost, b *testing.B) func() { return c.hold(b, "on") }},
	{"trigger", (*cost).trigger},
	{"on-500-idle", (*cost).crowded},
}

// BenchmarkHold measures transactions a second under each way, in turn, an iteration a round.
func BenchmarkHold(b *testing.B) {
	for _, clients := range []int{1, 8, 32} {
		b.Run(fmt.Sprint(clients), func(b *testing.B) {
			c := newCost(b, clients)
			all := map[string][]float64{}
			chosen := chosenWays()
			for b.Loop() {
				for _, w := range chosen {
					end := w.begin(c, b)
					all[w.name] = append(all[w.name], c.load(b))
					end()
				}
			}
			ratio := func(of, to string) {
				var list []float64
				for i := range min(len(all[of]), len(all[to])) {
					list = append(list, all[of][i]/all[to][i])
				}
				if len(list) > 0 {
					b.ReportMetric(median(list), of+"/"+to)
				}
			}
			for _, w := range chosen {
				b.ReportMetric(median(all[w.name]), w.name+"-tps")
				b.Logf("%s: tps, each round: %.0f", w.name, all[w.name])
			}
			ratio("no-hold", "pg_recvlogical")
			ratio("remote_write", "pg_receivewal")
			ratio("on", "pg_receivewal")
			ratio("on", "none")
			ratio("on", "trigger")
			ratio("on-500-idle", "on")
		})
	}
}

// chosenWays are those that WAYS names, such as on,pg_receivewal; all of them without it.
func chosenWays() []way {
	names := os.Getenv("WAYS")
	if names == "" {
		return ways
	}
	return slices.DeleteFunc(slices.Clone(ways), func(w way) bool { return !slices.Contains(strings.Split(names, ","), w.name) })
}

func newCost(b *testing.B, clients int) *cost {
	if _, err := exec.LookPath("pgbench"); err != nil {
		b.Fatal("pgbench is not installed (Debian: apt-get install postgresql-15)")
	}
	p := servers.StartPostgres(b, 15, append(preloaded(b), "max_connections=700")...) // a newer one refuses the pg_receivewal of Debian 12
	c := &cost{Database: p.NewDatabase(b), kafka: servers.StartKafka(b, 1, patient), slot: servers.Unique("w"), clients: clients}
	c.Exec(b, "create table account (id int primary key, balance int not null default 0, filler text default repeat('x', 80))",
		fmt.Sprintf("insert into account select n from generate_series(1, %d) n", accounts))
	dir := b.TempDir()
	script := filepath.Join(dir, "script")
	c.password, c.work = filepath.Join(dir, "password"), []string{"-f", script}
	for file, text := range map[string]string{
		c.password: "secret",
		script:     fmt.Sprintf("\\set id random(1, %d)\nupdate account set balance = balance + 1 where id = :id;\n", accounts),
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	c.setup(b)
	return c
}

// setup prepares the source; with --hold a second time once the witness streams.
func (c *cost) setup(b *testing.B, args ...string) {
	args = append([]string{"setup", "--apply", "--tables", "public.*", "--role", c.slot, "--role-password-file", c.password}, args...)
	if r := product.Run(b, time.Minute, c.names(c.URL()), args...); r.Code != 0 {
		b.Fatalf("setup: %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
}

func (c *cost) names(source string) []string {
	return []string{
		"PGWITNESS_SOURCE_URL=" + source, "PGWITNESS_SOURCE_SLOT=" + c.slot, "PGWITNESS_SOURCE_PUBLICATION=" + c.slot,
		"PGWITNESS_KAFKA_BROKERS=" + strings.Join(c.kafka.Bootstrap(), ","), "PGWITNESS_KAFKA_PREFIX=" + c.slot,
	}
}

// load runs pgbench, after a moment to warm up.
func (c *cost) load(b *testing.B) float64 {
	out, err := c.pgbench("-T", strconv.Itoa(int(loadTime.Seconds()))).CombinedOutput()
	if err != nil {
		b.Fatalf("pgbench: %v\n%s", err, out)
	}
	found := regexp.MustCompile(`tps = ([0-9.]+)`).FindSubmatch(out)
	if found == nil {
		b.Fatalf("pgbench says no rate:\n%s", out)
	}
	tps, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil {
		b.Fatal(err)
	}
	return tps
}

// pgbench is the load, with these arguments.
func (c *cost) pgbench(args ...string) *exec.Cmd {
	cmd := exec.Command("pgbench", slices.Concat([]string{"-n", "-M", "prepared", "-c", strconv.Itoa(c.clients), "-j", "2"}, c.work, args, []string{c.local()})...)
	cmd.Env = append(os.Environ(), "PGOPTIONS="+strings.Join(c.settings, " "))
	return cmd
}

// local is the database by its unix socket, where it has one.
func (c *cost) local() string {
	if c.Server.SockDir == "" {
		return c.URL()
	}
	config, err := pgx.ParseConfig(c.URL())
	if err != nil {
		return c.URL()
	}
	return fmt.Sprintf("host=%s port=%d user=%s password=%s dbname=%s", c.Server.SockDir, config.Port, config.User, config.Password, config.Database)
}

func (c *cost) run(b *testing.B, args ...string) (end func()) {
	source := c.URLAs(c.slot, "secret")
	run := product.Start(b, c.names(source), append([]string{"run"}, args...)...)
	c.await(b, "select exists (select from pg_replication_slots where slot_name = $1 and active)", c.slot)
	return func() {
		if r := run.Stop(b, 30*time.Second); r.Code != 0 {
			b.Fatalf("run: %d\n%s", r.Code, r.Stderr)
		}
		c.await(b, "select not exists (select from pg_replication_slots where slot_name = $1 and active)", c.slot)
	}
}

func (c *cost) await(b *testing.B, question string, args ...any) {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if c.Text(b, "select ("+question+")::text", args...) == "true" {
			return
		}
	}
	b.Fatalf("not within a minute: %s", question)
}

func (c *cost) hold(b *testing.B, level string) (end func()) {
	c.setup(b, "--hold")
	stop := c.run(b, "--hold")
	c.await(b, "select exists (select from pg_stat_replication where application_name = $1 and state = 'streaming')", c.slot+"_witness")
	c.setup(b, "--hold")
	c.await(b, "select exists (select from pg_stat_replication where application_name = $1 and sync_state = 'sync')", c.slot+"_witness")
	c.settings = []string{"-c synchronous_commit=" + level}
	return func() {
		c.settings = nil
		stop() // gives hold up
		c.await(b, "select current_setting('synchronous_standby_names') = ''")
	}
}

// crowded is hold beside 500 sessions that do nothing.
func (c *cost) crowded(b *testing.B) (end func()) {
	var idle []*pgx.Conn
	for range 500 {
		conn, err := pgx.Connect(b.Context(), c.URL())
		if err != nil {
			b.Fatal(err)
		}
		idle = append(idle, conn)
	}
	stop := c.hold(b, "on")
	return func() {
		stop()
		for _, conn := range idle {
			conn.Close(b.Context())
		}
	}
}

func (c *cost) recvlogical(b *testing.B) (end func()) {
	slot := servers.Unique("r")
	c.Exec(b, fmt.Sprintf("select pg_create_logical_replication_slot('%s', 'pgoutput')", slot))
	stop := c.program(b, "pg_recvlogical", "-d", c.URL(), "--slot", slot, "--start", "-f", os.DevNull, "-o", "proto_version=1", "-o", "publication_names="+c.slot)
	c.await(b, "select exists (select from pg_replication_slots where slot_name = $1 and active)", slot)
	return func() {
		stop()
		c.drop(b, slot)
	}
}

// receivewal is what any synchronous standby costs, beside the same capture.
func (c *cost) receivewal(b *testing.B) (end func()) {
	stopRun := c.run(b)
	slot := servers.Unique("s")
	c.Exec(b, fmt.Sprintf("select pg_create_physical_replication_slot('%s', true)", slot))
	stop := c.program(b, "pg_receivewal", "-d", c.URL()+"&application_name=receiver", "-D", b.TempDir(), "-S", slot, "--synchronous")
	c.await(b, "select exists (select from pg_stat_replication where application_name = 'receiver' and state = 'streaming')")
	c.Exec(b, "alter system set synchronous_standby_names = 'receiver'", "select pg_reload_conf()")
	c.await(b, "select exists (select from pg_stat_replication where application_name = 'receiver' and sync_state = 'sync')")
	return func() {
		c.Exec(b, "alter system reset synchronous_standby_names", "select pg_reload_conf()")
		c.await(b, "select current_setting('synchronous_standby_names') = ''")
		stop()
		c.drop(b, slot)
		stopRun()
	}
}

func (c *cost) drop(b *testing.B, slot string) {
	c.await(b, "select not active from pg_replication_slots where slot_name = $1", slot)
	c.Exec(b, fmt.Sprintf("select pg_drop_replication_slot('%s')", slot))
}

// program runs one of PostgreSQL's clients until the function that it returns is called.
func (c *cost) program(b *testing.B, name string, args ...string) (stop func()) {
	path, err := exec.LookPath(name)
	if err != nil {
		b.Fatalf("%s is not installed (Debian: apt-get install postgresql-client)", name)
	}
	p, err := process.Start(process.Command{Path: path, Args: args})
	if err != nil {
		b.Fatal(err)
	}
	return func() {
		if err := p.Kill(); err != nil {
			b.Fatal(err)
		}
	}
}

// trigger is the audit trigger that people come from, with nothing else running.
func (c *cost) trigger(b *testing.B) (end func()) {
	c.Exec(b, `create table audit_log (table_name text, action text, changed_by text, changed_at timestamptz, old_data json, new_data json)`,
		`create function audit() returns trigger language plpgsql as $$ begin
			insert into audit_log values (tg_table_name, tg_op, session_user, now(), row_to_json(old), row_to_json(new)); return null; end $$`,
		`do $$ declare t text; begin for t in select tablename from pg_publication_tables loop
			execute format('create trigger audit after insert or update or delete on %I for each row execute function audit()', t);
		end loop; end $$`)
	return func() { c.Exec(b, "drop table audit_log", "drop function audit() cascade") }
}
