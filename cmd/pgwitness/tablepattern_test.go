package main

import (
	"strings"
	"testing"
)

func TestTablePatterns(t *testing.T) {
	for _, tt := range []struct {
		text, schema, table string
		want                bool
	}{
		{"public.orders", "public", "orders", true},
		{"public.orders", "public", "order", false},
		{"public.orders", "public", "orders2", false},
		{"public.*", "public", "anything at all", true},
		{"public.*", "publicity", "x", false},
		{"*.*", "s", "t", true},
		{"*.orders", "billing", "orders", true},
		{"public.order_?", "public", "order_1", true},
		{"public.order_?", "public", "order_", false},
		{"public.order_?", "public", "order_12", false},
		{"public.*_log", "public", "a_log_log", true},
		{"public.*_log", "public", "a_log_logs", false},
		{"public.*a*b*c", "public", "xxaxxbxbxxc", true},
		{"public.*a*b*c", "public", "xxaxxcxxb", false},
		{"public.?", "public", "é", true},
		{"public.???*", "public", "ab", false},
		{"Public.Orders", "public", "orders", true},
		{"Public.Orders", "Public", "Orders", false},
		{`"Public"."Orders"`, "Public", "Orders", true},
		{`"my schema"."a.b,c*"`, "my schema", "a.b,c*", true},
		{`"my schema"."a.b,c*"`, "my schema", "a.b,cd", false},
		{`"a""b".*`, `a"b`, "x", true},
		{`pre"Fix"*.t`, "preFixed", "t", true},
		{"ÄÖ.t", "ÄÖ", "t", true}, // only ASCII is folded, as the server does in UTF-8
	} {
		patterns, err := parseTablePatterns(tt.text)
		if err != nil || len(patterns) != 1 {
			t.Errorf("%s: %v, error %v", tt.text, patterns, err)
			continue
		}
		if got := patterns[0].matches(tt.schema, tt.table); got != tt.want {
			t.Errorf("%s matches %s.%s: %v", tt.text, tt.schema, tt.table, got)
		}
	}
}

func TestTablePatternList(t *testing.T) {
	patterns, err := parseTablePatterns(`public.*, billing.invoice ,"a,b".c`)
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	var exact []bool
	for _, p := range patterns {
		texts = append(texts, p.text)
		exact = append(exact, p.exact())
	}
	if got := strings.Join(texts, "|"); got != `public.*|billing.invoice|"a,b".c` {
		t.Errorf("texts: %s", got)
	}
	if exact[0] || !exact[1] || !exact[2] {
		t.Errorf("exact: %v", exact)
	}
}

func TestBadTablePatterns(t *testing.T) {
	for text, want := range map[string]string{
		"":                "schema and a table",
		"orders":          "schema and a table",
		"public.":         "empty name",
		".orders":         "empty name",
		"public.a.b":      `unexpected ".b"`,
		"public.a b":      `unexpected "b"`,
		`public."open`:    "not closed",
		"public.a,":       "schema and a table",
		"public.a,,x.b":   "schema and a table",
		"public.a\x1b[0m": "",
	} {
		_, err := parseTablePatterns(text)
		if want == "" {
			if err != nil {
				t.Errorf("%q: %v", text, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %s", text, err, want)
		}
	}
}
