package main

import (
	"fmt"
	"strings"
	"testing"
)

func TestParseStandbys(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"", ""},
		{" \t\n", ""},
		{"a", `FIRST 1 ("a")`},
		{"a, B", `FIRST 1 ("a", "B")`},
		{"2 (a,b)", `FIRST 2 ("a", "b")`},
		{"first 2 (a , b)", `FIRST 2 ("a", "b")`},
		{"fIrSt 12(a)", `FIRST 12 ("a")`},
		{"aNy 1 (a, b)", `ANY 1 ("a", "b")`},
		{"*", `FIRST 1 ("*")`},
		{`ANY 1 (a, "*")`, `ANY 1 ("a", "*")`},
		{`"with ""quotes"", and (brackets)"`, `FIRST 1 ("with ""quotes"", and (brackets)")`},
		{`""`, `FIRST 1 ("")`},
		{`"any", "First"`, `FIRST 1 ("any", "First")`},
		{"7", `FIRST 1 ("7")`},
		{"7, 8", `FIRST 1 ("7", "8")`},
		{"FIRST 2 (7, 8)", `FIRST 2 ("7", "8")`},
		{"_a$1, größe", `FIRST 1 ("_a$1", "größe")`},
		{"anybody, first_one", `FIRST 1 ("anybody", "first_one")`},
	} {
		l, err := parseStandbys(tt.text)
		if err != nil || l.String() != tt.want {
			t.Errorf("%q: %s, error %v, want %s", tt.text, l, err, tt.want)
			continue
		}
		if again, err := parseStandbys(l.String()); err != nil || fmt.Sprintf("%#v", again) != fmt.Sprintf("%#v", l) {
			t.Errorf("%q: read again %#v, error %v, want %#v", tt.text, again, err, l)
		}
	}
	for _, text := range []string{",", "a,", ",a", "a b", "a,,b", "FIRST", "any", "first, a", "FIRST 1", "FIRST 1 a", "FIRST a (b)", "1 (", "1 ()", "1 (a", "1 (a))",
		"(a)", "a (b)", "FIRST 0 (a)", "0 (a)", "FIRST FIRST 1 (a)", "ANY 1, 2", "1 (a) b", "1 (any)", `"a`, `"a""`, "a-b", "a;b", "99999999999999999999 (a)", "FIRST 1 (a, (b))"} {
		if l, err := parseStandbys(text); err == nil {
			t.Errorf("%q is accepted: %s", text, l)
		}
	}
}

func TestStandbysWithAndWithout(t *testing.T) {
	const w = "shop_witness"
	for _, tt := range []struct{ before, with, without string }{
		{"", `FIRST 1 ("shop_witness")`, ""},
		{"a", `FIRST 2 ("a", "shop_witness")`, `FIRST 1 ("a")`},
		{"FIRST 1 (a, b)", `FIRST 3 ("a", "b", "shop_witness")`, `FIRST 1 ("a", "b")`},
		{"FIRST 2 (a, b)", `FIRST 3 ("a", "b", "shop_witness")`, `FIRST 2 ("a", "b")`},
		{"FIRST 9 (a)", `FIRST 2 ("a", "shop_witness")`, `FIRST 1 ("a")`},
		{"SHOP_witness", `FIRST 1 ("SHOP_witness")`, ""},
		{"FIRST 2 (a, shop_witness)", `FIRST 2 ("a", "shop_witness")`, `FIRST 1 ("a")`},
		{"FIRST 1 (shop_witness, a)", `FIRST 2 ("shop_witness", "a")`, `FIRST 1 ("a")`},
		{"FIRST 2 (a, b, shop_witness)", `FIRST 3 ("a", "b", "shop_witness")`, `FIRST 2 ("a", "b")`},
		{"FIRST 2 (shop_witness, a, b)", `FIRST 3 ("shop_witness", "a", "b")`, `FIRST 1 ("a", "b")`},
		{"FIRST 3 (shop_witness, SHOP_WITNESS, a)", `FIRST 3 ("shop_witness", "SHOP_WITNESS", "a")`, `FIRST 1 ("a")`},
		{"other_witness", `FIRST 2 ("other_witness", "shop_witness")`, `FIRST 1 ("other_witness")`},
		{"ANY 1 (a, b)", "ANY 1: others answer in our place", `ANY 1 ("a", "b")`},
		{"ANY 2 (a, shop_witness)", "ANY 2: others answer", `ANY 1 ("a")`},
		{"ANY 2 (a, b, shop_witness)", "ANY 2: others answer", `ANY 2 ("a", "b")`},
		{"*", "it holds *", `FIRST 1 ("*")`},
		{`FIRST 2 (shop_witness, "*")`, "it holds *", `FIRST 1 ("*")`},
	} {
		l, err := parseStandbys(tt.before)
		if err != nil {
			t.Fatal(err)
		}
		before := l.String()
		got, err := l.with(w)
		switch {
		case err == nil && (got.String() != tt.with || !got.allAnswer() || !got.has(w)):
			t.Errorf("%s with: %s, want %s", tt.before, got, tt.with)
		case err != nil && !strings.Contains(err.Error(), tt.with):
			t.Errorf("%s with: error %v, want %s", tt.before, err, tt.with)
		}
		if got := l.without(w); got.String() != tt.without || got.has(w) {
			t.Errorf("%s without: %s, want %s", tt.before, got, tt.without)
		}
		if l.String() != before {
			t.Errorf("%s has become %s", before, l)
		}
	}
}

// Whatever is read, what we make of it is read back as the same.
func FuzzStandbys(f *testing.F) {
	for _, text := range []string{"", "a, b", `FIRST 2 ("a""b", *)`, "ANY 1 (7)", "größe"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l, err := parseStandbys(text)
		if err != nil {
			return
		}
		again, err := parseStandbys(l.String())
		if err != nil || fmt.Sprintf("%#v", again) != fmt.Sprintf("%#v", l) {
			t.Errorf("%q reads %#v, and %s reads %#v, error %v", text, l, l, again, err)
		}
	})
}
