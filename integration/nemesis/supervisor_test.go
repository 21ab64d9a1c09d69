//go:build integration

package nemesis

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"pgwitness/integration/process"
)

// A supervisor keeps pgwitness running as a service manager would: whatever ends is started again, after a moment.
type supervisor struct {
	command process.Command
	tell    func(format string, args ...any)
	done    chan struct{}
	zombies sync.WaitGroup

	mu       sync.Mutex // guards the rest
	current  *instance
	all      []*instance
	kills    int
	woken    int         // zombies
	taken    []*instance // zombies that must end, unless the slot is free again
	stopping bool
	last     int            // the exit code of the last one
	reasons  map[string]int // why instances ended by themselves
	latest   string         // of those
	faults   []string       // ends that must not be
}

// An instance is one run of pgwitness.
type instance struct {
	*process.Process
	name, output string
	asked        bool          // to end; guarded by supervisor.mu
	left         chan struct{} // closed when it is left behind, stopped
	said         int           // the length of its output when it was woken
}

const restartPause = 150 * time.Millisecond

func supervise(c process.Command, tell func(string, ...any)) *supervisor {
	s := &supervisor{command: c, tell: tell, reasons: make(map[string]int), done: make(chan struct{})}
	go s.loop()
	return s
}

func (s *supervisor) loop() {
	defer close(s.done)
	for p := s.start(); p != nil; p = s.start() {
		select {
		case <-p.Ended():
			s.last = s.ended(p)
			time.Sleep(restartPause)
		case <-p.left:
		}
	}
}

// start starts the next one, unless everything is to end.
func (s *supervisor) start() *instance {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return nil
	}
	i := &instance{name: fmt.Sprintf("pgwitness-%03d", len(s.all)+1), left: make(chan struct{})}
	i.output = filepath.Join(s.command.Dir, i.name)
	c := s.command
	c.Stdout, c.Stderr = i.output, i.output
	var err error
	if i.Process, err = process.Start(c); err != nil {
		s.faults = append(s.faults, err.Error())
		return nil
	}
	s.current = i
	s.all = append(s.all, i)
	return i
}

// ended judges an end and returns the exit code.
func (s *supervisor) ended(i *instance) int {
	code, err := i.Wait(time.Second)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.faults = append(s.faults, err.Error())
	} else {
		s.judge(i, code, readFile(i.output))
	}
	return code
}

// judge decides whether an end may be. Code 1 may: something was in the way, and the next run goes on. The caller holds
// s.mu.
func (s *supervisor) judge(i *instance, code int, said string) {
	line := lastLine(said)
	if strings.Contains(said, "DATA RACE") || strings.Contains(said, "goroutine ") {
		s.faults = append(s.faults, fmt.Sprintf("%s: a race or a panic: %s", i.name, said))
	}
	switch {
	case code == 128+int(syscall.SIGKILL):
	case i.asked && (code == 0 || code == 128+int(syscall.SIGTERM)): // it may not listen yet
	case code == 1:
		why := reason(line)
		s.reasons[why]++
		if why != s.latest { // once is enough
			s.latest = why
			s.tell("%s ended with 1: %s", i.name, line)
		}
	default:
		s.faults = append(s.faults, fmt.Sprintf("%s ended with %d: %s", i.name, code, line))
	}
}

// kill ends the current one at once.
func (s *supervisor) kill() {
	s.signal(syscall.SIGKILL)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kills++
}

// signal sends the current one a signal.
func (s *supervisor) signal(sig syscall.Signal) *instance {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.current
	i.asked = i.asked || sig == syscall.SIGTERM
	i.Signal(sig)
	return i
}

// abandon stops the current one where it stands, and lets another be started.
func (s *supervisor) abandon() *instance {
	i := s.signal(syscall.SIGSTOP)
	close(i.left)
	return i
}

// wake lets a zombie go on. One whose place was taken must end, unless whoever took it has gone as well; another may
// stand by until the round ends.
func (s *supervisor) wake(i *instance, taken bool) {
	i.said = len(readFile(i.output))
	i.Signal(syscall.SIGCONT)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.woken++
	s.zombies.Go(func() {
		<-i.Ended()
		s.ended(i)
	})
	if taken {
		s.taken = append(s.taken, i)
	}
}

// holdsAgain reports whether a zombie has found its slot free.
func (i *instance) holdsAgain() bool {
	return strings.Contains(readFile(i.output)[i.said:], "replication started")
}

// stop asks for the end and returns the exit code.
func (s *supervisor) stop(limit time.Duration) (int, error) {
	s.mu.Lock()
	taken := s.taken
	s.mu.Unlock()
	for _, i := range taken {
		for deadline := time.Now().Add(2 * time.Minute); i.Running() && !i.holdsAgain(); time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				return 0, fmt.Errorf("%s was taken over, woken, and does not end", i.name)
			}
		}
	}
	s.mu.Lock()
	s.stopping = true
	for _, i := range s.all {
		i.asked = true
		i.Signal(syscall.SIGTERM)
	}
	s.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		<-s.done
		s.zombies.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(limit):
		return 0, fmt.Errorf("pgwitness does not end within %s of SIGTERM", limit)
	}
	return s.last, nil
}

// bury ends everything that is left.
func (s *supervisor) bury() {
	s.mu.Lock()
	s.stopping = true
	for _, i := range s.all {
		if i.Running() {
			i.Signal(syscall.SIGCONT)
			i.Signal(syscall.SIGKILL)
		}
	}
	s.mu.Unlock()
	<-s.done
	s.zombies.Wait()
}

func readFile(name string) string {
	text, err := os.ReadFile(name)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
