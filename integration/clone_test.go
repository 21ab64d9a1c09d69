//go:build integration

package integration

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgwitness/integration/process"
	"pgwitness/integration/servers"
)

// TestClone: a server's storage is copied, and both go on. The clone has the same system identifier and timeline, and
// gives the same positions to other changes. A trail that one of them wrote is refused to the other.
func TestClone(t *testing.T) {
	p := servers.StartPostgres(t, 18)
	if p.DataDir == "" {
		t.Fatal("the storage of a container cannot be copied: PGWITNESS_TEST_SERVERS=local")
	}
	tr := newTrailOn(t, p, servers.SharedKafka(t))
	tr.Exec(t, "create table t (id int primary key)")
	tr.setup(t, "public.*")
	tr.insert(t, 1, 3)
	tr.catchUp(t, time.Minute)
	p.Stop(t, servers.Fast)
	clone := cloneOf(t, p)
	p.Start(t)

	// Both go on alike, but for what they write: the positions are the same.
	tr.insert(t, 4, 6)
	tr.catchUp(t, time.Minute)
	original := *tr.Database
	tr.Server = clone
	tr.insert(t, 14, 16)
	tr.refused(t, "another copy of this database")
	tr.Server = original.Server
	tr.insert(t, 7, 7)
	tr.catchUp(t, time.Minute)
	tr.expectOnce(t, inserts(1, 2, 3, 4, 5, 6, 7))

	// A clone that has gone further than the trail, with other changes on the way.
	tr.Server = clone
	tr.insert(t, 17, 40)
	tr.refused(t, "another copy of this database")
	tr.Server = original.Server
	tr.expectOnce(t, inserts(1, 2, 3, 4, 5, 6, 7))
}

// cloneOf starts a server on a copy of a stopped one's storage.
func cloneOf(t *testing.T, p *servers.Postgres) *servers.Postgres {
	t.Helper()
	dir, err := servers.Scratch("clone")
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	if out, err := exec.Command("cp", "-a", p.DataDir, data).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	info, err := os.Stat(p.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	owner := info.Sys().(*syscall.Stat_t)
	if err := os.Chown(dir, int(owner.Uid), int(owner.Gid)); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	c := process.Command{
		Path: serverProgram(t, p), Dir: dir, Stderr: filepath.Join(dir, "log"), Orphaned: syscall.SIGQUIT,
		Args: []string{"-D", data, "-c", "listen_addresses=127.0.0.1", "-c", "port=" + strconv.Itoa(port), "-c", "wal_level=logical",
			"-c", "unix_socket_directories=" + dir, "-c", "fsync=off"},
	}
	if os.Getuid() == 0 {
		c.Credential = &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}
	}
	started, err := process.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { started.Signal(syscall.SIGQUIT); started.Wait(time.Minute) })
	clone := *p
	clone.Port, clone.DataDir, clone.SockDir = port, data, dir
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		out, err := exec.Command("psql", "-X", "-c", "select 1", clone.URL("postgres")).CombinedOutput()
		if err == nil {
			return &clone
		}
		if time.Now().After(deadline) {
			t.Fatalf("the clone does not answer: %v\n%s", err, out)
		}
	}
}

// serverProgram finds the program that a stopped server ran: PostgreSQL notes its command line (miscinit.c,
// CreateOptsFile).
func serverProgram(t *testing.T, p *servers.Postgres) string {
	t.Helper()
	line, err := os.ReadFile(filepath.Join(p.DataDir, "postmaster.opts"))
	if err != nil {
		t.Fatal(err)
	}
	program, _, ok := strings.Cut(string(line), " ")
	if !ok {
		t.Fatal(fmt.Errorf("postmaster.opts: %q", line))
	}
	return program
}
