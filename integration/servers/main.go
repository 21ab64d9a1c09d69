//go:build integration

package servers

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// Main runs a package's tests and stops what they shared. It is for TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }
func Main(m *testing.M) int {
	code := m.Run()
	running.stop()
	if scratch.dir != "" {
		os.RemoveAll(scratch.dir)
	}
	return code
}

// running holds what must be stopped before the process ends.
var running launched

type launched struct {
	mu    sync.Mutex // guards stops
	stops []func()
}

func (l *launched) add(stop func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stops = append(l.stops, stop)
}

func (l *launched) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, stop := range l.stops {
		stop()
	}
	l.stops = nil
}

// announce says once where servers come from.
func announce(what string, from source) {
	said.Do(what, func() { fmt.Printf("servers: %s from %s\n", what, from) })
}

var said onceEach

type onceEach struct {
	mu   sync.Mutex // guards done
	done map[string]bool
}

func (o *onceEach) Do(key string, f func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.done[key] {
		return
	}
	if o.done == nil {
		o.done = make(map[string]bool)
	}
	o.done[key] = true
	f()
}

// scratch is the directory of this test process, for data that a crash may leave behind: its name carries the process
// id, so that a later run can tell that nobody uses it any more.
var scratch struct {
	once sync.Once
	dir  string
	err  error
}

const scratchPrefix = "pgwitness-test-"

// Scratch makes a directory that others may pass through and that is removed when the test process ends.
func Scratch(name string) (string, error) {
	scratch.once.Do(func() {
		sweep()
		scratch.dir, scratch.err = os.MkdirTemp("", fmt.Sprintf("%s%d-", scratchPrefix, os.Getpid()))
		if scratch.err == nil {
			scratch.err = os.Chmod(scratch.dir, 0o755)
		}
	})
	if scratch.err != nil {
		return "", scratch.err
	}
	dir, err := os.MkdirTemp(scratch.dir, name+"-")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}

// sweep removes what test processes that are gone have left.
func sweep() {
	left, _ := filepath.Glob(filepath.Join(os.TempDir(), scratchPrefix+"*"))
	for _, dir := range left {
		owner, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), scratchPrefix), "-")
		pid, err := strconv.Atoi(owner)
		if err == nil && syscall.Kill(pid, 0) == syscall.ESRCH {
			os.RemoveAll(dir)
		}
	}
}
