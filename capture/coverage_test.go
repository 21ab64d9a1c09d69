package capture

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestCoverageSince(t *testing.T) {
	all := &Terms{Insert: true, Update: true, Delete: true, Truncate: true}
	base := func() *Coverage {
		return &Coverage{
			Publication:   all,
			Tables:        []Covered{{Schema: "a", Table: "t", Identity: "full"}, {Schema: "a", Table: "u", Identity: "full"}, {Schema: "b", Table: "t", Identity: "default"}},
			EventTriggers: map[string]string{"pgwitness_ddl": "always"},
		}
	}
	for name, test := range map[string]struct {
		edit func(*Coverage)
		want string
	}{
		"nothing":    {func(*Coverage) {}, ""},
		"left":       {func(c *Coverage) { c.Tables = c.Tables[1:] }, `publication {"change":"left","schema":"a","table":"t"}`},
		"left, last": {func(c *Coverage) { c.Tables = c.Tables[:2] }, `publication {"change":"left","schema":"b","table":"t"}`},
		"joined": {func(c *Coverage) { c.Tables = append(c.Tables, Covered{Schema: "c", Table: "t"}) },
			`publication {"change":"joined","schema":"c","table":"t"}`},
		"renamed": {func(c *Coverage) { c.Tables[1].Table = "v" },
			`publication {"change":"left","schema":"a","table":"u"}; publication {"change":"joined","schema":"a","table":"v"}`},
		"identity": {func(c *Coverage) { c.Tables[0].Identity = "nothing" },
			`identity {"change":"changed","schema":"a","table":"t","was":"full","now":"nothing"}`},
		"limits": {func(c *Coverage) { c.Tables[0].RowFilter, c.Tables[0].Columns = "(id > 3)", []string{"id"} },
			`publication {"change":"changed","schema":"a","table":"t","was":{},"now":{"row_filter":"(id \u003e 3)","columns":["id"]}}`},
		"verbs": {func(c *Coverage) { c.Publication = &Terms{Insert: true, Update: true, Truncate: true} },
			`publication {"change":"changed","was":{"insert":true,"update":true,"delete":true,"truncate":true,"via_root":false,"all_tables":false},"now":{"insert":true,"update":true,"delete":false,"truncate":true,"via_root":false,"all_tables":false}}`},
		"publication gone": {func(c *Coverage) { c.Publication, c.Tables = nil, nil },
			`publication {"change":"dropped","was":{"insert":true,"update":true,"delete":true,"truncate":true,"via_root":false,"all_tables":false}}; ` +
				`publication {"change":"left","schema":"a","table":"t"}; publication {"change":"left","schema":"a","table":"u"}; publication {"change":"left","schema":"b","table":"t"}`},
		"trigger disabled": {func(c *Coverage) { c.EventTriggers = map[string]string{"pgwitness_ddl": "disabled"} },
			`event_trigger {"change":"changed","name":"pgwitness_ddl","was":"always","now":"disabled"}`},
		"triggers": {func(c *Coverage) { c.EventTriggers = map[string]string{"pgwitness_new": "always"} },
			`event_trigger {"change":"dropped","name":"pgwitness_ddl","was":"always"}; event_trigger {"change":"created","name":"pgwitness_new","now":"always"}`},
		"granted": {func(c *Coverage) { c.Messages = true }, `privilege {"change":"granted","name":"pg_logical_emit_message"}`},
	} {
		t.Run(name, func(t *testing.T) {
			now := base()
			test.edit(now)
			var got []string
			for _, c := range now.Since(base()) {
				text, err := json.Marshal(c)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, c.Op+" "+string(text))
			}
			if text := strings.Join(got, "; "); text != test.want {
				t.Errorf("\n got %s\nwant %s", text, test.want)
			}
		})
	}
}
