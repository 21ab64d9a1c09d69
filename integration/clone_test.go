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

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"

	"pgwitness/integration/process"
	"pgwitness/integration/servers"
)

// TestClone: a server's storage is copied, and both go on. The clone has the same system identifier and timeline, and
// gives the same positions to other changes. A trail that one of them wrote is refused to the other.
func TestClone(t *testing.T) {
	p := servers.StartPostgres(t, 18)
	tr := newTrailOn(t, p, servers.SharedKafka(t))
	tr.Exec(t, "create table t (id int primary key)")
	tr.setup(t, "public.*")
	tr.insert(t, 1, 3)
	tr.catchUp(t, time.Minute)
	p.Stop(t, servers.Fast)
	copied := copyServer(t, p)
	copied.start(t)
	clone := &copied.Postgres
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

// A copiedServer is a server on a copy of another one's storage.
type copiedServer struct {
	servers.Postgres
	command process.Command
	process *process.Process
}

// copyServer copies a stopped server's storage. Settings are "name=value".
func copyServer(t *testing.T, p *servers.Postgres, settings ...string) *copiedServer {
	t.Helper()
	if p.DataDir == "" {
		t.Fatal("the storage of a container cannot be copied: PGWITNESS_TEST_SERVERS=local")
	}
	dir, err := servers.Scratch("copy")
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
	c := &copiedServer{Postgres: *p, command: process.Command{
		Path: serverProgram(t, p), Args: []string{"-D", data}, Dir: dir, Stderr: filepath.Join(dir, "log"), Orphaned: syscall.SIGQUIT,
	}}
	for _, s := range append([]string{"listen_addresses=127.0.0.1", "port=" + strconv.Itoa(port), "wal_level=logical",
		"max_wal_senders=30", "max_replication_slots=60", "max_connections=200", "max_prepared_transactions=20",
		"unix_socket_directories=" + dir, "fsync=off"}, settings...) {
		c.command.Args = append(c.command.Args, "-c", s)
	}
	if os.Getuid() == 0 {
		c.command.Credential = &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}
	}
	c.Port, c.DataDir, c.SockDir = port, data, dir
	return c
}

// start starts the server and waits until it takes connections. It ends with the test.
func (c *copiedServer) start(t *testing.T) {
	t.Helper()
	var err error
	if c.process, err = process.Start(c.command); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.process.Signal(syscall.SIGQUIT)
		c.process.Wait(time.Minute)
		if log, _ := os.ReadFile(c.command.Stderr); t.Failed() {
			t.Logf("the copy said last:\n%s", log[max(0, len(log)-3000):])
		}
	})
	for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		conn, err := pgx.Connect(t.Context(), c.URL("postgres"))
		if err == nil {
			conn.Close(t.Context())
			return
		}
		if !c.process.Running() || time.Now().After(deadline) {
			t.Fatalf("the copy does not answer: %v", err)
		}
	}
}

// stop shuts the server down.
func (c *copiedServer) stop(t *testing.T) {
	t.Helper()
	c.process.Signal(syscall.SIGINT)
	if _, err := c.process.Wait(time.Minute); err != nil {
		t.Fatal(err)
	}
}

// awaitReplayed waits until a standby has replayed the log up to a position.
func (c *copiedServer) awaitReplayed(t *testing.T, pos pglogrepl.LSN) {
	t.Helper()
	there := &servers.Database{Server: &c.Postgres, Name: "postgres"}
	var at pglogrepl.LSN
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if at = lsn(t, there.Text(t, "select pg_last_wal_replay_lsn()")); at >= pos {
			return
		}
	}
	t.Fatalf("the standby stands at %s, the primary at %s", at, pos)
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
