//go:build integration

package nemesis

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"pgwitness/integration/ledger"
	"pgwitness/integration/product"
	"pgwitness/integration/proxy"
	"pgwitness/integration/servers"
	"pgwitness/integration/topics"
)

func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }

// A world is the servers of many rounds, each behind a proxy.
type world struct {
	kafka   *servers.Kafka
	brokers []*proxy.Proxy
	reader  *topics.Reader // past the proxies
	sources map[int]*source

	t        *testing.T // of all rounds
	rising   atomic.Int32
	starting sync.WaitGroup
	raising  sync.Mutex // one start of brokers at a time
}

// raise starts the brokers that do not run, while rounds go on: two of the three are enough.
func (w *world) raise(done func()) {
	w.rising.Add(1)
	w.starting.Go(func() {
		defer w.rising.Add(-1)
		w.raising.Lock()
		defer w.raising.Unlock()
		w.kafka.Start(w.t)
		done()
	})
}

// A source is one PostgreSQL.
type source struct {
	*servers.Postgres
	proxy   *proxy.Proxy
	through servers.Postgres // as it is seen through the proxy
}

const (
	role         = "nemesis"
	rolePassword = "role-secret"
	publication  = "nemesis"
	template     = "nemesis_template"
)

// newWorld starts three brokers and one PostgreSQL of each version.
func newWorld(t *testing.T, versions ...int) *world {
	t.Helper()
	w := &world{sources: make(map[int]*source), t: t}
	product.Binary(t)
	w.kafka = servers.StartKafka(t, 3, "controlled.shutdown.max.retries=1", "num.partitions=1",
		"auto.leader.rebalance.enable=false",
		// A machine that starts three brokers at once is busy: they wait for each other.
		"initial.broker.registration.timeout.ms=240000", "controller.quorum.election.timeout.ms=1000", "controller.quorum.fetch.timeout.ms=2000")
	t.Cleanup(w.starting.Wait)
	var err error
	if w.brokers, err = proxy.Kafka(w.kafka.Bootstrap()); err != nil {
		t.Fatal(err)
	}
	for _, p := range w.brokers {
		t.Cleanup(p.Close)
	}
	w.reader = topics.NewReader(w.kafka.Bootstrap())
	t.Cleanup(w.reader.Close)
	var starting sync.WaitGroup
	var mu sync.Mutex // guards sources
	for _, v := range versions {
		starting.Go(func() {
			s := newSource(t, v)
			mu.Lock()
			defer mu.Unlock()
			w.sources[v] = s
		})
	}
	starting.Wait()
	if t.Failed() || len(w.sources) < len(versions) {
		t.FailNow()
	}
	return w
}

// newSource starts a PostgreSQL that spills early and gives dead connections up soon, and prepares the rounds'
// databases.
func newSource(t *testing.T, version int) *source {
	p := servers.StartPostgres(t, version, "wal_sender_timeout=5s", "logical_decoding_work_mem=64kB",
		"max_wal_size=256MB", "max_connections=60")
	s := &source{Postgres: p, through: *p}
	address := net.JoinHostPort(p.Host, strconv.Itoa(p.Port))
	var err error
	if s.proxy, err = proxy.Listen(address); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.proxy.Close)
	host, port, err := net.SplitHostPort(s.proxy.Address)
	if err != nil {
		t.Fatal(err)
	}
	s.through.Host = host
	if s.through.Port, err = strconv.Atoi(port); err != nil {
		t.Fatal(err)
	}
	s.prepare(t)
	return s
}

// prepare makes the template of the rounds' databases: tables, audit triggers, and what setup makes.
func (s *source) prepare(t *testing.T) {
	t.Helper()
	admin := servers.Connect(t, s.URL("postgres"))
	if _, err := admin.Exec(t.Context(), "create database "+template); err != nil {
		t.Fatal(err)
	}
	if err := s.letIn(t.Context(), admin); err != nil {
		t.Fatal(err)
	}
	c, err := pgx.Connect(t.Context(), s.URL(template))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	if _, err := c.Exec(t.Context(), schemaSQL()); err != nil {
		t.Fatal(err)
	}
	if err := ledger.InstallAudit(t.Context(), c, template+"_audit"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Exec(t.Context(), whoBooksSQL); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, table := range tables {
		names = append(names, table.stored()...)
	}
	if err := ledger.Audit(t.Context(), c, names...); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(secret, []byte(rolePassword), 0o600); err != nil {
		t.Fatal(err)
	}
	setup := product.Run(t, 5*time.Minute, []string{
		"PGWITNESS_SOURCE_URL=" + s.URL(template), "PGWITNESS_SOURCE_SLOT=" + template, "PGWITNESS_SOURCE_PUBLICATION=" + publication,
	}, "setup", "--apply", "--tables", "alpha.*,beta.*", "--role", role, "--role-password-file", secret)
	if setup.Code != 0 {
		t.Fatalf("setup: exit code %d\n%s%s", setup.Code, setup.Stdout, setup.Stderr)
	}
	_, err = c.Exec(t.Context(), "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = $1", template)
	if err != nil {
		t.Fatal(err)
	}
}
