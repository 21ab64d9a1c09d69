package main

import (
	"strings"
	"testing"
	"time"
)

func TestDifferences(t *testing.T) {
	long := strings.Repeat("lorem ipsum ", 20)
	for _, tt := range []struct{ name, before, after, want string }{
		{"numbers", `1`, `2`, `  c 1 → 2`},
		{"null", `null`, `{"a":1}`, `  c null → {"a":1}`},
		{"not in the log", `?`, `{"a":1}`, `  c ? → {"a":1}`},
		{"text that looks like JSON", `"{\"a\":1}"`, `"{\"a\":2}"`, `  c "{\"a\":1}" → "{\"a\":2}"`},
		{"member", `{"a":{"b":1,"c":2},"d":[1]}`, `{"a":{"b":3,"c":2},"d":[1]}`, `  c.a.b 1 → 3`},
		{"come and gone", `{"a":1,"z":{"y":1}}`, `{"b":[true],"z":{"y":1}}`, `  c.a - 1  c.b + [true]`},
		{"kind", `{"a":{"b":1}}`, `{"a":[1]}`, `  c.a {"b":1} → [1]`},
		{"digits", `{"n":9007199254740993}`, `{"n":9007199254740992}`, `  c.n 9007199254740993 → 9007199254740992`},
		{"in between", `["a","b","d"]`, `["a","b","c","d"]`, `  c[2] + "c"`},
		{"taken out", `["a","b","b"]`, `["a","b"]`, `  c[2] - "b"`},
		{"element", `[{"q":1},{"q":2}]`, `[{"q":1},{"q":3}]`, `  c[1].q 2 → 3`},
		{"strange names", `{"a.b":1,"\u001b":1}`, `{"a.b":2,"\u001b":2}`, `  c."\x1b" 1 → 2  c."a.b" 1 → 2`},
		{"long text", `"` + long + `x` + long + `"`, `"` + long + `yy` + long + `"`, `  c "…m ipsum x` + `lorem ip…" → "…m ipsum yylorem ip…"`},
		{"its end", `"` + long + `"`, `"` + long + `end"`, `  c "…m ipsum " → "…m ipsum end"`},
		{"its beginning", `"` + long + `"`, `"x` + long + `"`, `  c "lorem ip…" → "xlorem ip…"`},
		{"repetition", `"` + strings.Repeat("a", 50) + `"`, `"` + strings.Repeat("a", 49) + `"`, `  c "…aaaaaaaaa" → "…aaaaaaaa"`},
		{"within a document", `{"t":"` + long + `1"}`, `{"t":"` + long + `2"}`, `  c.t "…m ipsum 1" → "…m ipsum 2"`},
		{"spaces only", `{"a": 1}`, `{"a":1}`, `  c {"a": 1} → {"a":1}`},
	} {
		var l line
		l.addDifference("c", tt.before, tt.after)
		if got := l.text(false); got != tt.want {
			t.Errorf("%s: %s\nwant %s", tt.name, got, tt.want)
		}
	}
}

func TestTailFilter(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	update := `{"op":"update","schema":"public","table":"orders","key":{"id":42,"part":"a"},"after":{"id":43,"part":"a","v":7},
		"actor":{"user":"shop_app","context":{"user_id":"u_42"}}}`
	control := `{"op":"gap","gap":{"id":"moved-1-2"}}`
	for _, tt := range []struct {
		flags  tailFlags
		record string
		lets   bool
	}{
		{tailFlags{}, update, true},
		{tailFlags{}, "no JSON", true},
		{tailFlags{op: "update"}, "no JSON", false},
		{tailFlags{table: "public.*"}, update, true},
		{tailFlags{table: "billing.*,public.order?"}, update, true},
		{tailFlags{table: "billing.*"}, update, false},
		{tailFlags{table: "public.*"}, control, false},
		{tailFlags{key: "42"}, update, true},
		{tailFlags{key: "43"}, update, true}, // the key that it has now
		{tailFlags{key: "7"}, update, false}, // no column of the key
		{tailFlags{key: "id=42,part=a"}, update, true},
		{tailFlags{key: "id=42,part=b"}, update, false},
		{tailFlags{key: `part="a"`}, update, true},
		{tailFlags{actor: "shop_app"}, update, true},
		{tailFlags{actor: "u_42,alice"}, update, true},
		{tailFlags{actor: "u_*"}, update, true},
		{tailFlags{actor: "u_"}, update, false},
		{tailFlags{actor: "*"}, control, false},
		{tailFlags{op: "insert,update"}, update, true},
		{tailFlags{op: "insert"}, update, false},
		{tailFlags{op: "update", actor: "alice"}, update, false},
		{tailFlags{since: "2h"}, update, true},
		{tailFlags{since: "30m"}, update, false},
		{tailFlags{since: "2026-11-25T11:00"}, update, true},
		{tailFlags{since: "2026-11-25T12:00:00.001+01:00"}, update, false},
		{tailFlags{until: "2026-11-25 11:00:00"}, update, false}, // before, not at
		{tailFlags{until: "59m59s"}, update, true},
	} {
		f, err := tt.flags.filter(now)
		if err != nil {
			t.Errorf("%+v: %v", tt.flags, err)
			continue
		}
		if got := f.lets(tailRecord{millis: now.Add(-time.Hour).UnixMilli(), value: []byte(tt.record)}); got != tt.lets {
			t.Errorf("%+v lets it through: %t\n%s", tt.flags, got, tt.record)
		}
	}
	for _, flags := range []tailFlags{{since: "soon"}, {until: "25.11.2026"}, {table: "orders"}, {since: "1h", until: "2h"}} {
		if _, err := flags.filter(now); err == nil {
			t.Errorf("%+v: no error", flags)
		}
	}
}
