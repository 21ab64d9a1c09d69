//go:build integration

package nemesis

import (
	"encoding/json"
	"fmt"

	"pgwitness/integration/ledger"
	"pgwitness/integration/topics"
)

// A diary is what the control topic holds.
type diary struct {
	slot   string
	ids    map[string]bool
	counts map[string]int
	bad    []string
}

// A page is one of its records.
type page struct {
	ID     string          `json:"id"`
	Op     string          `json:"op"`
	Gap    json.RawMessage `json:"gap"`
	Source struct {
		Slot string `json:"slot"`
	} `json:"source"`
	State struct {
		Slot  string `json:"slot"`
		Bound string `json:"bound"`
	} `json:"state"`
}

// pages are the operations of control records. A gap is not among them: nothing in a round makes one.
var pages = map[string]bool{
	"started": true, "stopped": true, "routing": true, "bound": true, "observed": true,
	"publication": true, "identity": true, "baseline_broken": true, "privilege": true, "unexamined": true,
	"coverage": true, "hold": true,
}

func (d *diary) note(raw topics.Record) error {
	if d.ids == nil {
		d.ids, d.counts = make(map[string]bool), make(map[string]int)
	}
	var p page
	if err := json.Unmarshal(raw.Value, &p); err != nil {
		return fmt.Errorf("control record %d: %w", raw.Offset, err)
	}
	where := fmt.Sprintf("control record %d, %s %s", raw.Offset, p.Op, p.ID)
	switch {
	case p.Op == "gap":
		d.bad = append(d.bad, fmt.Sprintf("false alarm: %s: %s", where, p.Gap))
	case !pages[p.Op]:
		d.bad = append(d.bad, where+": unknown operation")
	case d.ids[p.ID]:
		d.bad = append(d.bad, where+": the id is there twice")
	case p.ID == "" || raw.Header("id") != p.ID:
		d.bad = append(d.bad, where+": the header says "+raw.Header("id"))
	case p.Source.Slot != d.slot || p.State.Slot != d.slot || p.State.Bound == "":
		d.bad = append(d.bad, where+": the state is not of this slot")
	}
	d.ids[p.ID] = true
	d.counts[p.Op]++
	return nil
}

// judge tells what is wrong; the run that was asked to end has written that down, where it had the slot.
func (d *diary) judge(stopped bool) []string {
	if d.counts["started"] == 0 || stopped && d.counts["stopped"] == 0 || d.counts["routing"] == 0 {
		return append(d.bad, fmt.Sprintf("the control topic does not tell of starts, stops and routing: %v", d.counts))
	}
	return d.bad
}

// parseMessage reads a record of the message topic.
func parseMessage(raw topics.Record) (rec ledger.Record, content string, err error) {
	if rec, err = ledger.Parse(raw); err != nil {
		return rec, "", err
	}
	var m struct {
		Message struct {
			Prefix, Content string
		} `json:"message"`
	}
	if err := json.Unmarshal(raw.Value, &m); err != nil {
		return rec, "", fmt.Errorf("message record %d: %w", raw.Offset, err)
	}
	if rec.Op != "message" || m.Message.Prefix != "nemesis" {
		return rec, "", fmt.Errorf("message record %d: %s of prefix %q", raw.Offset, rec.Op, m.Message.Prefix)
	}
	return rec, m.Message.Content, nil
}
