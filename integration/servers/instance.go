//go:build integration

package servers

import (
	"syscall"
	"time"
)

// An instance is one server as its source runs it: a local process or a container. It keeps its address and its data
// from one start to the next.
type instance interface {
	start() error
	signal(syscall.Signal) error // to the server's first process
	freeze() error               // stops everything it runs, as SIGSTOP does
	thaw() error
	wait(time.Duration) error // until it has ended
	output() string           // the last lines that it wrote
	remove()                  // ends it and forgets its data
}

// end stops an instance by a signal and waits for its end.
func end(i instance, sig syscall.Signal, limit time.Duration) error {
	if err := i.signal(sig); err != nil {
		return err
	}
	return i.wait(limit)
}

// until calls f until it returns nil or the time is over, and returns its last error.
func until(limit time.Duration, f func() error) error {
	for deadline := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		err := f()
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}
