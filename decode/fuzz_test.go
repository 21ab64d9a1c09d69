package decode

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// nobody is a catalogue in which everything is gone.
type nobody struct{}

func (nobody) Relation(context.Context, uint32) (*RelationInfo, error) { return nil, nil }
func (nobody) Type(context.Context, uint32) (*TypeInfo, error)         { return nil, nil }
func (nobody) Tables(context.Context, []Target) ([]*TableInfo, error)  { return nil, nil }

// FuzzMessages feeds a sequence of messages, each behind its length. Whatever comes: no panic, no success on bytes left
// over, and every record is valid UTF-8.
func FuzzMessages(f *testing.F) {
	for _, version := range []int{14, 18} {
		var all []byte
		for _, data := range corpus(f, version) {
			if len(data) > 4096 {
				continue
			}
			if data[0] == 'B' && len(all) > 0 {
				f.Add(all)
				all = nil
			}
			all = append(binary.BigEndian.AppendUint16(all, uint16(len(data))), data...)
		}
	}
	begun, ended := append([]byte{'B'}, make([]byte, 20)...), append([]byte{'C'}, make([]byte, 25)...)
	for _, said := range contexts {
		var all []byte
		for _, data := range [][]byte{begun, message("pgwitness", said), message("app", "x"), message("pgwitness.ddl", "x"), message("pgwitness", contexts[0]), ended} {
			all = append(binary.BigEndian.AppendUint16(all, uint16(len(data))), data...)
		}
		f.Add(all)
	}
	f.Fuzz(func(t *testing.T, all []byte) {
		d := NewDecoder(Source{Encoding: "UTF8"}, nobody{})
		for len(all) >= 2 {
			n := int(binary.BigEndian.Uint16(all))
			if n > len(all)-2 {
				return
			}
			data := all[2 : 2+n : 2+n]
			all = all[2+n:]
			_, err := d.Decode(t.Context(), Message{LSN: 1, Data: data}, func(r *Record) error {
				if !utf8.Valid(r.Value) || !utf8.Valid(r.Key) {
					t.Errorf("not UTF-8: %q", r.Value)
				}
				if (r.Target == Messages || r.Target == Control) && !json.Valid(r.Value) { // rows may hold json that is none
					t.Errorf("no JSON: %q", r.Value)
				}
				return nil
			})
			if err != nil {
				continue
			}
			longer := append(data[:n:n], 0)
			if _, err := d.Decode(t.Context(), Message{LSN: 1, Data: longer}, func(*Record) error { return nil }); err == nil {
				t.Errorf("%q is accepted with a byte more", data)
			}
		}
	})
}

// contexts are what set_actor writes, and what it does not.
var contexts = []string{
	`{"v": 1, "user": "alice", "pid": 4711, "application": "psql", "client": "10.1.2.3:51234", "context": {"user_id": "u_42", "n": [1e400, {"a": 1, "a": 2}]}}`,
	`{"v": 1, "user": "\u0061\"", "pid": 1, "application": "", "client": null, "context": null}`,
	`{"context":{"x":"}"},"client":"[::1]:1","application":"\ud800","pid":2147483647,"user":"é","v":1}`,
	`{"v": 2, "user": "alice", "pid": 4711, "application": "psql", "client": null, "context": {}}`,
	`{"v": 1, "v": 1}`, `{`, `[]`, ``,
}

// message is a transactional logical message.
func message(prefix, content string) []byte {
	b := append(make([]byte, 10), prefix...)
	b[0], b[1] = 'M', 1
	b = binary.BigEndian.AppendUint32(append(b, 0), uint32(len(content)))
	return append(b, content...)
}

