package main

import (
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pgwitness/capture/witness"
	"pgwitness/decode"
)

// A metric is one that a monitor collects.
type metric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

func newMetric(name, help string, kind prometheus.ValueType, labels ...string) metric {
	return metric{newDesc(name, help, labels...), kind}
}

func newDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("pgwitness_"+name, help, labels, nil)
}

const (
	counter = prometheus.CounterValue
	gauge   = prometheus.GaugeValue
)

var (
	metricBuild    = newMetric("build_info", "1; the version is in the labels.", gauge, "version", "commit", "go_version")
	metricUp       = newMetric("session_up", "1 while the slot is held and brokers have been reached.", gauge)
	metricSessions = newMetric("sessions_total", "Sessions at the slot that this run has begun.", counter)

	metricServer    = newMetric("server_lsn", "Position that the server had when it was last asked.", gauge)
	metricReceived  = newMetric("received_lsn", "Position up to which the slot has been read.", gauge)
	metricPublished = newMetric("published_lsn", "Position up to which Kafka has acknowledged everything.", gauge)
	metricConfirmed = newMetric("confirmed_lsn", "Position up to which everything is in Kafka, as the slot is told.", gauge)
	metricLagBytes  = newMetric("lag_bytes", "WAL between a position and the server's.", gauge, "stage")
	metricLag       = newMetric("lag_seconds", "How long ago the server went beyond a position.", gauge, "stage")
	metricRetained  = newMetric("retained_wal_bytes", "WAL that the server keeps for the slot.", gauge)
	metricBehind    = newMetric("unconfirmed_wal_bytes", "WAL between the slot's confirmed position and the server's.", gauge)

	metricRecords  = newMetric("records_total", "Records that Kafka has acknowledged.", counter, "topic", "op")
	metricBytes    = newMetric("record_bytes_total", "Bytes of acknowledged records before compression.", counter, "topic", "op")
	metricBatches  = newMetric("batches_total", "Record batches that Kafka has acknowledged.", counter, "topic")
	metricRetries  = newMetric("batch_retries_total", "Batches that were sent once more, by what went wrong before.", counter, "cause")
	metricOversize = newMetric("oversize_records_total", "Records delivered without their images because the topic does not take them.", counter)
	metricLatency  = newDesc("commit_to_record_seconds", "From a change's commit to Kafka's acknowledgement of its record.")
	metricBuffered = newMetric("buffered_bytes", "Bytes of records that Kafka has not acknowledged yet.", gauge)
	metricOldest   = newMetric("oldest_undelivered_seconds", "Age of the oldest change that Kafka has not acknowledged yet, 0 when there is none.", gauge)
	metricFailing  = newMetric("failing_partitions", "Partitions whose last batch Kafka has not acknowledged, or refused.", gauge)
	metricGaps     = newMetric("gaps", "Gaps that stand in the trail.", gauge, "state")

	metricTxs      = newMetric("transactions_by_evidence_total", "Transactions by the evidence for their session.", counter, "evidence")
	metricChanges  = newMetric("changes_by_evidence_total", "Changes by the evidence for their session.", counter, "evidence")
	metricHold     = newMetric("hold_in_force", "1 while commits wait for a witness that is there.", gauge)
	metricHoldAge  = newMetric("hold_behind_seconds", "How long the witness has owed its oldest answer, or has been away; 0 when it owes none.", gauge)
	metricHoldWait = newDesc("hold_wait_seconds", "How long commits waited for the witness, from their arrival there.", "level")
	metricLookUps  = newMetric("lookups_total", "Look-ups of committing sessions.", counter)
	metricFailures = newMetric("lookup_failures_total", "Look-ups that failed.", counter)
)

// Describe implements prometheus.Collector.
func (m *monitor) Describe(out chan<- *prometheus.Desc) { prometheus.DescribeByCollect(m, out) }

