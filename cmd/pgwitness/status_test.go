package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestStatus(t *testing.T) {
	lag := 0.25
	for _, tt := range []struct {
		name string
		slot *slot
		lag  *float64
	}{
		{"active", &slot{active: true, holder: "pid 4711 (application pgwitness\x1b)", walStatus: "reserved", restart: "0/100", confirmed: "0/200",
			behindBytes: 5 << 20, retainedBytes: 3 << 30}, &lag},
		{"idle", &slot{walStatus: "extended", restart: "0/100", confirmed: "0/200", behindBytes: 12, retainedBytes: 10239}, nil},
		{"lost", &slot{walStatus: "lost", invalidation: "wal_removed"}, nil},
		{"missing", nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := shop(180000)
			s.slot = tt.slot
			if tt.slot != nil {
				s.publication = &publication{}
				s.tables[0].published, s.tables[1].published = true, true
			}
			st := statusOf(s, defaultConfig())
			st.Source = "database shop on db:5432 as pgwitness"
			st.Slot.LagSeconds = tt.lag
			st.Topics = []topicStatus{
				{"pgwitness.billing.invoice", []partitionStatus{{0, 0, 7, 7}, {1, 5, 10, 5}}},
				{"pgwitness.control", []partitionStatus{{0, 0, 3, 3}}},
			}
			if tt.name == "active" {
				st.Who.Hold, st.Who.Witness = "on", "pgwitness_witness"
				st.Who.count(counted)
				st.Run = reported()
			}
			if tt.name == "idle" {
				st.RunError = "ask the run at http://127.0.0.1:9187: connection refused"
			}
			var b strings.Builder
			if err := st.write(&b); err != nil {
				t.Fatal(err)
			}
			raw, err := json.MarshalIndent(st, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, "status/"+tt.name+".golden", b.String()+string(raw)+"\n")
		})
	}
}

// reported is what a run says that Kafka keeps waiting.
func reported() *report {
	since := time.Unix(1_700_000_000, 0).UTC()
	return &report{
		Version: "1.2.3", Commit: "abc", StartedAt: since, Sessions: 2, SessionSince: &since,
		NotReady: []string{"no broker answers: EOF", "Kafka does not acknowledge, partitions: 1"}, ServerLSN: "0/500",
		Stages: []stageReport{
			{"received", "0/400", new(int64(256)), new(.5)}, {"published", "0/300", new(int64(512)), new(90.0)}, {"confirmed", "0/200", nil, nil},
		},
		Retained: new(int64(3 << 30)), Buffered: 20000, Oldest: 91.5, Accepted: 1, Retries: 7, Oversize: 1, Evidence: tally{"hold": {5, 900}},
		Hold:   &holdReport{true, .002},
		Topics: []topicReport{{"pgwitness.billing.invoice", map[string]uint64{"insert": 10, "update": 2}, 2500}},
	}
}

// counted is what the control topic has of a day: two counts of its last hour, and what is not one.
var counted = []tailRecord{
	{millis: 1_700_000_000_000, value: []byte(`{"op":"coverage","observed":{"evidence":{"none":{"transactions":9,"changes":99}}}}`)},
	{millis: 1_700_086_000_000, value: []byte(`{"op":"coverage","observed":{"evidence":{"hold":{"transactions":5,"changes":900},"none":{"transactions":1,"changes":1}}}}`)},
	{millis: 1_700_086_030_000, value: []byte(`{"op":"bound"}`)},
	{millis: 1_700_086_060_000, value: []byte(`{"op":"coverage","observed":{"evidence":{"hold":{"transactions":1,"changes":1},"context":{"transactions":2,"changes":97},"context-unverified":{"transactions":1,"changes":1}}}}`)},
	{millis: 1_700_086_070_000, value: []byte(`{"op":"stopped"}`)},
}

func TestBytesText(t *testing.T) {
	for n, want := range map[int64]string{0: "0 bytes", 10239: "10239 bytes", 10240: "10 kB", 16 << 20: "16 MB", 5 << 40: "5120 GB", -5: "-5 bytes"} {
		if got := bytesText(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
