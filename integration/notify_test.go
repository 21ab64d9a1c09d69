//go:build integration

package integration

import (
	"net"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pgwitness/integration/servers"
)

// A manager is a service manager's end of sd_notify.
type manager struct {
	socket string
	mu     sync.Mutex // guards heard
	heard  []string
}

func newManager(t *testing.T) *manager {
	t.Helper()
	m := &manager{socket: filepath.Join(t.TempDir(), "notify")}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			m.mu.Lock()
			m.heard = append(m.heard, strings.Split(string(buf[:n]), "\n")...)
			m.mu.Unlock()
		}
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	return m
}

// count is how many lines begin so.
func (m *manager) count(start string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, line := range m.heard {
		if strings.HasPrefix(line, start) {
			n++
		}
	}
	return n
}

func (m *manager) await(t *testing.T, start string, n int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); m.count(start) < n; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not %d of %s in %q", n, start, m.heard)
		}
	}
}

// TestServiceManager: a run tells when it is ready, that it lives, also while the server is away, and that it stops. A
// run that hangs gives no sign of life.
func TestServiceManager(t *testing.T) {
	t.Parallel()
	postgres := servers.StartPostgres(t, 18)
	tr := newTrailOn(t, postgres, servers.SharedKafka(t))
	tr.Exec(t, "create table t (id int primary key)")
	tr.setup(t, "public.*")
	m := newManager(t)
	tr.settings = append(tr.settings, "NOTIFY_SOCKET="+m.socket, "WATCHDOG_USEC=400000")

	holder := tr.run(t)
	m.await(t, "READY=1", 1)
	standby := newManager(t)
	tr.settings[len(tr.settings)-2] = "NOTIFY_SOCKET=" + standby.socket
	second := tr.run(t, "--wait")
	standby.await(t, "WATCHDOG=1", 5)
	if n := standby.count("READY=1"); n != 0 {
		t.Errorf("a standby that waits is ready %d times", n)
	}
	holder.Stop(t, 10*time.Second)
	if n := m.count("STOPPING=1"); n != 1 {
		t.Errorf("it has told %d times that it stops: %q", n, m.heard)
	}
	standby.await(t, "READY=1", 1)

	postgres.Stop(t, servers.Fast)
	lives := standby.count("WATCHDOG=1")
	standby.await(t, "WATCHDOG=1", lives+10)
	postgres.Start(t)
	standby.await(t, "STATUS=delivering", 2)
	tr.insert(t, 1, 1)
	tr.awaitConfirmedBy(t, second.Running, time.Minute)

	second.Signal(t, syscall.SIGSTOP)
	time.Sleep(time.Second)
	lives = standby.count("WATCHDOG=1")
	time.Sleep(2 * time.Second)
	if n := standby.count("WATCHDOG=1"); n != lives {
		t.Errorf("%d signs of life of a process that stands still", n-lives)
	}
	second.Signal(t, syscall.SIGCONT)
	if r := second.Stop(t, 10*time.Second); r.Code != 0 {
		t.Errorf("exit code %d\n%s", r.Code, r.Stderr)
	}
	if n := standby.count("READY=1"); n != 1 {
		t.Errorf("ready %d times", n)
	}
	tr.expectOnce(t, inserts(1))
}
