package decode_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"pgwitness/decode"
)

// latin1 converts LATIN1 but for its control characters from 0x80 on, which stand for what has no counterpart.
type latin1 struct {
	asked *int
	fails error
}

func (l latin1) ToUTF8(_ context.Context, text []byte) (utf []byte, ok bool, err error) {
	*l.asked++
	for _, c := range text {
		if c >= 0x80 && c < 0xA0 {
			return nil, false, l.fails
		}
		utf = utf8.AppendRune(utf, rune(c))
	}
	return utf, true, l.fails
}

func TestCharsets(t *testing.T) {
	asked := 0
	types := &catalogue{Types: map[uint32]*decode.TypeInfo{20001: {Name: "pair", Kind: 'c', Delimiter: ',', Fields: []decode.FieldInfo{{Name: "a", Type: 25}}}}}
	for _, test := range []struct {
		encoding string
		charset  decode.Charset
		oid      uint32
		text     string
		want     string
		hex      bool
	}{
		{"UTF8", nil, 25, "é", `"é"`, false},
		{"UTF8", nil, 25, "\xe9", `"\\xe9"`, true}, // a "char" above 127 before 16
		{"UTF8", nil, 25, "plain\xc3", `"\\x706c61696ec3"`, true},
		{"SQL_ASCII", nil, 25, "é\t", `"é\t"`, false},
		{"SQL_ASCII", nil, 25, "caf\xe9 \"", `"\\x636166e92022"`, true},
		{"SQL_ASCII", nil, 114, "{\"\xe9\": 1}", `"\\x7b22e9223a20317d"`, true},
		{"SQL_ASCII", nil, 114, "{\"é\": 1}", `{"é": 1}`, false},
		{"SQL_ASCII", nil, 1009, "{a,\xe9}", `"\\x7b612ce97d"`, true},
		{"SQL_ASCII", nil, 1009, "{a,é}", `["a","é"]`, false},
		{"SQL_ASCII", nil, 20001, "(\xe9)", `"\\x28e929"`, true},
		{"SQL_ASCII", nil, 23, "1", `1`, false},
		{"LATIN1", latin1{&asked, nil}, 25, "plain", `"plain"`, false},
		{"LATIN1", latin1{&asked, nil}, 25, "caf\xe9 \"\xff\"", `"café \"ÿ\""`, false},
		{"LATIN1", latin1{&asked, nil}, 25, "\x80", `"\\x80"`, true},
		{"LATIN1", latin1{&asked, nil}, 1009, "{\xe9,\"\xe9\\\"\"}", `["é","é\""]`, false},
		{"LATIN1", latin1{&asked, nil}, 20001, "(\xe9)", `{"a":"é"}`, false},
		{"LATIN1", latin1{&asked, nil}, 114, "[\"\xe9\" ]", `["é" ]`, false},
	} {
		source := origin
		source.Encoding, source.Charset = test.encoding, test.charset
		asked = 0
		got, record := shown(t, source, types, test.oid, test.text)
		if got != test.want {
			t.Errorf("%s %q: %s, want %s", test.encoding, test.text, got, test.want)
		}
		if note := `,"encoding":{"charset":"` + test.encoding + `","hex":["v"]},"actor"`; strings.Contains(record, note) != test.hex {
			t.Errorf("%s %q: %s", test.encoding, test.text, record)
		}
		if !json.Valid([]byte(record)) || !utf8.ValidString(record) {
			t.Errorf("not JSON in UTF-8: %q", record)
		}
		if test.charset != nil && (asked > 0) == isASCII(test.text) {
			t.Errorf("%s %q: asked %d times", test.encoding, test.text, asked)
		}
	}
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}

// TestCharsetOfNames converts the names of schemas, tables, columns and origins; in the key as well.
func TestCharsetOfNames(t *testing.T) {
	asked := 0
	source := origin
	source.Encoding, source.Charset = "LATIN1", latin1{&asked, nil}
	r := []byte("R\x00\x00\x00\x01sch\xe9ma\x00t\xe4ble\x00d\x00\x02\x01\xefd\x00\x00\x00\x00\x19\x00\x00\x00\x00\x00b\x80d\x00\x00\x00\x00\x19\x00\x00\x00\x00")
	list := records(t, source, &catalogue{}, originOf("\xfcber"), r, insert(1, "\xe9", "x"))
	got := list[0]
	if want := (decode.Target{Schema: "schéma", Table: "täble"}); *got.Target != want {
		t.Errorf("target %q", *got.Target)
	}
	if string(got.Key) != `{"ïd":"é"}` {
		t.Errorf("key %s", got.Key)
	}
	for _, part := range []string{`"after":{"ïd":"é","\\x628064":"x"}`, `"origin":"über"`} {
		if !strings.Contains(string(got.Value), part) {
			t.Errorf("%s lacks %s", got.Value, part)
		}
	}
}

// TestCharsetFails ends the session when the server cannot be asked: the bytes may well be convertible.
func TestCharsetFails(t *testing.T) {
	lost, asked := errors.New("connection lost"), 0
	source := origin
	source.Charset = latin1{&asked, lost}
	d := decode.NewDecoder(source, &catalogue{})
	for _, data := range [][]byte{begin(0x1000), relationOf(1, 'd', []string{"id"}, []uint32{25}, 1)} {
		if _, err := d.Decode(t.Context(), decode.Message{LSN: 0x900, Data: data}, discard); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.Decode(t.Context(), decode.Message{LSN: 0x900, Data: insert(1, "\xe9")}, discard); !errors.Is(err, lost) {
		t.Errorf("error %v", err)
	}
}
