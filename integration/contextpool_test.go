//go:build integration

package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"pgwitness/integration/process"
	"pgwitness/integration/servers"
)

// TestContextPool: users take turns on the sessions of a small pool, in it and behind PgBouncer. What one of them says
// never sticks to another's transaction. A row has the words that its own transaction gave, or none.
func TestContextPool(t *testing.T) {
	for _, version := range []int{14, 18} {
		for name, through := range map[string]func(*testing.T, *trail, string) string{
			"pool":      func(_ *testing.T, tr *trail, role string) string { return tr.URLAs(role, rolePassword) },
			"PgBouncer": startPgBouncer,
		} {
			t.Run(fmt.Sprintf("%d, %s", version, name), func(t *testing.T) {
				tr, app, _ := contextTrail(t, version)
				tr.settings = append(tr.settings, "PGWITNESS_SAMPLE_INTERVAL=0")
				tr.Exec(t, "create table said (words text, pid int default pg_backend_pid())", "grant insert on said to "+app)
				tr.setup(t, "public.*")
				run := tr.sealed(t)
				const transactions = 1000
				rows := takeTurns(t, through(t, tr, app), transactions)
				tr.awaitConfirmed(t, time.Minute)
				run.Stop(t, 10*time.Second)
				tr.judgeTurns(t, app, rows)
			})
		}
	}
}

// takeTurns makes transactions on three sessions for eight users, and returns how many rows they must have left.
func takeTurns(t *testing.T, address string, transactions int) (rows int) {
	t.Helper()
	config, err := pgxpool.ParseConfig(address)
	if err != nil {
		t.Fatal(err)
	}
	config.MaxConns = 8
	if !strings.Contains(address, "default_query_exec_mode") {
		config.MaxConns = 3
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var left, made atomic.Int64
	left.Store(int64(transactions))
	ended := make(chan error)
	const users = 8
	for n := range users {
		go func() {
			random := rand.New(rand.NewPCG(seed, uint64(n)))
			for left.Add(-1) >= 0 {
				if err := takeTurn(t.Context(), pool, random, fmt.Sprintf(`{"user": %d, "n": %d}`, n, random.Uint32()), &made); err != nil {
					ended <- err
					return
				}
			}
			ended <- nil
		}()
	}
	for range users {
		if err := <-ended; err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
	return int(made.Load())
}

const (
	sayWords  = "select pgwitness.set_actor($1::jsonb)"
	tellWords = "insert into said (words) values ($1::jsonb::text)"
)

// takeTurn makes one transaction of a user. What it says is what its rows hold.
func takeTurn(ctx context.Context, pool *pgxpool.Pool, random *rand.Rand, words string, made *atomic.Int64) error {
	switch random.IntN(6) {
	case 0: // autocommit, says nothing
		made.Add(1)
		_, err := pool.Exec(ctx, tellWords, nil)
		return err
	case 1: // autocommit, in one statement
		made.Add(1)
		_, err := pool.Exec(ctx, "insert into said (words) select $1::jsonb::text from (select pgwitness.set_actor($1::jsonb)) m", words)
		return err
	case 2: // says something, and changes nothing
		_, err := pool.Exec(ctx, sayWords, words)
		return err
	}
	fails, says, rows := random.IntN(4) == 0, random.IntN(3) > 0, 1+random.IntN(3)
	tx, err := pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) // does nothing after a commit
	var row any
	if says {
		if _, err := tx.Exec(ctx, sayWords, words); err != nil {
			return err
		}
		row = words
	}
	for range rows {
		time.Sleep(time.Duration(random.IntN(2)) * time.Millisecond)
		if _, err := tx.Exec(ctx, tellWords, row); err != nil {
			return err
		}
	}
	if fails {
		if _, err := tx.Exec(ctx, "select 1 / 0"); err == nil {
			return fmt.Errorf("1 / 0 is no error")
		}
		return tx.Rollback(ctx)
	}
	made.Add(int64(rows))
	return tx.Commit(ctx)
}

// judgeTurns holds each record's words and process against what its row says of itself.
func (tr *trail) judgeTurns(t *testing.T, role string, rows int) {
	t.Helper()
	entries := tr.entries(t)
	if len(entries) != rows {
		t.Errorf("%d records of %d rows", len(entries), rows)
	}
	said, sessions := 0, map[int]bool{}
	for _, e := range entries {
		row, a := e.row(t), e.actor(t)
		sessions[row.PID] = true
		switch {
		case row.Words == "" && a.Evidence == "none" && a.Context == nil:
		case row.Words != "" && a.Evidence == "context" && string(a.Context) == row.Words && a.PID == row.PID && a.User == role:
			said++
		default:
			t.Fatalf("the row says %+v, the record %+v", row, a)
		}
	}
	t.Logf("%d rows of %d have words, on %d sessions", said, len(entries), len(sessions))
	if said < rows/4 || rows-said < rows/10 || len(sessions) > 3 {
		t.Errorf("%d rows, %d with words, on %d sessions", rows, said, len(sessions))
	}
}

// A saidRow is a row that says what its transaction said, and which process wrote it.
type saidRow struct {
	Words string
	PID   int
}

func (e *entry) row(t *testing.T) (row saidRow) {
	t.Helper()
	if err := json.Unmarshal(e.After, &row); err != nil {
		t.Fatal(err)
	}
	return row
}

// startPgBouncer starts a PgBouncer in transaction mode before the trail's server, with three sessions for a role, and
// returns its URL. It runs as nobody: as root it does not.
func startPgBouncer(t *testing.T, tr *trail, role string) string {
	t.Helper()
	path, err := exec.LookPath("pgbouncer")
	if err != nil {
		t.Fatal("pgbouncer is not installed (Debian: apt-get install pgbouncer)")
	}
	dir, err := servers.Scratch("pgbouncer")
	if err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	config := filepath.Join(dir, "pgbouncer.ini")
	text := fmt.Sprintf("[databases]\n%[1]s = host=%[2]s port=%[3]d user=%[4]s password=%[5]s\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %[6]d\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\ndefault_pool_size = 3\n",
		tr.Name, tr.Server.Host, tr.Server.Port, role, rolePassword, port)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(dir, "log")
	p, err := process.Start(process.Command{Path: path, Args: []string{config}, Dir: dir, Stderr: log, Credential: nobody(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
		if said, err := os.ReadFile(log); t.Failed() {
			t.Logf("pgbouncer said: %s %v", said, err)
		}
	})
	u := url.URL{Scheme: "postgres", User: url.User(role), Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), Path: "/" + tr.Name,
		RawQuery: "sslmode=disable&default_query_exec_mode=exec"} // prepared statements are a session's
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		c, err := pgx.Connect(t.Context(), u.String())
		if err == nil {
			c.Close(t.Context())
			return u.String()
		}
		if time.Now().After(deadline) || !p.Running() {
			t.Fatalf("pgbouncer does not answer: %v", err)
		}
	}
}

// freePort is one of loopback that nobody listens on.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// nobody is the user to run a server as when we are root.
func nobody(t *testing.T) *syscall.Credential {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}
