//go:build integration

package servers

import (
	"bytes"
	"errors"
	"os"
	"syscall"
	"time"

	"pgwitness/integration/process"
)

// A child is an instance that runs as a local process.
type child struct {
	command process.Command
	data    string // removed with it
	process *process.Process
}

func (c *child) running() bool { return c.process != nil && c.process.Running() }

func (c *child) start() error {
	if c.running() {
		return errors.New("it runs already")
	}
	p, err := process.Start(c.command)
	if err != nil {
		return err
	}
	c.process = p
	return nil
}

func (c *child) signal(sig syscall.Signal) error { return c.process.Signal(sig) }

func (c *child) freeze() error { return c.process.SignalTree(syscall.SIGSTOP) }

func (c *child) thaw() error { return c.process.SignalTree(syscall.SIGCONT) }

func (c *child) wait(limit time.Duration) error {
	_, err := c.process.Wait(limit)
	return err
}

func (c *child) output() string {
	text, err := os.ReadFile(c.command.Stderr)
	if err != nil {
		return err.Error()
	}
	return lastLines(text, 30)
}

func (c *child) remove() {
	if c.running() {
		c.process.Kill()
	}
	os.RemoveAll(c.data)
}

func lastLines(text []byte, n int) string {
	lines := bytes.Split(bytes.TrimRight(text, "\n"), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-n):], []byte("\n")))
}
