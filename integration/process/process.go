// Package process runs a program of a test as a child that cannot outlive it.
package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A Command says what to run. A Process can be started from it again after it has ended.
type Command struct {
	Path string
	Args []string
	Env  []string // added to the environment of the test
	Dir  string

	// Orphaned is the signal that the kernel sends to the child when the test process dies (Linux only): SIGKILL by
	// default.
	Orphaned syscall.Signal
	// Credential is the user to run as, nil for the user of the test.
	Credential *syscall.Credential
	// Stdout and Stderr are files to append to; empty means that the output is thrown away.
	Stdout, Stderr string
}

// A Process is a started command.
type Process struct {
	cmd   *exec.Cmd
	ended chan struct{}
	err   error // of Wait, once ended is closed
}

// Start runs the command.
func Start(c Command) (*Process, error) {
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Env = append(os.Environ(), c.Env...)
	cmd.Dir = c.Dir
	cmd.SysProcAttr = attributes(c)
	closeOutput, err := openOutput(cmd, c)
	if err != nil {
		return nil, err
	}
	defer closeOutput()

	p := &Process{cmd: cmd, ended: make(chan struct{})}
	if err := onLastingThread(cmd.Start); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Path, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

func openOutput(cmd *exec.Cmd, c Command) (func(), error) {
	var files []*os.File
	closeAll := func() {
		for _, f := range files {
			f.Close()
		}
	}
	open := func(name string) (*os.File, error) {
		if name == "" {
			return nil, nil
		}
		f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err == nil {
			files = append(files, f)
		}
		return f, err
	}
	stdout, err := open(c.Stdout)
	if err != nil {
		return nil, err
	}
	stderr, err := open(c.Stderr)
	if err != nil {
		closeAll()
		return nil, err
	}
	// A nil *os.File in the interface would not be the nil that exec reads as /dev/null.
	if stdout != nil {
		cmd.Stdout = stdout
	}
	if stderr != nil {
		cmd.Stderr = stderr
	}
	return closeAll, nil
}

// The kernel sends the parent-death signal when the *thread* that forked dies (prctl(2), PR_SET_PDEATHSIG), and Go
// ends threads as it likes: one thread that lives as long as the process starts all children.
var (
	lasting = make(chan func())
	begin   = sync.OnceFunc(func() { go serve(lasting) })
)

func onLastingThread(f func() error) error {
	begin()
	result := make(chan error)
	lasting <- func() { result <- f() }
	return <-result
}

// PID is the child's process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Signal sends a signal. A process that has ended already is not an error.
func (p *Process) Signal(sig syscall.Signal) error {
	err := p.cmd.Process.Signal(sig)
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// Ended is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Running reports whether the process has not ended.
func (p *Process) Running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// Wait waits for the end and returns the exit code, or 128 and the signal's number, as a shell does. A process that is
// still there after the time is left running.
func (p *Process) Wait(limit time.Duration) (int, error) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.ended:
	case <-timer.C:
		return 0, fmt.Errorf("%s (pid %d) still runs after %s", p.cmd.Path, p.PID(), limit)
	}
	state := p.cmd.ProcessState
	if state == nil {
		return 0, p.err
	}
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal()), nil
	}
	return state.ExitCode(), nil
}

// Kill ends the process by SIGKILL and waits until it is gone.
func (p *Process) Kill() error {
	if err := p.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	_, err := p.Wait(10 * time.Second)
	return err
}

// Processor is the processor time that a process took that has ended.
func (p *Process) Processor() time.Duration {
	if p.Running() || p.cmd.ProcessState == nil {
		return 0
	}
	return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
}

// PeakMemory is the most memory that a running process has held so far, in bytes, and 0 where there is no /proc. What
// getrusage says of a child begins with what its parent had when it forked, so it is no use here.
func (p *Process) PeakMemory() int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kilobytes, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kilobytes << 10
		}
	}
	return 0
}
