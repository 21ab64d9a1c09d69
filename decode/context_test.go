package decode_test

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"pgwitness/decode"
)

// aContext is what set_actor writes for alice.
const aContext = `{"v": 1, "user": "alice", "pid": 4711, "application": "psql", "client": "10.1.2.3:51234", "context": {"user_id": "u_42"}}`

// contextOf is a context with these words.
func contextOf(words string) []byte {
	return logical(1, 0x800, "pgwitness", strings.Replace(aContext, `{"user_id": "u_42"}`, words, 1))
}

// wordsOf gives the application's words of each record, "" without any.
func wordsOf(list []attributed) (words []string) {
	for _, a := range list {
		_, w, _ := strings.Cut(a.actor, `,"context":`)
		words = append(words, w)
	}
	return words
}

// TestContextOrder: a context concerns what comes after it, until the next one, and never another transaction. The
// record held back is none of its business.
func TestContextOrder(t *testing.T) {
	d := decode.NewDecoder(origin, &catalogue{})
	r := relationOf(1, 'd', []string{"id"}, []uint32{23}, 1)
	got := attribution(t, d, held, r, insert(1, "1"), contextOf(`{"n":1}`), insert(1, "2"), insert(1, "3"), contextOf(`{"n":2}`), contextOf(`{"n":3}`),
		insert(1, "4"), logical(1, 0x900, "pgwitness", "forged"), insert(1, "5"), contextOf("null"), insert(1, "6"), contextOf(`{"n":4}`))
	if want := []string{"", `{"n":1}`, `{"n":1}`, `{"n":3}`, `{"n":3}`, `{"n":3}`, ""}; !slices.Equal(wordsOf(got), want) {
		t.Errorf("%q, want %q", wordsOf(got), want)
	}
	if got := wordsOf(attribution(t, d, held, insert(1, "7"), contextOf(`{}`))); !slices.Equal(got, []string{""}) {
		t.Errorf("%q in the next transaction", got)
	}
	got = attribution(t, d, nil, insert(1, "1"), contextOf("null"), insert(1, "2"))
	want := []attributed{{"none", `"evidence":"none","reason":"no hold, not seen by sampling"`},
		{"context-unverified", `"evidence":"context-unverified","user":"alice","application":"psql","client":"10.1.2.3:51234","pid":4711`}}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestContextEverywhere: every kind of change has it; the new key's record of an update as well.
func TestContextEverywhere(t *testing.T) {
	d := decode.NewDecoder(origin, &catalogue{})
	truncate := append(uint32s(append(uint32s([]byte{'T'}, 2), 0), 1), 0, 0, 0, 1)
	messages := [][]byte{begin(0x1000), relationOf(1, 'f', []string{"id"}, []uint32{23}, 1), contextOf(`{"n":1}`), insert(1, "1"), tuple(tuple(change('U', 1), 'O', "1"), 'N', "2"),
		tuple(change('D', 1), 'O', "2"), truncate, logical(1, 0x820, "app", "x"), logical(1, 0x830, "pgwitness.ddl", `{"op":"unexamined","command":"X","sqlstate":"XX000"}`),
		logical(1, 0x840, "pgwitness.ddl", "forged"), commit(0x1000)}
	var ops []string
	for _, data := range messages {
		if _, err := d.Decode(t.Context(), decode.Message{LSN: 0x900, Data: data}, func(r *decode.Record) error {
			for _, value := range [][]byte{r.Value, r.NewValue} {
				if value != nil && !bytes.Contains(value, []byte(`,"context":{"n":1}},"tx":{`)) {
					t.Errorf("%s", value)
				}
			}
			ops = append(ops, parseRecord(t, r.Value).Op)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if want := "insert update delete truncate truncate message unexamined unverified"; strings.Join(ops, " ") != want {
		t.Errorf("%v", ops)
	}
}

// TestContextVerbatim copies the application's words byte for byte.
func TestContextVerbatim(t *testing.T) {
	d := decode.NewDecoder(origin, &catalogue{})
	for _, words := range []string{
		`{}`, `{ }`, `{"z": 1, "a": 2}`, `{"n": 1e400, "m": -0, "big": 123456789012345678901234567890.10}`, `{"a": 1, "a": {"a": 2, "a": 3}}`,
		`{"é": "\u00e9\ud83d\ude00 \" \\ } ] , :"}`, `{"a": [1, [2, {"b": "}"}], "]"], "c": null}`, "{\n\t\"a\" : true\r\n}", `{"": "", "v": 2, "user": "root", "context": null}`,
		`{"a": "` + strings.Repeat("x", 8180) + `"}`,
	} {
		for _, form := range []string{aContext, strings.ReplaceAll(strings.ReplaceAll(aContext, ": ", ":"), ", ", ","), " \n" + strings.NewReplacer("{", "{\t", ": ", " :\r", ", ", " ,\n", "}", "\n}").Replace(aContext) + "\n ",
			`{"context": {"user_id": "u_42"}, "client": "10.1.2.3:51234", "application": "psql", "pid": 4711, "user": "alice", "v": 1}`} {
			at := strings.Index(form, "u_42")
			open, end := strings.LastIndexByte(form[:at], '{'), at+strings.IndexByte(form[at:], '}')
			content := form[:open] + words + form[end+1:]
			got := attribution(t, d, nil, logical(1, 0x800, "pgwitness", content), logical(1, 0x810, "a", ""))
			want := attributed{"context-unverified", `"evidence":"context-unverified","user":"alice","application":"psql","client":"10.1.2.3:51234","pid":4711,"context":` + words}
			if !slices.Equal(got, []attributed{want}) {
				t.Errorf("%.300q\ngot  %.300q\nwant %.300q", content, got, want)
			}
		}
	}
}

// TestContextUnverified: what set_actor cannot have written is recorded, with the actor that there was, and concerns
// no change.
func TestContextUnverified(t *testing.T) {
	d := decode.NewDecoder(origin, &catalogue{})
	contents := []string{``, ` `, `{`, `{}`, `[]`, `[1]`, `null`, `"x"`, `1`, aContext + aContext, aContext + `x`, `[` + aContext + `]`,
		aContext[:len(aContext)-1], strings.Replace(aContext, `"psql"`, "\"ps\xffql\"", 1), strings.Replace(aContext, `"psql"`, "\"ps\nql\"", 1), "\x00" + aContext,
		strings.Replace(aContext, `"u_42"`, `"`+strings.Repeat("x", 16<<10)+`"`, 1)}
	for member, values := range map[string][]string{
		`"v": 1`:                     {`"v": 2`, `"v": 1.0`, `"v": "1"`, `"v": null`, `"V": 1`, `"\u0076": 1`, `"v": 1, "v": 1`, `"v": 1, "w": 1`},
		`"user": "alice"`:            {`"user": ""`, `"user": null`, `"user": 1`, `"user": ["alice"]`, `"user": "alice", "user": "bob"`, `"User": "alice"`},
		`"pid": 4711`:                {`"pid": 0`, `"pid": -1`, `"pid": "4711"`, `"pid": 4711.0`, `"pid": 1e3`, `"pid": 2147483648`, `"pid": null`, `"pid": {}`},
		`"application": "psql"`:      {`"application": null`, `"application": 1`, `"application": {"a": "b"}`},
		`"client": "10.1.2.3:51234"`: {`"client": ""`, `"client": "local"`, `"client": "10.1.2.3"`, `"client": ":1"`, `"client": "h:"`, `"client": "h:65536"`, `"client": "h:+1"`, `"client": "\n:1"`, `"client": 1`, `"client": ["10.1.2.3:51234"]`, `"client": {"h": 1}`},
		`{"user_id": "u_42"}`:        {`"u_42"`, `1`, `["u_42"]`, `true`, `{"user_id": 01}`},
	} {
		for _, value := range values {
			contents = append(contents, strings.Replace(aContext, member, value, 1))
		}
		for _, comma := range []string{member + ", ", ", " + member} {
			contents = append(contents, strings.Replace(aContext, comma, "", 1))
		}
	}
	for _, content := range contents {
		if content == aContext {
			continue // the first and the last member have a comma on one side only
		}
		if got := control(t, origin, "pgwitness", content); !strings.HasPrefix(got, `"op":"unverified","key":null,"message":{"prefix":"pgwitness","transactional":true,`) {
			t.Errorf("%.200q is %.300s", content, got)
		}
		got := attribution(t, d, held, contextOf(`{"n":1}`), logical(1, 0x810, "a", ""), logical(1, 0x820, "pgwitness", content), logical(1, 0x830, "a", ""))
		want := attributed{"hold", `"evidence":"hold",` + asAlice + `,"context":{"n":1}`}
		if !slices.Equal(got, []attributed{want, want, want}) {
			t.Errorf("%.200q: %q", content, got)
		}
	}
	if len(contents) < 60 {
		t.Errorf("only %d contents", len(contents))
	}
}

// TestContextCharset: the server sends messages in the database's encoding.
func TestContextCharset(t *testing.T) {
	asked := 0
	latin, ascii := origin, origin
	latin.Encoding, latin.Charset = "LATIN1", latin1{&asked, nil}
	ascii.Encoding = "SQL_ASCII"
	content := "{\"v\":1,\"user\":\"ren\xe9\",\"pid\":1,\"application\":\"caf\xe9\",\"client\":null,\"context\":{\"\xe9\":\"\xff\"}}"
	row := logical(1, 0x810, "a", "")
	rene := &decode.Actor{Evidence: "hold", Session: &decode.Session{User: "rené", PID: 1}}
	for _, test := range []struct {
		source  decode.Source
		actor   *decode.Actor
		content string
		want    []string
	}{
		{latin, nil, content, []string{`"evidence":"context-unverified","user":"rené","application":"café","client":"local","pid":1,"context":{"é":"ÿ"}`}},
		{latin, rene, content, []string{`"evidence":"hold","user":"rené","pid":1,"context":{"é":"ÿ"}`}},
		{latin, rene, strings.Replace(content, "\xff", "\x80", 1), []string{`"evidence":"hold","user":"rené","pid":1`, `"evidence":"hold","user":"rené","pid":1`}},
		{ascii, rene, content, []string{`"evidence":"hold","user":"rené","pid":1`, `"evidence":"hold","user":"rené","pid":1`}},
		{ascii, rene, strings.NewReplacer("\xe9", "é", "\xff", "ÿ").Replace(content), []string{`"evidence":"hold","user":"rené","pid":1,"context":{"é":"ÿ"}`}},
	} {
		var got []string
		for _, a := range attribution(t, decode.NewDecoder(test.source, &catalogue{}), test.actor, logical(1, 0x800, "pgwitness", test.content), row) {
			got = append(got, a.actor)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s %q:\ngot  %q\nwant %q", test.source.Encoding, test.content, got, test.want)
		}
	}
	if asked == 0 {
		t.Error("nothing was converted")
	}
}

// TestContextCharsetFails ends the session when the server cannot be asked.
func TestContextCharsetFails(t *testing.T) {
	source, lost := origin, fmt.Errorf("connection lost")
	source.Charset = latin1{new(int), lost}
	d := decode.NewDecoder(source, &catalogue{})
	if _, err := d.Decode(t.Context(), decode.Message{Data: begin(0x1000)}, discard); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Decode(t.Context(), decode.Message{Data: contextOf("{\"\xe9\":1}")}, discard); err == nil || !strings.Contains(err.Error(), "connection lost") {
		t.Error(err)
	}
}

// TestLargeContext repeats 8 KB of words on 2,000 changes without keeping more than one record of them.
func TestLargeContext(t *testing.T) {
	info := &catalogue{Relations: map[uint32]*decode.RelationInfo{1: {PrimaryKey: []string{"id"}}}}
	d := opened(t, 'f', []string{"id", "v"}, []uint32{23, 25}, 2, info)
	said, row := contextOf(`{"a": "`+strings.Repeat("x", 8180)+`"}`), insert(1, "1", "x")
	total := 0
	feed := func(data []byte) {
		if _, err := d.Decode(t.Context(), decode.Message{LSN: 0x900, Data: data}, func(r *decode.Record) error {
			total += len(r.Value)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	feed(said)
	feed(row)
	feed(row)
	feed(row)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := range 2000 {
		if i%500 == 0 {
			feed(said)
		}
		feed(row)
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 64<<10 {
		t.Errorf("%d bytes were allocated", grown)
	}
	if total < 2000*8192 {
		t.Errorf("%d bytes of records", total)
	}
}
