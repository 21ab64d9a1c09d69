package main

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"pgwitness/decode"
)

// A report is what a run says of itself at /status; its JSON names are stable.
type report struct {
	Version      string        `json:"version"`
	Commit       string        `json:"commit"`
	StartedAt    time.Time     `json:"started_at"`
	Sessions     uint64        `json:"sessions"`
	SessionSince *time.Time    `json:"session_since"` // null between two
	Ready        bool          `json:"ready"`
	NotReady     []string      `json:"not_ready,omitempty"`
	ServerLSN    string        `json:"server_lsn,omitempty"`
	Stages       []stageReport `json:"stages"`
	Retained     *int64        `json:"retained_bytes"` // null: not known
	Buffered     int           `json:"buffered_bytes"`
	Oldest       float64       `json:"oldest_undelivered_seconds"`
	Gaps         int           `json:"gaps"`
	Accepted     int           `json:"gaps_accepted"`
	Retries      uint64        `json:"batch_retries"`
	Oversize     uint64        `json:"oversize_records"`
	Evidence     tally         `json:"evidence"`
	Hold         *holdReport   `json:"hold,omitempty"`
	Topics       []topicReport `json:"topics"`
}

type stageReport struct {
	Stage      string   `json:"stage"` // received, published, confirmed
	LSN        string   `json:"lsn"`
	LagBytes   *int64   `json:"lag_bytes"` // null: not known
	LagSeconds *float64 `json:"lag_seconds"`
}

type holdReport struct {
	InForce bool    `json:"in_force"`
	Behind  float64 `json:"behind_seconds"`
}

// A topicReport is of what this run has delivered.
type topicReport struct {
	Name    string            `json:"name"`
	Records map[string]uint64 `json:"records"` // by operation
	Bytes   uint64            `json:"bytes"`
}

func (m *monitor) report(ctx context.Context) *report {
	r := &report{
		Version: version, Commit: commit(), StartedAt: m.started.UTC(), Sessions: m.sessions.Load(),
		NotReady: m.unready(ctx), Stages: []stageReport{}, Evidence: m.seen.counts(),
	}
	r.Ready = len(r.NotReady) == 0
	if slot := m.lookout.look(ctx); slot != nil {
		r.ServerLSN, r.Retained = slot.now.String(), &slot.retainedBytes
	}
	now := time.Now()
	for _, s := range m.stages(now) {
		one := stageReport{Stage: s.name, LSN: s.pos.String()}
		if s.known {
			one.LagBytes, one.LagSeconds = &s.bytes, new(s.late.Seconds())
		}
		r.Stages = append(r.Stages, one)
	}
	if p := m.present.Load(); p != nil {
		r.SessionSince = new(p.began.UTC())
		if p.sink != nil {
			st := p.sink.Stats()
			r.Buffered, r.Oldest, r.Gaps, r.Accepted = st.Buffered, age(now, st.Oldest).Seconds(), st.Gaps, st.Accepted
		}
	}
	if k := m.who.held(); k != nil {
		r.Hold = &holdReport{k.inForce(), k.behind().Seconds()}
	}
	r.count(m.meter)
	return r
}

// count takes what the meter has.
func (r *report) count(m *meter) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r.Topics = make([]topicReport, 0, len(m.topics))
	for name, t := range m.topics {
		one := topicReport{Name: name, Records: map[string]uint64{}}
		for op, n := range t.ops {
			if n.Records > 0 {
				one.Records[decode.Op(op).String()] = n.Records
				one.Bytes += n.Bytes
			}
		}
		r.Oversize += t.oversize
		r.Topics = append(r.Topics, one)
	}
	slices.SortFunc(r.Topics, func(a, b topicReport) int { return strings.Compare(a.Name, b.Name) })
	for _, n := range m.retries {
		r.Retries += n
	}
}

// status answers /status.
func (m *monitor) status(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.Encode(m.report(r.Context())) // whoever asked may have gone
}
