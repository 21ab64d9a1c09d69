package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"pgwitness/capture/witness"
	"pgwitness/decode"
	"pgwitness/publish"
)

// A monitor answers GET /metrics (Prometheus) and GET /healthz. It only looks: nothing can be changed through it.
type monitor struct {
	cfg  *config
	log  hclog.Logger
	sink atomic.Pointer[publish.Sink] // of the session that runs, nil between two
	who  *attendance
	seen *coverage

	sessions atomic.Uint64 // begun

	server *http.Server
	served chan struct{}

	bound func() (context.Context, context.CancelFunc) // of one look at the slot: Collect is given no context

	mu    sync.Mutex // guards the look at the slot
	slot  *slot
	asked time.Time
}

// slotInterval bounds how often the server is asked for the slot, however often metrics are.
const slotInterval = 5 * time.Second

// startMonitor listens at run.listen, until close. Without an address it only remembers the session.
func startMonitor(ctx context.Context, cfg *config, who *attendance, seen *coverage, log hclog.Logger) (*monitor, error) {
	m := &monitor{cfg: cfg, log: log, who: who, seen: seen}
	m.bound = func() (context.Context, context.CancelFunc) { return context.WithTimeout(ctx, slotInterval) }
	if cfg.Run.Listen == "" {
		return m, nil
	}
	listener, err := net.Listen("tcp", cfg.Run.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen for metrics: %w: choose another address in run.listen", err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(m, &unwitnessed{cfg: cfg, log: log, bound: m.bound}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", m.health)
	m.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	m.served = make(chan struct{})
	go func() {
		defer close(m.served)
		if err := m.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("metrics are no longer served", "error", err)
		}
	}()
	log.Info("metrics", "address", listener.Addr().String())
	return m, nil
}

func (m *monitor) close() {
	if m.server != nil {
		m.server.Close()
		<-m.served
	}
}

// health says whether a session runs.
func (m *monitor) health(w http.ResponseWriter, _ *http.Request) {
	if m.sink.Load() == nil {
		http.Error(w, "starting", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// A metric is one that a monitor collects.
type metric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

func newMetric(name, help string, kind prometheus.ValueType, labels ...string) metric {
	return metric{prometheus.NewDesc("pgwitness_"+name, help, labels, nil), kind}
}

var (
	metricRecords   = newMetric("records_total", "Records that Kafka has acknowledged.", prometheus.CounterValue)
	metricBytes     = newMetric("record_bytes_total", "Bytes of acknowledged records before compression.", prometheus.CounterValue)
	metricBatches   = newMetric("batches_total", "Record batches that Kafka has acknowledged.", prometheus.CounterValue)
	metricRetries   = newMetric("batch_retries_total", "Batches that were sent once more.", prometheus.CounterValue)
	metricOversize  = newMetric("oversize_records_total", "Records delivered without their images because the topic does not take them.", prometheus.CounterValue)
	metricBuffered  = newMetric("buffered_bytes", "Bytes of records that Kafka has not acknowledged yet.", prometheus.GaugeValue)
	metricOldest    = newMetric("oldest_undelivered_seconds", "Age of the oldest change that Kafka has not acknowledged yet, 0 when there is none.", prometheus.GaugeValue)
	metricConfirmed = newMetric("confirmed_lsn", "Position up to which everything is in Kafka.", prometheus.GaugeValue)
	metricRetained  = newMetric("retained_wal_bytes", "WAL that the server keeps for the slot.", prometheus.GaugeValue)
	metricBehind    = newMetric("unconfirmed_wal_bytes", "WAL between the slot's confirmed position and the server's.", prometheus.GaugeValue)
	metricTxs       = newMetric("transactions_by_evidence_total", "Transactions by the evidence for their session.", prometheus.CounterValue, "evidence")
	metricChanges   = newMetric("changes_by_evidence_total", "Changes by the evidence for their session.", prometheus.CounterValue, "evidence")
	metricHold      = newMetric("hold_in_force", "1 while commits wait for a witness that is there.", prometheus.GaugeValue)
	metricHoldAge   = newMetric("hold_behind_seconds", "How long the witness has owed its oldest answer, or has been away; 0 when it owes none.", prometheus.GaugeValue)
	metricLookUps   = newMetric("lookups_total", "Look-ups of committing sessions.", prometheus.CounterValue)
	metricFailures  = newMetric("lookup_failures_total", "Look-ups that failed.", prometheus.CounterValue)
	metricSessions  = newMetric("sessions_total", "Sessions at the slot that this run has begun.", prometheus.CounterValue)
	metricUp        = newMetric("session_up", "1 while the slot is held and brokers have been reached.", prometheus.GaugeValue)
)

// Describe implements prometheus.Collector.
func (m *monitor) Describe(out chan<- *prometheus.Desc) { prometheus.DescribeByCollect(m, out) }

// Collect implements prometheus.Collector. What is not known is left out.
func (m *monitor) Collect(out chan<- prometheus.Metric) {
	put := func(x metric, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(x.desc, x.kind, value, labels...)
	}
	put(metricSessions, float64(m.sessions.Load()))
	sink := m.sink.Load()
	if sink == nil {
		put(metricUp, 0)
	} else {
		put(metricUp, 1)
		st := sink.Stats()
		put(metricRecords, float64(st.Records))
		put(metricBytes, float64(st.Bytes))
		put(metricBatches, float64(st.Batches))
		put(metricRetries, float64(st.Retries))
		put(metricOversize, float64(st.Oversize))
		put(metricBuffered, float64(st.Buffered))
		put(metricConfirmed, float64(st.Confirmed))
		age := 0.0
		if !st.Oldest.IsZero() {
			age = max(0, time.Since(st.Oldest).Seconds())
		}
		put(metricOldest, age)
	}
	counts := m.seen.counts()
	for _, by := range []string{decode.EvidenceHold, decode.EvidenceContext, decode.EvidenceSample, decode.EvidenceUnverified, decode.EvidenceNone} {
		put(metricTxs, float64(counts[by].Transactions), by)
		put(metricChanges, float64(counts[by].Changes), by)
	}
	var inForce, behind float64
	var st witness.Stats
	if k := m.who.held(); k != nil {
		if k.inForce() {
			inForce = 1
		}
		behind = k.behind().Seconds()
		if w := k.witness.Load(); w != nil {
			st = w.Stats()
		}
	}
	put(metricHold, inForce)
	put(metricHoldAge, behind)
	put(metricLookUps, float64(st.LookUps))
	put(metricFailures, float64(st.Failures))
	if k := m.lookAtSlot(); k != nil {
		put(metricRetained, float64(k.retainedBytes))
		put(metricBehind, float64(k.behindBytes))
	}
}

// lookAtSlot asks the server for the slot, in a session of its own: the one that captures is not disturbed. Without an
// answer it returns nil.
func (m *monitor) lookAtSlot() *slot {
	m.mu.Lock()
	defer m.mu.Unlock()
	if time.Since(m.asked) < slotInterval {
		return m.slot
	}
	m.slot, m.asked = nil, time.Now()
	ctx, cancel := m.bound()
	defer cancel()
	conn, err := connect(ctx, m.cfg, "metrics", io.Discard)
	if err != nil {
		m.log.Warn("metrics: no look at the slot", "error", err)
		return nil
	}
	defer conn.Close(ctx)
	var s survey
	if err := s.readSlot(ctx, conn, m.cfg.Source.Slot); err != nil {
		m.log.Warn("metrics: no look at the slot", "error", err)
		return nil
	}
	m.slot = s.slot
	return s.slot
}
