package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
)

// A cluster is a PostgreSQL of our own, reachable through a socket in its directory.
type cluster struct {
	bin, dir string
	attr     *syscall.SysProcAttr
	cmd      *exec.Cmd // nil where it does not run
}

func newCluster(bin string) (*cluster, error) {
	bin, err := filepath.Abs(bin)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "walrecord-")
	if err != nil {
		return nil, err
	}
	c := &cluster{bin: bin, dir: dir, attr: &syscall.SysProcAttr{}}
	if err := c.disown(); err != nil {
		c.remove()
		return nil, err
	}
	out, err := c.command("initdb", "-D", c.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C",
		"--wal-segsize="+strconv.Itoa(segment>>20)).CombinedOutput()
	if err != nil {
		c.remove()
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return c, nil
}

// disown gives the directory to nobody where we are root, as whom PostgreSQL does not run.
func (c *cluster) disown() error {
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup("nobody")
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return err
	}
	c.attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return os.Chown(c.dir, uid, gid)
}

func (c *cluster) data() string { return filepath.Join(c.dir, "data") }

func (c *cluster) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(c.bin, name), args...)
	cmd.Dir, cmd.SysProcAttr = c.dir, c.attr
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC")
	return cmd
}

// settings keep everything out of the WAL that the workload does not ask for, and keep the WAL.
var settings = []string{
	"listen_addresses=", "wal_level=logical", "max_prepared_transactions=10", "fsync=off", "autovacuum=off",
	"wal_keep_size=256MB", "max_wal_size=1GB", "checkpoint_timeout=1h", "bgwriter_lru_maxpages=0", "TimeZone=UTC",
	"log_timezone=UTC", "full_page_writes=off", "shared_preload_libraries=", "jit=off",
}

func (c *cluster) start(ctx context.Context) error {
	args := []string{"-D", c.data(), "-k", c.dir}
	for _, s := range settings {
		args = append(args, "-c", s)
	}
	c.cmd = c.command("postgres", args...)
	log, err := os.Create(filepath.Join(c.dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	c.cmd.Stdout, c.cmd.Stderr = log, log
	if err := c.cmd.Start(); err != nil {
		c.cmd = nil
		return err
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		conn, err := c.connect(ctx)
		if err == nil {
			return conn.Close(ctx)
		}
		if time.Now().After(deadline) {
			said, _ := os.ReadFile(log.Name())
			return fmt.Errorf("start postgres: %w\n%s", err, said)
		}
	}
}

func (c *cluster) connect(ctx context.Context) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(fmt.Sprintf("host=%s user=postgres dbname=postgres", c.dir))
	if err != nil {
		return nil, err
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	return pgx.ConnectConfig(ctx, config)
}

// crash ends the server as kill -9 of all its processes would, but waits for them (an immediate shutdown).
func (c *cluster) crash() {
	if c.cmd == nil {
		return
	}
	c.cmd.Process.Signal(syscall.SIGQUIT)
	c.cmd.Wait()
	c.cmd = nil
}

func (c *cluster) remove() {
	c.crash()
	os.RemoveAll(c.dir)
}

// segmentFile is the file of a position (XLogFileName in xlog_internal.h).
func (c *cluster) segmentFile(at pglogrepl.LSN) string {
	number := uint64(at) / segment
	perID := uint64(1<<32) / segment
	return filepath.Join(c.data(), "pg_wal", fmt.Sprintf("%08X%08X%08X", 1, number/perID, number%perID))
}