// FuzzContext holds what is read of a context against encoding/json. Whatever comes: what is believed has the members
// of a context and no others, the words are the bytes of the content, and the actor is JSON.
func FuzzContext(f *testing.F) {
	for _, said := range contexts {
		f.Add(said)
	}
	f.Fuzz(func(t *testing.T, content string) {
		var said testimony
		if !utf8.ValidString(content) || !said.read([]byte(content)) {
			return
		}
		var want struct {
			V                 json.Number
			User, Application string
			PID               int32
			Client            *string
			Context           json.RawMessage
		}
		dec := json.NewDecoder(strings.NewReader(content))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&want); err != nil || want.V != "1" || want.User == "" || want.PID <= 0 {
			t.Fatalf("%q is believed: %+v, %v", content, want, err)
		}
		client := "local"
		if want.Client != nil {
			client = *want.Client
		}
		if string(want.Context) == "null" {
			want.Context = nil
		}
		quoted := func(s string) string { return string(appendQuoted(nil, s)) }
		if string(said.user) != quoted(want.User) || string(said.application) != quoted(want.Application) || string(said.client) != quoted(client) ||
			said.pid != want.PID || string(said.words) != string(want.Context) {
			t.Errorf("%+v is read as %+v, want %+v", content, said, want)
		}
		d := NewDecoder(Source{Encoding: "UTF8"}, nobody{})
		d.tx.actor = &Actor{Evidence: EvidenceHold, Session: &Session{User: "alice", PID: 4711}}
		d.identify(&said)
		if actor := "{" + string(d.tx.who[1:]) + "1}}"; !json.Valid([]byte(actor)) {
			t.Errorf("%q becomes %s", content, actor)
		}
	})
}

// FuzzValue shows any text as any type. Whatever comes: the value is valid JSON, unless it is verbatim json that was
// not, and the parsers do not run away.
func FuzzValue(f *testing.F) {
	for i, text := range []string{`{1,NULL}`, `{"a\"b",c}`, `[0:1]={{1,2},{3,4}}`, `(1,"q""")`, `{"(1,\"a\")"}`, `"a"=>"b", "c"=>NULL`, "1 2 3", "2024-01-01 00:00:00+00 BC", "NaN", "t", "(,)", `{{"(\"\",\\\\)"}}`} {
		f.Add(uint8(i), text)
	}
	shapes := fuzzShapes()
	f.Fuzz(func(t *testing.T, pick uint8, text string) {
		d := NewDecoder(Source{Encoding: "SQL_ASCII"}, nobody{})
		shape := shapes[int(pick)%len(shapes)]
		d.row.relation = &relation{columns: []column{{datatype: shape}}}
		out, err := d.appendColumn(t.Context(), nil, 0, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if !json.Valid(out) {
			t.Errorf("%q as %v gives %q", text, shape, out)
		}
		if len(out) > 64+12*len(text)+20*64*len(text) {
			t.Errorf("%d bytes became %d", len(text), len(out))
		}
	})
}

// fuzzShapes is types of every kind but json, whose text is taken as it is, some of them made of themselves.
func fuzzShapes() []*datatype {
	text := &datatype{kind: kindText, delimiter: ','}
	number := &datatype{kind: kindNumber, delimiter: ','}
	box := &datatype{kind: kindText, delimiter: ';'}
	store := &datatype{kind: kindHstore, delimiter: ','}
	pair := &datatype{kind: kindComposite, delimiter: ',', fields: []attribute{{[]byte(`,"a":`), number}, {[]byte(`,"b":`), text}}}
	endless := &datatype{kind: kindComposite, delimiter: ','}
	endless.fields = []attribute{{[]byte(`,"x":`), endless}}
	tree := &datatype{kind: kindArray, delimiter: ','}
	tree.element = &datatype{kind: kindDomain, delimiter: ',', base: tree}
	list := []*datatype{text, number, store, pair, endless, tree, {kind: kindBool}, {kind: kindTime}, {kind: kindOpaque},
		{kind: kindComposite}, {kind: kindVector, element: number}, {kind: kindDomain, base: pair}}
	for _, t := range []*datatype{text, number, box, store, pair, endless} {
		list = append(list, &datatype{kind: kindArray, element: t})
	}
	return list
}

func corpus(f *testing.F, version int) [][]byte {
	f.Helper()
	messages, err := readRecorded(fmt.Sprintf("testdata/stream-%d.gz", version))
	if err != nil {
		f.Fatal(err)
	}
	return messages
}
