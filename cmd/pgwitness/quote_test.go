package main

import "testing"

func TestQuoteIdent(t *testing.T) {
	for _, tt := range []struct{ name, want string }{
		{"orders", `"orders"`},
		{`a"b`, `"a""b"`},
		{`x"; drop table users; --`, `"x""; drop table users; --"`},
		{`back\slash`, `"back\slash"`},
		{"漢字", `"漢字"`},
		{"line\nfeed", `U&"line\000Afeed"`},
		{"esc\x1b[2J\\\"", `U&"esc\001B[2J\\"""`},
		{"turn\u202eed", `U&"turn\202Eed"`},
		{"tag\U000e0041", `U&"tag\+0E0041"`},
		{" ", `" "`},
		{"'", `"'"`},
	} {
		if got := quoteIdent(tt.name); got != tt.want {
			t.Errorf("%q: %s, want %s", tt.name, got, tt.want)
		}
	}
	if got, want := quoteIdent("a.b", "c"), `"a.b"."c"`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestQuoteLiteral(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"slot", "'slot'"},
		{"it's", "'it''s'"},
		{`a\`, `'a\'`},
		{"a\nb\\", `U&'a\000Ab\\'`},
	} {
		if got := quoteLiteral(tt.text); got != tt.want {
			t.Errorf("%q: %s, want %s", tt.text, got, tt.want)
		}
	}
}

func TestDisplayName(t *testing.T) {
	for _, tt := range []struct{ schema, table, want string }{
		{"public", "orders_1", "public.orders_1"},
		{"Public", "1st", `"Public"."1st"`},
		{"", `a"b`, `""."a""b"`},
		{"s", "x\n-- y\x1b", `s."x\n-- y\x1b"`},
	} {
		if got := displayName(tt.schema, tt.table); got != tt.want {
			t.Errorf("%q.%q: %s, want %s", tt.schema, tt.table, got, tt.want)
		}
	}
}

// Nothing that could move a cursor, end a comment's line or turn the writing survives.
func TestPrintable(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"plain é 漢字 →", "plain é 漢字 →"},
		{"\x1b]0;title\x07", `\x1b]0;title\x07`},
		{"a\r\n\tb", `a\r\n\tb`},
		{"\u009b31m", `\x9b31m`},
		{"\u202e\u2066\u200b", `\u202e\u2066\u200b`},
		{"\xff\xfe", `\xff\xfe`},
		{"\U000e0001", `\U000e0001`},
		{"nbsp\u00a0", `nbsp\xa0`},
		{"\x7f", `\x7f`},
	} {
		if got := printable(tt.text); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.text, got, tt.want)
		}
	}
}

// The verifier of RFC 7677's example.
func TestScramVerifier(t *testing.T) {
	salt := []byte("\x5b\x6d\x99\x68\x9d\x12\x35\x8e\xec\xa0\x4b\x14\x12\x36\xfa\x81")
	got, err := saltedVerifier("pencil", salt)
	if err != nil {
		t.Fatal(err)
	}
	const want = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
	if got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if _, err := scramVerifier(""); err == nil {
		t.Error("an empty password is accepted")
	}
}
