package main

import (
	"slices"
	"sync"
	"time"

	"pgwitness/capture/witness"
	"pgwitness/decode"
	"pgwitness/publish"
)

// A meter counts what all sessions of a run have delivered, and how long that took. It is a publish.Meter.
type meter struct {
	mu      sync.Mutex // guards the rest
	topics  map[string]*topicCount
	retries map[string]uint64 // by cause
	latency histogram         // from a commit to the acknowledgement of its records
	waits   map[witness.Level]*histogram
}

type topicCount struct {
	ops               [decode.Ops]publish.Count
	batches, oversize uint64
}

// The bounds of the histograms' buckets, in seconds. A record may lie in a backlog for hours; a commit waits as long as
// hold.max_wait allows.
var (
	latencyBounds = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200}
	waitBounds    = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
)

func newMeter() *meter {
	return &meter{
		topics:  map[string]*topicCount{},
		retries: map[string]uint64{"connect": 0, "connection": 0, "timeout": 0}, // Kafka's answers join them
		latency: newHistogram(latencyBounds),
		waits:   map[witness.Level]*histogram{witness.Known: new(newHistogram(waitBounds)), witness.Durable: new(newHistogram(waitBounds))},
	}
}

// topic is the topic's count. The caller holds m.mu.
func (m *meter) topic(name string) *topicCount {
	t := m.topics[name]
	if t == nil {
		t = new(topicCount)
		m.topics[name] = t
	}
	return t
}

func (m *meter) Acknowledged(topic string, counted *publish.Tally) {
	now := time.Now().UnixMilli()
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.topic(topic)
	t.batches++
	for op, n := range counted.Ops {
		t.ops[op].Records += n.Records
		t.ops[op].Bytes += n.Bytes
	}
	for _, at := range counted.Moments {
		m.latency.add(float64(now-at.Millis)/1000, at.Records)
	}
}

func (m *meter) Retried(cause string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.retries[cause]++
}

func (m *meter) Oversize(topic string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.topic(topic).oversize++
}

// records is how many have been delivered.
func (m *meter) records() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	total := uint64(0)
	for _, t := range m.topics {
		for _, n := range t.ops {
			total += n.Records
		}
	}
	return total
}

// waited is witness.Config.Waited.
func (m *meter) waited(level witness.Level, wait time.Duration, commits int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.waits[level].add(wait.Seconds(), uint64(commits))
}

// A histogram counts values by size.
type histogram struct {
	bounds []float64 // of the buckets, upwards: each counts what is not above it
	counts []uint64  // one more than bounds
	sum    float64
}

func newHistogram(bounds []float64) histogram {
	return histogram{bounds: bounds, counts: make([]uint64, len(bounds)+1)}
}

// add counts a value n times. Clocks differ: what took less than nothing took nothing.
func (h *histogram) add(value float64, n uint64) {
	value = max(value, 0)
	i, _ := slices.BinarySearch(h.bounds, value)
	h.counts[i] += n
	h.sum += value * float64(n)
}

// cumulative is the form that Prometheus wants: how many values are not above each bound, and how many there are.
func (h *histogram) cumulative() (total uint64, upTo map[float64]uint64) {
	upTo = make(map[float64]uint64, len(h.bounds))
	for i, bound := range h.bounds {
		total += h.counts[i]
		upTo[bound] = total
	}
	return total + h.counts[len(h.bounds)], upTo
}
