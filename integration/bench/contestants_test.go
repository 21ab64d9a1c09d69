//go:build integration

package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"pgwitness/integration/process"
	"pgwitness/integration/product"
	"pgwitness/integration/servers"
)

// A contestant reads a backlog from its beginning to its end.
type contestant struct {
	name  string
	plain bool // cannot come by TLS
	run   func(*testing.B, *backlog) (outcome, error)
}

// An outcome is what one run of a contestant took. A run whose delivery is not complete has none.
type outcome struct {
	Workload   string
	Contestant string
	Round      int
	Rows       int
	Seconds    float64
	Processor  float64 // seconds
	Memory     int64   // bytes, the most that was resident
	Error      string  `json:",omitempty"`
}

func (o *outcome) rate() float64 { return float64(o.Rows) / o.Seconds }

// microseconds is the processor time for a row.
func (o *outcome) microseconds() float64 { return o.Processor * 1e6 / float64(o.Rows) }

const (
	theirTCP, theirSocket = "pg_recvlogical-tcp", "pg_recvlogical-socket"
	ourTCP, ourSocket     = "pgwitness-tcp", "pgwitness-socket"
	debezium              = "debezium"
)

var contestants = []contestant{
	{name: theirTCP, run: func(b *testing.B, l *backlog) (outcome, error) { return l.discard(b, false) }},
	{name: ourTCP, run: func(b *testing.B, l *backlog) (outcome, error) { return l.deliver(b, false) }},
	{name: theirSocket, plain: true, run: func(b *testing.B, l *backlog) (outcome, error) { return l.discard(b, true) }},
	{name: ourSocket, plain: true, run: func(b *testing.B, l *backlog) (outcome, error) { return l.deliver(b, true) }},
	{name: debezium, run: func(b *testing.B, l *backlog) (outcome, error) { return l.convey(b) }},
}

// limit is how long a contestant may take for a backlog.
const limit = 30 * time.Minute

// discard reads the backlog with pg_recvlogical, which throws it away.
func (l *backlog) discard(b *testing.B, socket bool) (outcome, error) {
	program, err := exec.LookPath("pg_recvlogical")
	if err != nil {
		b.Fatal("pg_recvlogical is not installed (Debian: apt-get install postgresql-client)")
	}
	slot := l.copy(b)
	defer l.drop(b, slot)
	dir := b.TempDir()
	null, said := filepath.Join(dir, "null"), filepath.Join(dir, "stderr")
	if err := os.Symlink(os.DevNull, null); err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	p, err := process.Start(process.Command{Path: program, Stderr: said, Args: []string{"-d", l.source(b, socket), "--slot", slot,
		"--start", "-f", null, "--endpos", l.end, "-o", "proto_version=1", "-o", "publication_names=" + l.slot}})
	if err != nil {
		b.Fatal(err)
	}
	memory := peak(p)
	code, err := p.Wait(limit)
	o := outcome{Rows: l.rows, Seconds: time.Since(start).Seconds(), Processor: p.Processor().Seconds(), Memory: memory()}
	if err == nil && code != 0 {
		text, _ := os.ReadFile(said)
		err = fmt.Errorf("pg_recvlogical ended with %d\n%s", code, text)
	}
	return o, err
}

// deliver brings the backlog to Kafka with pgwitness; its start and its end count.
func (l *backlog) deliver(b *testing.B, socket bool) (outcome, error) {
	slot, prefix := l.copy(b), servers.Unique("p")
	defer l.drop(b, slot)
	start := time.Now()
	p := product.Start(b, l.names(slot, l.source(b, socket), prefix), "run", "--until", l.end)
	memory := peak(p)
	r := p.Wait(b, limit)
	o := outcome{Rows: l.rows, Seconds: time.Since(start).Seconds(), Processor: p.Processor().Seconds(), Memory: memory()}
	if r.Code != 0 {
		return o, fmt.Errorf("run: %d\n%s", r.Code, r.Stderr)
	}
	return o, l.verify(b, prefix)
}

// peak watches a process's memory; the function that it returns tells the most that was seen, after the end.
func peak(p interface {
	Ended() <-chan struct{}
	PeakMemory() int64
}) func() int64 {
	most := make(chan int64)
	go func() {
		var seen int64
		for {
			select {
			case <-p.Ended():
				most <- seen
				return
			case <-time.After(20 * time.Millisecond):
				seen = max(seen, p.PeakMemory())
			}
		}
	}()
	return func() int64 { return <-most }
}
