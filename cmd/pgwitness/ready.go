package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"pgwitness/publish"
)

// unready tells why the trail does not move, nothing when it does: the slot is held, brokers answer and acknowledge, and
// the trail is not further behind than run.ready_lag.
func (m *monitor) unready(ctx context.Context) []string {
	p := m.present.Load()
	switch {
	case p == nil:
		return []string{"the slot is not held"}
	case p.sink == nil:
		return []string{"no broker has been reached yet"}
	}
	var reasons []string
	if err := m.reach.ask(ctx, p.sink); err != nil {
		reasons = append(reasons, "no broker answers: "+oneLine(err.Error()))
	}
	if n := p.sink.Stats().Failing; n > 0 {
		reasons = append(reasons, fmt.Sprintf("Kafka does not acknowledge, partitions: %d", n))
	}
	if limit := m.cfg.Run.ReadyLag; limit > 0 {
		m.lookout.look(ctx)
		for _, s := range m.stages(time.Now()) {
			if s.name == "confirmed" && s.known && s.late > limit {
				reasons = append(reasons, fmt.Sprintf("the trail is %s behind; run.ready_lag is %s", s.late.Round(time.Second), limit))
			}
		}
	}
	return reasons
}

// alive reports whether the run does what it owes: in a session, that the server hears of us in time, whatever becomes of
// Kafka. Between two sessions each step has its bound. Whoever asks starts another process when it is not.
func (m *monitor) alive() bool {
	p := m.present.Load()
	return p == nil || p.slot.Alive()
}

// health answers /healthz.
func (m *monitor) health(w http.ResponseWriter, _ *http.Request) {
	if !m.alive() {
		http.Error(w, "the session at the slot hangs: the server has heard nothing for too long", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// ready answers /readyz.
func (m *monitor) ready(w http.ResponseWriter, r *http.Request) {
	reasons := m.unready(r.Context())
	if len(reasons) == 0 {
		fmt.Fprintln(w, "ready")
		return
	}
	w.WriteHeader(http.StatusServiceUnavailable)
	for _, reason := range reasons {
		fmt.Fprintln(w, reason)
	}
}

// A reach remembers for a moment whether a broker answers, however often that is asked.
type reach struct {
	mu   sync.Mutex // guards the rest
	sink *publish.Sink
	at   time.Time
	err  error
}

const (
	reachEvery = time.Second
	reachTime  = 3 * time.Second
)

func (r *reach) ask(ctx context.Context, sink *publish.Sink) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sink == sink && time.Since(r.at) < reachEvery {
		return r.err
	}
	bounded, cancel := context.WithTimeout(ctx, reachTime)
	defer cancel()
	err := sink.Reach(bounded)
	if ctx.Err() == nil { // otherwise whoever asked has gone
		r.sink, r.at, r.err = sink, time.Now(), err
	}
	return err
}
