package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/jackc/pglogrepl"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"pgwitness/publish"
)

// A monitor answers GET /metrics (Prometheus), /healthz, /readyz and /status. It only looks: nothing can be changed through it.
type monitor struct {
	cfg     *config
	log     hclog.Logger
	who     *attendance
	seen    *coverage
	meter   *meter
	lookout *lookout
	reach   reach
	started time.Time

	present  atomic.Pointer[present] // nil between two sessions
	sessions atomic.Uint64           // begun

	server *http.Server // nil without an address
	served chan struct{}
	cancel context.CancelFunc

	bound func() (context.Context, context.CancelFunc) // of one look: Collect is given no context
}

// A present is the session that there is.
type present struct {
	slot  reading
	sink  *publish.Sink // nil until brokers have been reached
	began time.Time
}

// A reading is what a capture.Source says of itself.
type reading interface {
	Received() pglogrepl.LSN
	Alive() bool
}

// startMonitor listens at run.listen, until close. Without an address it only remembers the session.
func startMonitor(ctx context.Context, r *runner) (*monitor, error) {
	m := &monitor{cfg: r.cfg, log: r.log, who: r.who, seen: r.seen, meter: r.meter, lookout: &lookout{cfg: r.cfg, log: r.log}, started: time.Now()}
	ctx, m.cancel = context.WithCancel(ctx)
	m.bound = func() (context.Context, context.CancelFunc) { return context.WithTimeout(ctx, slotInterval) }
	secure, err := m.cfg.listenTLS(m.log)
	if err != nil || m.cfg.Run.Listen == "" {
		return m, err
	}
	listener, err := net.Listen("tcp", loopback(m.cfg.Run.Listen))
	if err != nil {
		return nil, fmt.Errorf("listen for metrics: %w: choose another address in run.listen", err)
	}
	if secure != nil {
		listener = tls.NewListener(listener, secure)
	}
	m.server = &http.Server{Handler: m.routes(), ReadHeaderTimeout: 5 * time.Second,
		ErrorLog: m.log.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug})}
	m.served = make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		m.lookout.watch(ctx)
	}()
	go func() {
		defer close(m.served)
		if err := m.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			m.log.Error("metrics are no longer served", "error", err)
		}
		<-watched
	}()
	m.log.Info("metrics", "address", listener.Addr().String(), "tls", secure != nil)
	return m, nil
}

// loopback puts the host that is meant in an address without one: who wants others to reach it says so.
func loopback(address string) string {
	if host, port, err := net.SplitHostPort(address); err == nil && host == "" {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return address
}

func (m *monitor) routes() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(m, &unwitnessed{cfg: m.cfg, log: m.log, bound: m.bound},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", m.health)
	mux.HandleFunc("GET /readyz", m.ready)
	mux.HandleFunc("GET /status", m.status)
	return mux
}

func (m *monitor) close() {
	m.cancel()
	if m.server != nil {
		m.server.Close()
		<-m.served
	}
}

// A stage is a step on a change's way, and how far it has come.
type stage struct {
	name   string // received, published, confirmed
	metric metric
	pos    pglogrepl.LSN

	known bool // there is something to compare with
	bytes int64
	late  time.Duration
}

// stages tells how far the present session has come, nothing without one.
func (m *monitor) stages(now time.Time) []stage {
	p := m.present.Load()
	if p == nil {
		return nil
	}
	all := []stage{{name: "received", metric: metricReceived, pos: p.slot.Received()}}
	if p.sink != nil {
		st := p.sink.Stats()
		all = append(all, stage{name: "published", metric: metricPublished, pos: st.Published},
			stage{name: "confirmed", metric: metricConfirmed, pos: st.Confirmed})
	}
	for i := range all {
		s := &all[i]
		var exact bool
		if s.bytes, s.late, exact, s.known = m.lookout.behind(now, s.pos); !exact {
			// A backlog from before this run: the commit that was read last was not later than what is still to come.
			s.late = max(s.late, age(now, m.seen.newest()))
		}
	}
	return all
}
