package publish

import (
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"
	"sync"
	"testing"

	"github.com/segmentio/kafka-go"

	"pgwitness/decode"
)

// counts is a Meter for tests.
type counts struct {
	mu      sync.Mutex // guards the rest
	records uint64
	retried map[string]int
}

func (c *counts) Acknowledged(_ string, t *Tally) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range t.Ops {
		c.records += n.Records
	}
}

func (c *counts) Retried(cause string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.retried == nil {
		c.retried = map[string]int{}
	}
	c.retried[cause]++
}

func (*counts) Oversize(string) {}

func (c *counts) total() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.records
}

func TestTally(t *testing.T) {
	b := &batch{}
	fill := func() {
		b.tally.add(decode.OpInsert, 1000, 10)
		b.tally.add(decode.OpInsert, 1000, 20)
		b.tally.add(decode.OpControl, 7, 5)
		b.tally.add(decode.OpDelete, 999, 30) // commit times need not grow
		b.tally.add(decode.OpInsert, 1000, 40)
	}
	fill()
	want := Tally{Moments: []Moment{{1000, 2}, {999, 1}, {1000, 1}}}
	want.Ops[decode.OpInsert], want.Ops[decode.OpDelete], want.Ops[decode.OpControl] = Count{3, 70}, Count{1, 30}, Count{1, 5}
	if !reflect.DeepEqual(b.tally, want) {
		t.Errorf("%+v, want %+v", b.tally, want)
	}
	b.reset()
	if n := testing.AllocsPerRun(10, func() { fill(); b.reset() }); n != 0 {
		t.Errorf("a batch that is used again allocates %v times", n)
	}
	fill()
	if !reflect.DeepEqual(b.tally, want) {
		t.Errorf("used again: %+v, want %+v", b.tally, want)
	}
}

func TestCauses(t *testing.T) {
	for want, err := range map[string]error{
		"not_leader_for_partition": fmt.Errorf("write: %w", kafka.NotLeaderForPartition),
		"not_enough_replicas":      kafka.NotEnoughReplicas,
		"connect":                  &net.OpError{Op: "dial", Err: errors.New("refused")},
		"timeout":                  fmt.Errorf("round trip: %w", context.DeadlineExceeded),
		"connection":               errors.New("EOF"),
	} {
		if got := causeOf(err); got != want {
			t.Errorf("%v: %s, want %s", err, got, want)
		}
	}
}
