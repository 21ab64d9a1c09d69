package main

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// A calmLogger does not repeat warnings and errors without end: a broker that is away for a week must not fill a disk. The
// first of a kind are told at once; those that follow are counted, and the next one that is told says how many there were.
type calmLogger struct {
	hclog.Logger
	repeats *repeats
}

func calm(log hclog.Logger) hclog.Logger {
	return calmLogger{log, &repeats{kinds: make(map[string]*repeat)}}
}

func (l calmLogger) Warn(msg string, args ...any)  { l.tell(hclog.Warn, msg, args) }
func (l calmLogger) Error(msg string, args ...any) { l.tell(hclog.Error, msg, args) }

func (l calmLogger) tell(level hclog.Level, msg string, args []any) {
	held, ok := l.repeats.tell(time.Now(), msg, subject(args))
	if !ok {
		return
	}
	if held > 0 {
		args = append(args[:len(args):len(args)], "repeated", held)
	}
	l.Logger.Log(level, msg, args...)
}

// Log implements hclog.Logger.
func (l calmLogger) Log(level hclog.Level, msg string, args ...any) {
	if level >= hclog.Warn {
		l.tell(level, msg, args)
		return
	}
	l.Logger.Log(level, msg, args...)
}

// With implements hclog.Logger.
func (l calmLogger) With(args ...any) hclog.Logger {
	return calmLogger{l.Logger.With(args...), l.repeats}
}

// Named implements hclog.Logger.
func (l calmLogger) Named(name string) hclog.Logger {
	return calmLogger{l.Logger.Named(name), l.repeats}
}

// ResetNamed implements hclog.Logger.
func (l calmLogger) ResetNamed(name string) hclog.Logger {
	return calmLogger{l.Logger.ResetNamed(name), l.repeats}
}

// subjects are the arguments that say what a line is about. The others, such as errors and tries, say how it is.
var subjects = []string{"id", "partition", "topic", "schema", "table", "name", "op", "change", "gap", "step", "message"}

func subject(args []any) string {
	var b strings.Builder
	for i := 0; i+1 < len(args); i += 2 {
		for _, name := range subjects {
			if args[i] == name {
				fmt.Fprintf(&b, "%s=%v ", name, args[i+1])
			}
		}
	}
	return b.String()
}

// repeats knows what has been told. There are as many kinds as messages in the program.
type repeats struct {
	mu    sync.Mutex // guards the rest
	kinds map[string]*repeat
}

// A repeat is a message that has been told.
type repeat struct {
	since time.Time       // of the present pause
	pause time.Duration   // in which no subject is told twice, and only a few are
	told  map[string]bool // subjects
	held  int             // what has not been told
}

const (
	leastSilence = 10 * time.Second // doubles as long as there are repeats
	mostSilence  = 10 * time.Minute
	mostSubjects = 10
)

// tell reports whether a line is to be told, and how many of its kind were not since the last one that was.
func (r *repeats) tell(now time.Time, msg, subject string) (held int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.kinds[msg]
	switch {
	case k == nil:
		k = &repeat{pause: leastSilence / 2}
		r.kinds[msg] = k
	case now.Sub(k.since) < k.pause && (k.told[subject] || len(k.told) == mostSubjects):
		k.held++
		return 0, false
	case now.Sub(k.since) < k.pause:
		k.told[subject] = true
		return 0, true
	case now.Sub(k.since) > 2*k.pause: // it has been quiet
		k.pause = leastSilence / 2
	}
	held = k.held
	*k = repeat{since: now, pause: min(2*k.pause, mostSilence), told: map[string]bool{subject: true}}
	return held, true
}
