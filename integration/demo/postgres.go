package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
)

const (
	postgresVersion = embeddedpostgres.PostgresVersion("18.4.0")
	postgresRole    = "postgres" // the superuser
	password        = "demo"     // of every role; the server listens on loopback for a minute
	database        = "shop"
)

// A server is a PostgreSQL of our own in a process of its own: PostgreSQL refuses to run as root, and so a demo that root
// started runs that process as nobody. The server ends when its stdin does, so it cannot outlive us, however we end.
type server struct {
	port  int
	cmd   *exec.Cmd
	stdin io.Closer
}

// startServer downloads PostgreSQL if the user's cache does not have it, and starts it with its files under dir.
func startServer(ctx context.Context, dir string) (*server, error) {
	own := filepath.Join(dir, "postgres")
	archives := filepath.Join(own, "archive")
	if err := os.MkdirAll(archives, 0o755); err != nil {
		return nil, err
	}
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	attr := &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for us to handle
	if os.Geteuid() == 0 {
		if attr.Credential, err = nobody(); err != nil {
			return nil, err
		}
		// nobody can reach neither go run's build directory nor root's cache.
		if program, err = copyFile(filepath.Join(dir, "demo"), program, 0o755); err != nil {
			return nil, err
		}
	}
	cached, err := fromCache(archives)
	if err != nil {
		return nil, err
	}
	if !cached {
		say("Downloading PostgreSQL %s from Maven Central (15 MB, this once) …", postgresVersion)
	}
	if err := chownAll(own, attr.Credential); err != nil {
		return nil, err
	}
	s := &server{}
	if s.port, err = freePort(); err != nil {
		return nil, err
	}
	if err := s.start(ctx, program, own, attr); err != nil {
		return nil, err
	}
	if !cached {
		toCache(archives)
	}
	return s, nil
}

// start runs serve below in a process of its own and waits for its first line.
func (s *server) start(ctx context.Context, program, dir string, attr *syscall.SysProcAttr) error {
	s.cmd = exec.Command(program, serveCommand, dir, strconv.Itoa(s.port))
	s.cmd.Dir = dir // nobody may not stand where we stand
	s.cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	s.cmd.SysProcAttr = attr
	s.cmd.Stderr = os.Stderr
	stdin, err := s.cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("start PostgreSQL's process: %w", err)
	}
	s.stdin = stdin
	answer := make(chan error, 1) // one answer, which nobody may be waiting for any more
	go func() {
		lines := bufio.NewReader(stdout)
		first, _ := lines.ReadString('\n')
		if first == "ready\n" {
			answer <- nil
			return
		}
		rest, _ := io.ReadAll(lines)
		answer <- fmt.Errorf("start PostgreSQL: %s%s", first, rest)
	}()
	select {
	case err = <-answer:
	case <-ctx.Done():
		err = ctx.Err()
	case <-time.After(5 * time.Minute):
		err = errors.New("no PostgreSQL after 5 minutes: " + network)
	}
	if err != nil {
		s.stop() // its exit code has nothing to add
	}
	return err
}

// stop ends the server and waits until it is gone.
func (s *server) stop() error {
	s.stdin.Close()
	kill := time.AfterFunc(20*time.Second, func() { s.cmd.Process.Kill() })
	defer kill.Stop()
	if err := s.cmd.Wait(); err != nil {
		return fmt.Errorf("stop PostgreSQL: %w", err)
	}
	return nil
}

func (s *server) url(role, application string) string {
	return fmt.Sprintf("postgres://%s:%s@127.0.0.1:%d/%s?application_name=%s", role, password, s.port, database, application)
}

// serveCommand is the argument that makes this program the process that startServer starts.
const serveCommand = "serve-postgres"

const network = "the first run downloads PostgreSQL from Maven Central (HTTPS_PROXY is honoured)"

// serve runs PostgreSQL until stdin ends. Its stdout says "ready", or why not.
func serve(dir, port string) error {
	p, err := strconv.ParseUint(port, 10, 32)
	if err != nil {
		return err
	}
	archives := filepath.Join(dir, "archive")
	pg := embeddedpostgres.NewDatabase(embeddedpostgres.DefaultConfig().
		Version(postgresVersion).Port(uint32(p)).
		Username(postgresRole).Password(password).Database(database).
		Locale("C").Encoding("UTF8").
		CachePath(archives).RuntimePath(filepath.Join(dir, "run")).
		StartTimeout(30 * time.Second).Logger(io.Discard).
		StartParameters(map[string]string{
			"wal_level":               "logical", // the one setting that pgwitness needs and PostgreSQL does not have by default
			"listen_addresses":        "127.0.0.1",
			"unix_socket_directories": "",
		}))
	ended := make(chan struct{})
	go func() {
		io.Copy(io.Discard, os.Stdin)
		if kept, _ := archivesIn(archives); len(kept) == 0 { // still downloading, and Start cannot be interrupted
			os.Exit(1)
		}
		close(ended)
	}()
	if err := pg.Start(); err != nil {
		return fmt.Errorf("%w; %s", err, network)
	}
	fmt.Println("ready")
	<-ended
	return pg.Stop()
}

func nobody() (*syscall.Credential, error) {
	u, err := user.Lookup("nobody")
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL does not run as root, and there is no user nobody to run it as (%w): run the demo as an ordinary user", err)
	}
	// Parsed as signed: macOS has -2.
	uid, err1 := strconv.ParseInt(u.Uid, 10, 64)
	gid, err2 := strconv.ParseInt(u.Gid, 10, 64)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(err1, err2)
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