// Collect implements prometheus.Collector. What is not known is left out.
func (m *monitor) Collect(out chan<- prometheus.Metric) {
	c := collected{out}
	c.put(metricBuild, 1, version, commit(), runtime.Version())
	c.put(metricSessions, float64(m.sessions.Load()))
	ctx, cancel := m.bound()
	defer cancel()
	slot := m.lookout.look(ctx)
	if slot != nil {
		c.put(metricRetained, float64(slot.retainedBytes))
		c.put(metricBehind, float64(slot.behindBytes))
		c.put(metricServer, float64(slot.now))
	}
	c.session(m)
	c.meter(m.meter)
	counts := m.seen.counts()
	for _, by := range evidences {
		c.put(metricTxs, float64(counts[by].Transactions), by)
		c.put(metricChanges, float64(counts[by].Changes), by)
	}
	c.hold(m.who)
}

// evidences lists them all, the strongest first.
var evidences = []string{decode.EvidenceHold, decode.EvidenceContext, decode.EvidenceSample, decode.EvidenceUnverified, decode.EvidenceNone}

// collected is where metrics go.
type collected struct{ out chan<- prometheus.Metric }

func (c collected) put(x metric, value float64, labels ...string) {
	c.out <- prometheus.MustNewConstMetric(x.desc, x.kind, value, labels...)
}

func (c collected) histogram(desc *prometheus.Desc, h *histogram, labels ...string) {
	n, buckets := h.cumulative()
	c.out <- prometheus.MustNewConstHistogram(desc, n, h.sum, buckets, labels...)
}

// session is what the present session has, if there is one.
func (c collected) session(m *monitor) {
	now := time.Now()
	for _, s := range m.stages(now) {
		c.put(s.metric, float64(s.pos))
		if s.known {
			c.put(metricLagBytes, float64(s.bytes), s.name)
			c.put(metricLag, s.late.Seconds(), s.name)
		}
	}
	p := m.present.Load()
	if p == nil || p.sink == nil {
		c.put(metricUp, 0)
		return
	}
	st := p.sink.Stats()
	c.put(metricUp, 1)
	c.put(metricBuffered, float64(st.Buffered))
	c.put(metricOldest, age(now, st.Oldest).Seconds())
	c.put(metricFailing, float64(st.Failing))
	c.put(metricGaps, float64(st.Gaps), "open")
	c.put(metricGaps, float64(st.Accepted), "accepted")
}

// age is 0 for no time, and for one to come.
func age(now, then time.Time) time.Duration {
	if then.IsZero() {
		return 0
	}
	return max(0, now.Sub(then))
}

func (c collected) meter(m *meter) {
	m.mu.Lock()
	defer m.mu.Unlock()
	oversize := uint64(0)
	for topic, t := range m.topics {
		for op, n := range t.ops {
			if n.Records > 0 {
				c.put(metricRecords, float64(n.Records), topic, decode.Op(op).String())
				c.put(metricBytes, float64(n.Bytes), topic, decode.Op(op).String())
			}
		}
		c.put(metricBatches, float64(t.batches), topic)
		oversize += t.oversize
	}
	c.put(metricOversize, float64(oversize))
	for cause, n := range m.retries {
		c.put(metricRetries, float64(n), cause)
	}
	c.histogram(metricLatency, &m.latency)
	for level, h := range m.waits {
		c.histogram(metricHoldWait, h, string(level))
	}
}

func (c collected) hold(who *attendance) {
	var inForce, behind float64
	var st witness.Stats
	if k := who.held(); k != nil {
		if k.inForce() {
			inForce = 1
		}
		behind = k.behind().Seconds()
		if w := k.witness.Load(); w != nil {
			st = w.Stats()
		}
	}
	c.put(metricHold, inForce)
	c.put(metricHoldAge, behind)
	c.put(metricLookUps, float64(st.LookUps))
	c.put(metricFailures, float64(st.Failures))
}
