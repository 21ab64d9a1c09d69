package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"
)

// A whoStatus is what is known of whose changes the trail has.
type whoStatus struct {
	Hold      string `json:"hold"`                 // none, off, on, hanging
	Witness   string `json:"witness,omitempty"`    // its name, with hold on or off
	Evidence  tally  `json:"evidence,omitempty"`   // of the last hour that was counted
	CountedAt string `json:"counted_at,omitempty"` // when the newest count was made
}

// holdWord says how hold stands.
func (h *holdState) word() string {
	switch {
	case h.slot == nil && !h.listed():
		return "none"
	case !h.listed():
		return "off"
	case h.streaming():
		return "on"
	}
	return "hanging"
}

// countedTime is how much of the counts of the control topic is added up.
const countedTime = time.Hour

// lastNotes is how many of its newest offsets are read for that: a count a minute, and what stands between them.
const lastNotes = 500

// readCoverage adds up the newest counts in the control topic, if there is one.
func (w *whoStatus) readCoverage(ctx context.Context, c *cluster, cfg *config, topics []kafka.Topic, all map[partitionID]bounds) error {
	id := partitionID{cfg.Kafka.Prefix + ".control", 0}
	i := slices.IndexFunc(topics, func(t kafka.Topic) bool { return t.Name == id.topic })
	if i < 0 || len(topics[i].Partitions) != 1 {
		return nil
	}
	b := all[id]
	p := &tailPartition{id: id, next: max(b.start, b.end-lastNotes), end: b.end}
	f := follower{cluster: c, cfg: cfg, untilEnd: true}
	var notes []tailRecord
	for !p.atEnd() {
		if err := f.fetch(ctx, []*tailPartition{p}); err != nil {
			return err
		}
		notes = append(notes, p.waiting...)
		p.waiting = nil
	}
	w.count(notes)
	return nil
}

// count takes the counts from records of the control topic, the newest hour of them.
func (w *whoStatus) count(notes []tailRecord) {
	newest := int64(0)
	for _, r := range slices.Backward(notes) {
		var note struct {
			Op       string `json:"op"`
			Observed struct {
				Evidence tally `json:"evidence"`
			} `json:"observed"`
		}
		if json.Unmarshal(r.value, &note) != nil || note.Op != "coverage" {
			continue
		}
		if newest == 0 {
			newest, w.Evidence = r.millis, tally{}
			w.CountedAt = time.UnixMilli(newest).UTC().Format(time.RFC3339)
		}
		if newest-r.millis > countedTime.Milliseconds() {
			return
		}
		for by, n := range note.Observed.Evidence {
			sum := w.Evidence[by]
			w.Evidence[by] = count{sum.Transactions + n.Transactions, sum.Changes + n.Changes}
		}
	}
}

// text shows the counts, the strongest evidence first.
func (w *whoStatus) text() string {
	order := []string{"hold", "context", "sample", "context-unverified", "none"}
	total, named := uint64(0), uint64(0)
	var parts []string
	for _, by := range slices.SortedFunc(maps.Keys(w.Evidence), func(a, b string) int {
		return cmp.Compare(slices.Index(order, a), slices.Index(order, b))
	}) {
		n := w.Evidence[by].Changes
		total += n
		if by != "none" && by != "context-unverified" {
			named += n
		}
		parts = append(parts, fmt.Sprintf("%s %d", by, n))
	}
	if total == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f %% of %d changes in the hour up to %s (%s)", 100*float64(named)/float64(total), total, w.CountedAt, strings.Join(parts, ", "))
}
