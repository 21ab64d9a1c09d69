//go:build integration

package servers

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Versions are the major versions of PostgreSQL that are promised to work.
var Versions = []int{14, 15, 16, 17, 18}

const (
	superuser = "postgres"
	password  = "superuser-secret"
)

// baseSettings are those of every server. Without fsync a machine's crash would lose data, but not a process's: what
// was written stays in the page cache, so kill -9 tests what it always does.
var baseSettings = []string{
	"wal_level=logical", "max_wal_senders=30", "max_replication_slots=60", "max_connections=200",
	"max_prepared_transactions=20", "fsync=off", "shared_preload_libraries=",
}

// A Postgres is a PostgreSQL server.
type Postgres struct {
	Version int // major
	Host    string
	Port    int
	SockDir string // of its unix socket, for local processes; otherwise empty
	DataDir string // of a local process; otherwise empty

	user     *url.Userinfo
	instance instance // nil where it is not ours to stop
}

// StartPostgres starts a server for this test alone, which may stop, kill and pause it. Settings are "name=value", or
// options of initdb such as "--wal-segsize=1".
func StartPostgres(t testing.TB, version int, settings ...string) *Postgres {
	t.Helper()
	p, err := launchPostgres(version, settings, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("PostgreSQL %d said last:\n%s", version, p.instance.output())
		}
		p.instance.remove()
	})
	return p
}

// SharedPostgres returns the one server of a version that the tests of a package share. Each takes a database of its
// own (NewDatabase); none stops the server or changes its settings.
func SharedPostgres(t testing.TB, version int) *Postgres {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if p := shared.postgres[version]; p != nil {
		return p
	}
	p, err := launchPostgres(version, nil, true)
	if err != nil {
		t.Fatal(err)
	}
	if p.instance != nil {
		running.add(p.instance.remove)
	}
	if shared.postgres == nil {
		shared.postgres = make(map[int]*Postgres)
	}
	shared.postgres[version] = p
	return p
}

var shared struct {
	mu       sync.Mutex // guards the rest
	postgres map[int]*Postgres
	kafka    *Kafka
}

func launchPostgres(version int, settings []string, shareable bool) (*Postgres, error) {
	settings = append(append([]string(nil), baseSettings...), settings...)
	from := map[source]func() (*Postgres, error){
		docker: func() (*Postgres, error) { return dockerPostgres(version, settings) },
		local:  func() (*Postgres, error) { return localPostgres(version, settings) },
	}
	if shareable {
		from[env] = func() (*Postgres, error) { return envPostgres(version) }
	}
	p, s, err := first(fmt.Sprintf("PostgreSQL %d", version), from)
	if err != nil {
		return nil, err
	}
	announce(fmt.Sprintf("PostgreSQL %d", version), s)
	return p, nil
}

// URL is that of a database, for the superuser.
func (p *Postgres) URL(database string) string { return p.urlAs(p.user, database) }

// URLAs is that of a database for another user.
func (p *Postgres) URLAs(user, password, database string) string {
	return p.urlAs(url.UserPassword(user, password), database)
}

func (p *Postgres) urlAs(user *url.Userinfo, database string) string {
	u := url.URL{
		Scheme: "postgres", User: user, Host: net.JoinHostPort(p.Host, strconv.Itoa(p.Port)),
		Path: "/" + database, RawQuery: "sslmode=disable",
	}
	return u.String()
}

const startTime = 3 * time.Minute // of a server, on a machine that has much else to do

// ready waits until the server takes connections.
func (p *Postgres) ready() error {
	for deadline := time.Now().Add(startTime); ; time.Sleep(20 * time.Millisecond) {
		err := p.ping()
		if err == nil {
			return nil
		}
		if b, ok := p.instance.(*child); ok && !b.process.Running() {
			// Children of a postmaster that was killed hold its shared memory until they have noticed (ipc/sysv_shmem.c).
			if strings.Contains(b.output(), "pre-existing shared memory block") && time.Now().Before(deadline) {
				time.Sleep(100 * time.Millisecond)
				err = b.start()
			} else {
				deadline = time.Time{}
			}
		}
		if err != nil && time.Now().After(deadline) {
			return fmt.Errorf("PostgreSQL %d does not answer: %w\n%s", p.Version, err, p.instance.output())
		}
	}
}

func (p *Postgres) ping() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, p.URL("postgres"))
	if err != nil {
		return err
	}
	return c.Close(ctx)
}

// Start starts a server that was stopped or killed, and waits until it takes connections.
func (p *Postgres) Start(t testing.TB) {
	t.Helper()
	if err := p.instance.start(); err != nil {
		t.Fatalf("start PostgreSQL: %v", err)
	}
	if err := p.ready(); err != nil {
		t.Fatal(err)
	}
}

// Await waits until the server takes connections, for example when it has recovered from the crash of a backend.
func (p *Postgres) Await(t testing.TB) {
	t.Helper()
	if err := p.ready(); err != nil {
		t.Fatal(err)
	}
}

// A StopMode is how a server is shut down.
type StopMode syscall.Signal

// The shutdown modes (postmaster.c).
const (
	Fast      = StopMode(syscall.SIGINT)
	Immediate = StopMode(syscall.SIGQUIT)
)

// Stop shuts the server down and waits for its end.
func (p *Postgres) Stop(t testing.TB, mode StopMode) {
	t.Helper()
	if err := end(p.instance, syscall.Signal(mode), time.Minute); err != nil {
		t.Fatalf("stop PostgreSQL: %v", err)
	}
}

// Restart stops the server and starts it again.
func (p *Postgres) Restart(t testing.TB, mode StopMode) {
	t.Helper()
	p.Stop(t, mode)
	p.Start(t)
}

// Kill ends the postmaster by SIGKILL; its children notice and end.
func (p *Postgres) Kill(t testing.TB) {
	t.Helper()
	if err := end(p.instance, syscall.SIGKILL, time.Minute); err != nil {
		t.Fatalf("kill PostgreSQL: %v", err)
	}
}

// Pause stops every process of the server where it stands, until Resume.
func (p *Postgres) Pause(t testing.TB) {
	t.Helper()
	if err := p.instance.freeze(); err != nil {
		t.Fatalf("pause PostgreSQL: %v", err)
	}
}

// Resume lets a paused server go on.
func (p *Postgres) Resume(t testing.TB) {
	t.Helper()
	if err := p.instance.thaw(); err != nil {
		t.Fatalf("resume PostgreSQL: %v", err)
	}
}
