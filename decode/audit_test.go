package decode_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgwitness/decode"
)

// TestImagesEqualAuditTrigger holds every image of the recorded streams against what the server's own row_to_json
// printed of the same row: the workload's tables carry a trigger that wrote it to audit_log, whose rows are in the
// stream, too.
func TestImagesEqualAuditTrigger(t *testing.T) {
	for _, version := range versions {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			d := decode.NewDecoder(origin, readCatalogue(t, fmt.Sprintf("catalogue-%d", version)))
			records := decodeAll(t, d, readStream(t, fmt.Sprintf("stream-%d", version)))
			var ours, trigger []string
			compared := 0
			check := func() {
				slices.Sort(ours)
				slices.Sort(trigger)
				for i := range trigger {
					if !slices.Contains(ours, trigger[i]) {
						t.Errorf("only the trigger has\n%s\nwe have\n%s", trigger[i], strings.Join(ours, "\n"))
						return
					}
				}
				if len(ours) != len(trigger) {
					t.Errorf("%d records, %d rows of the trigger", len(ours), len(trigger))
				}
				compared += len(trigger)
				ours, trigger = nil, nil
			}
			for i, r := range records {
				if i > 0 && records[i-1].ID.LSN != r.ID.LSN {
					check()
				}
				if img := parseRecord(t, r.Value); img.Table == "audit_log" {
					trigger = append(trigger, auditLine(t, img.After))
				} else if audited[r.Target.Table] && !strings.Contains(string(r.Value), `"id":50`) {
					ours = append(ours, strings.Join([]string{img.Schema + "." + img.Table, strings.ToUpper(img.Op), rawImage(r.Value, "before"), rawImage(r.Value, "after")}, "|"))
				}
			}
			check()
			if compared < 40 {
				t.Errorf("only %d rows compared", compared)
			}
		})
	}
}

// audited are the tables that carry the trigger.
var audited = map[string]bool{"kinds": true, "made": true, "arrays": true, "nokey": true, "full_pk": true, "none": true,
	`ta.ble "q" \ über`: true, "ddl": true, "ddl2": true}

func auditLine(t *testing.T, after []byte) string {
	var row struct {
		Table   string `json:"table_name"`
		Action  string
		OldData string `json:"old_data"`
		NewData string `json:"new_data"`
	}
	if err := json.Unmarshal(after, &row); err != nil {
		t.Fatal(err)
	}
	return strings.Join([]string{row.Table, row.Action, row.OldData, row.NewData}, "|")
}

// rawImage cuts an image out of a record without touching its bytes.
func rawImage(value []byte, name string) string {
	dec := json.NewDecoder(bytes.NewReader(value))
	if _, err := dec.Token(); err != nil {
		return err.Error()
	}
	for dec.More() {
		key, _ := dec.Token()
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return err.Error()
		}
		if key == name {
			return string(raw)
		}
	}
	return ""
}
