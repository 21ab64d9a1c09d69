//go:build integration

package product

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgwitness/integration/process"
)

// A Process is a running pgwitness.
type Process struct {
	process *process.Process
	command process.Command
}

// A Result is how a pgwitness ended.
type Result struct {
	Code           int // 128 + signal where a signal ended it
	Stdout, Stderr string
}

// Start starts the binary with environment variables ("NAME=value") and arguments. What still runs when the test ends
// is killed; when the test has failed its output is shown.
func Start(t testing.TB, environment []string, args ...string) *Process {
	t.Helper()
	dir := t.TempDir()
	c := process.Command{
		Path: Binary(t), Args: args, Env: environment, Dir: dir,
		Stdout: filepath.Join(dir, "stdout"), Stderr: filepath.Join(dir, "stderr"),
	}
	started, err := process.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	p := &Process{process: started, command: c}
	t.Cleanup(func() {
		if p.Running() {
			p.process.Signal(syscall.SIGCONT)
			if err := p.process.Kill(); err != nil {
				t.Error(err)
			}
		}
		if t.Failed() {
			t.Logf("pgwitness %s\n%s%s", strings.Join(args, " "), tail(p.Stdout()), tail(p.Stderr()))
		}
	})
	return p
}

// Run runs the binary to its end.
func Run(t testing.TB, limit time.Duration, environment []string, args ...string) Result {
	t.Helper()
	return Start(t, environment, args...).Wait(t, limit)
}

// Wait waits for the end. A process that still runs after the time fails the test.
func (p *Process) Wait(t testing.TB, limit time.Duration) Result {
	t.Helper()
	code, err := p.process.Wait(limit)
	if err != nil {
		p.process.Signal(syscall.SIGQUIT) // its goroutines' stacks tell where it hangs
		time.Sleep(200 * time.Millisecond)
		t.Fatal(err)
	}
	return Result{Code: code, Stdout: p.Stdout(), Stderr: p.Stderr()}
}

// Running reports whether it has not ended.
func (p *Process) Running() bool { return p.process.Running() }

// Ended is closed when it has ended.
func (p *Process) Ended() <-chan struct{} { return p.process.Ended() }

// PID is its process id.
func (p *Process) PID() int { return p.process.PID() }

// Signal sends it a signal.
func (p *Process) Signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	if err := p.process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

// Stop asks it to end by SIGTERM and waits.
func (p *Process) Stop(t testing.TB, limit time.Duration) Result {
	t.Helper()
	p.Signal(t, syscall.SIGTERM)
	return p.Wait(t, limit)
}

// Kill ends it by SIGKILL and waits until it is gone.
func (p *Process) Kill(t testing.TB) {
	t.Helper()
	if err := p.process.Kill(); err != nil {
		t.Fatal(err)
	}
}

// Stdout is what it has written there so far.
func (p *Process) Stdout() string { return read(p.command.Stdout) }

// Stderr is what it has written there so far.
func (p *Process) Stderr() string { return read(p.command.Stderr) }

func read(name string) string {
	text, err := os.ReadFile(name)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// tail keeps a failing test's report readable.
func tail(text string) string {
	const most = 3 << 10
	if len(text) <= most {
		return text
	}
	return "…" + text[len(text)-most:]
}

// Processor is the processor time that it took, once it has ended.
func (p *Process) Processor() time.Duration { return p.process.Processor() }

// PeakMemory is the most memory that it has held so far, in bytes, while it runs.
func (p *Process) PeakMemory() int64 { return p.process.PeakMemory() }
