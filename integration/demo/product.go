package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// build makes the program as `make build` does.
func build(ctx context.Context, dir string) (string, error) {
	program := filepath.Join(dir, "pgwitness")
	// No version control stamp: git refuses a tree that belongs to another user.
	out, err := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", program, "pgwitness/cmd/pgwitness").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build pgwitness/cmd/pgwitness: %w\n%s", err, out)
	}
	return program, nil
}

// A product is pgwitness at work: `run`, and `tail` twice, once for the reader and once, as JSON, for the comparison.
type product struct {
	program, dir string
	broker       string
	postgres     *server

	run      *exec.Cmd
	runEnded chan error // run's, once
	tails    []*exec.Cmd
	reading  sync.WaitGroup

	mu    sync.Mutex // guards what follows
	trail ledger
	count int
	last  string // record
	fault error
}

// start sets the source up, shows the commands that do it, and starts run and tail.
func (p *product) start(ctx context.Context) error {
	secret := filepath.Join(p.dir, "password")
	if err := os.WriteFile(secret, []byte(password), 0o600); err != nil {
		return err
	}
	who := []string{"--hold", "--context-roles", "shop_app", "--unheld-roles", "shop_app"}
	if err := p.setup(append([]string{"--tables", "public.*", "--role-password-file", secret}, who...)); err != nil {
		return err
	}
	say("\n$ pgwitness run --hold &")
	log, err := os.Create(filepath.Join(p.dir, "run.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	p.run = p.command(runRole, "run", "--hold")
	p.run.Stdout, p.run.Stderr = log, log
	if err := p.run.Start(); err != nil {
		return err
	}
	p.runEnded = make(chan error, 1)
	go func() { p.runEnded <- p.run.Wait() }()
	if err := p.streaming(ctx); err != nil {
		return err
	}
	// Now that somebody answers, commits may wait.
	if err := p.setup(who); err != nil {
		return err
	}
	return p.follow(log)
}

// setup runs `pgwitness setup --apply`.
func (p *product) setup(args []string) error {
	args = append([]string{"setup", "--apply"}, args...)
	say("\n$ pgwitness %s", strings.ReplaceAll(strings.Join(args, " "), p.dir, "…"))
	c := p.command(postgresRole, args...)
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	if err := c.Run(); err != nil {
		return fmt.Errorf("pgwitness setup: %w", err)
	}
	return nil
}

// streaming waits until the witness reads the log.
func (p *product) streaming(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, p.postgres.url(postgresRole, "demo"))
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for streams := false; !streams; {
		short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		err := p.watch(short)
		cancel()
		if err == nil {
			err = conn.QueryRow(ctx, `select exists (select from pg_stat_replication
				where application_name = 'pgwitness_witness' and state = 'streaming')`).Scan(&streams)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// follow starts tail twice.
func (p *product) follow(log *os.File) error {
	say("\n$ pgwitness tail")
	shown := p.command(runRole, "tail")
	shown.Stdout, shown.Stderr = os.Stdout, os.Stderr
	counted := p.command(runRole, "tail", "--json")
	counted.Stderr = log
	lines, err := counted.StdoutPipe()
	if err != nil {
		return err
	}
	for _, tail := range []*exec.Cmd{shown, counted} {
		if err := tail.Start(); err != nil {
			return err
		}
		p.tails = append(p.tails, tail)
	}
	p.trail = ledger{}
	p.reading.Go(func() { p.read(lines) })
	return nil
}

// runRole is what setup makes for run: it may replicate, and reads no table.
const runRole = "pgwitness"

// command is pgwitness with the settings that all commands share in its environment.
func (p *product) command(role string, args ...string) *exec.Cmd {
	c := exec.Command(p.program, args...)
	c.Env = append(os.Environ(),
		"PGWITNESS_SOURCE_URL="+p.postgres.url(role, "pgwitness"),
		"PGWITNESS_KAFKA_BROKERS="+p.broker)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for us to handle
	dieWithUs(c.SysProcAttr)
	return c
}

// read enters what tail prints into the trail until tail ends.
func (p *product) read(lines io.Reader) {
	scanner := bufio.NewScanner(lines)
	scanner.Buffer(nil, 16<<20)
	for scanner.Scan() {
		var record struct {
			Op    string
			Tx    struct{ XID uint64 }
			Actor struct{ Evidence string }
		}
		err := json.Unmarshal(scanner.Bytes(), &record)
		p.mu.Lock()
		switch {
		case err != nil:
			p.fault = fmt.Errorf("a line of tail --json: %w: %s", err, scanner.Bytes())
		case record.Op == "insert" || record.Op == "update" || record.Op == "delete":
			p.trail[change{record.Tx.XID, record.Op}]++
			p.count++
			if by := record.Actor.Evidence; by != "hold" && by != "context" {
				p.fault = fmt.Errorf("nobody vouches for who did this: %s", scanner.Bytes())
			}
			p.last = scanner.Text()
		}
		p.mu.Unlock()
	}
}

// await waits until the trail has n changes.
func (p *product) await(ctx context.Context, n int) error {
	for {
		p.mu.Lock()
		count, fault := p.count, p.fault
		p.mu.Unlock()
		switch {
		case fault != nil:
			return fault
		case count >= n:
			pause(ctx, 1500*time.Millisecond) // the other tail may see a new topic a second later; one record too many would come
			return nil
		}
		short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		err := p.watch(short)
		cancel()
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return fmt.Errorf("the trail has %d changes of %d: %w\n%s", count, n, context.Cause(ctx), p.log())
		}
	}
}

// watch returns when the context ends, or with an error when run does.
func (p *product) watch(ctx context.Context) error {
	select {
	case err := <-p.runEnded:
		p.runEnded <- err
		return fmt.Errorf("pgwitness run ended before it was told to (%v)\n%s", err, p.log())
	case <-ctx.Done():
		return nil
	}
}

// latest is the last change that arrived, as Kafka has it.
func (p *product) latest() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

// compare says where the trail differs from what was done.
func (p *product) compare(done ledger) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if maps.Equal(p.trail, done) {
		return nil
	}
	var wrong []error
	for c, n := range done {
		if p.trail[c] != n {
			wrong = append(wrong, fmt.Errorf("transaction %d: %d × %s committed, %d in the trail", c.xid, n, c.op, p.trail[c]))
		}
	}
	for c, n := range p.trail {
		if done[c] == 0 {
			wrong = append(wrong, fmt.Errorf("transaction %d: %d × %s in the trail, never committed", c.xid, n, c.op))
		}
	}
	return errors.Join(wrong...)
}

// stop ends tail and run as an operator would, and expects both to say that all is well.
func (p *product) stop() error {
	var wrong []error
	for _, tail := range p.tails {
		tail.Process.Signal(syscall.SIGTERM)
	}
	p.reading.Wait()
	for _, tail := range p.tails {
		if err := tail.Wait(); err != nil {
			wrong = append(wrong, fmt.Errorf("pgwitness tail: %w", err))
		}
	}
	if p.runEnded == nil {
		return errors.Join(wrong...)
	}
	p.run.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-p.runEnded:
		if err != nil {
			wrong = append(wrong, fmt.Errorf("pgwitness run: %w\n%s", err, p.log()))
		}
	case <-time.After(10 * time.Second):
		p.run.Process.Kill()
		wrong = append(wrong, fmt.Errorf("pgwitness run: still there 10 s after SIGTERM\n%s", p.log()))
	}
	return errors.Join(wrong...)
}

// log is the end of what run and the second tail logged.
func (p *product) log() []byte {
	log, err := os.ReadFile(filepath.Join(p.dir, "run.log"))
	if err != nil {
		return []byte(err.Error())
	}
	lines := bytes.SplitAfter(log, []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-20):], nil)
}
