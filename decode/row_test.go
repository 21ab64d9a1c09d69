package decode_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"pgwitness/decode"
)

// middle is the part of a record that depends on the row.
func middle(value []byte) string {
	_, after, _ := strings.Cut(string(value), `"identity":`)
	part, _, _ := strings.Cut(after, `,"actor":`)
	return part
}

// records decodes one transaction.
func records(t *testing.T, source decode.Source, c decode.Catalogue, messages ...[]byte) []*decode.Record {
	t.Helper()
	var list []decode.Message
	for _, data := range slices.Concat([][]byte{begin(0x1000)}, messages, [][]byte{commit(0x1000)}) {
		list = append(list, decode.Message{LSN: 0x900, Data: data})
	}
	return decodeAll(t, decode.NewDecoder(source, c), list)
}

// TestImages holds what each replica identity and each kind of tuple lets a record say.
func TestImages(t *testing.T) {
	keyed := &catalogue{Relations: map[uint32]*decode.RelationInfo{1: {PrimaryKey: []string{"id"}}}}
	ahead := &catalogue{Relations: map[uint32]*decode.RelationInfo{1: {PrimaryKey: []string{"id", "added"}}}}
	update := func(tuples ...[]byte) []byte {
		return append(change('U', 1), slices.Concat(tuples...)...)
	}
	k := func(values ...string) []byte { return tuple(nil, 'K', values...) }
	o := func(values ...string) []byte { return tuple(nil, 'O', values...) }
	n := func(values ...string) []byte { return tuple(nil, 'N', values...) }
	tests := []struct {
		name     string
		identity byte
		info     *catalogue
		data     []byte
		want     string
		newKey   string
	}{
		{"insert", 'd', keyed, insert(1, "1", "a", null), `"default","key":{"id":1},"after":{"id":1,"a":"a","b":null}`, ""},
		{"update without old", 'd', keyed, update(n("1", "a", "b")),
			`"default","key":{"id":1},"before":{"id":1},"after":{"id":1,"a":"a","b":"b"},"changed":[],"missing":["a","b"]`, ""},
		{"update of another key", 'd', keyed, update(k("1", null, null), n("2", "a", "b")),
			`"default","key":{"id":1},"before":{"id":1},"after":{"id":2,"a":"a","b":"b"},"changed":["id"],"missing":["a","b"]`, `{"id":2}`},
		{"update of a key stored out of line", 'd', keyed, update(k("1", null, null), n(unsent, "a", unsent)),
			`"default","key":{"id":1},"before":{"id":1},"after":{"id":1,"a":"a"},"changed":[],"missing":["a","b"]`, ""},
		{"update with unsent", 'd', keyed, update(n("1", "a", unsent)),
			`"default","key":{"id":1},"before":{"id":1},"after":{"id":1,"a":"a"},"changed":[],"missing":["a","b"]`, ""},
		{"update with an unsent key before 14.2", 'd', keyed, update(n(unsent, "a", "b")),
			`"default","key":null,"before":{},"after":{"a":"a","b":"b"},"changed":[],"missing":["id","a","b"]`, ""},
		{"delete", 'd', keyed, append(change('D', 1), k("1", null, null)...),
			`"default","key":{"id":1},"before":{"id":1},"missing":["a","b"]`, ""},
		{"index", 'i', &catalogue{}, append(change('D', 1), k("1", null, null)...),
			`"index","key":{"id":1},"before":{"id":1},"missing":["a","b"]`, ""},
		{"full update", 'f', keyed, update(o("1", "a", null), n("1", "x", unsent)),
			`"full","key":{"id":1},"before":{"id":1,"a":"a","b":null},"after":{"id":1,"a":"x","b":null},"changed":["a"]`, ""},
		{"full update to null", 'f', keyed, update(o("1", "", "b"), n("1", null, unsent)),
			`"full","key":{"id":1},"before":{"id":1,"a":"","b":"b"},"after":{"id":1,"a":null,"b":"b"},"changed":["a"]`, ""},
		{"full update of the key", 'f', keyed, update(o("1", "a", "b"), n("2", "a", unsent)),
			`"full","key":{"id":1},"before":{"id":1,"a":"a","b":"b"},"after":{"id":2,"a":"a","b":"b"},"changed":["id"]`, `{"id":2}`},
		{"full without old", 'f', keyed, update(n("1", "a", "b")),
			`"full","key":{"id":1},"before":{},"after":{"id":1,"a":"a","b":"b"},"changed":[],"missing":["id","a","b"]`, ""},
		{"full delete", 'f', keyed, append(change('D', 1), o("1", "a", null)...), `"full","key":{"id":1},"before":{"id":1,"a":"a","b":null}`, ""},
		{"full without a key", 'f', &catalogue{}, insert(1, "1", "a", "b"), `"full","key":null,"after":{"id":1,"a":"a","b":"b"}`, ""},
		{"full and the catalogue ahead", 'f', ahead, insert(1, "1", "a", "b"), `"full","key":null,"after":{"id":1,"a":"a","b":"b"}`, ""},
		{"nothing", 'n', keyed, insert(1, "1", "a", "b"), `"nothing","key":{"id":1},"after":{"id":1,"a":"a","b":"b"}`, ""},
		{"nothing, update", 'n', keyed, update(n("1", "a", "b")),
			`"nothing","key":{"id":1},"before":{},"after":{"id":1,"a":"a","b":"b"},"changed":[],"missing":["id","a","b"]`, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			flagged := map[byte]int{'d': 1, 'i': 1, 'f': 3, 'n': 0}[test.identity]
			r := relationOf(1, test.identity, []string{"id", "a", "b"}, []uint32{23, 25, 25}, flagged)
			got := records(t, origin, test.info, r, test.data)[0]
			if m := middle(got.Value); m != test.want {
				t.Errorf("\ngot  %s\nwant %s", m, test.want)
			}
			if string(got.NewKey) != test.newKey {
				t.Errorf("new key %s, want %s", got.NewKey, test.newKey)
			}
			if !strings.Contains(string(got.Value), `"key":`+nullOr(got.Key)+`,`) {
				t.Errorf("the key is %s in the record %s", got.Key, got.Value)
			}
			if want := strings.Replace(string(got.Value), `"key":`+string(got.Key), `"key":`+test.newKey, 1); test.newKey != "" && string(got.NewValue) != want {
				t.Errorf("new value\ngot  %s\nwant %s", got.NewValue, want)
			}
		})
	}
}

func nullOr(key []byte) string {
	if key == nil {
		return "null"
	}
	return string(key)
}

// TestSameKeyInOtherWords takes two texts that mean the same JSON for one key.
func TestSameKeyInOtherWords(t *testing.T) {
	r := relationOf(1, 'd', []string{"k"}, []uint32{1007}, 1)
	got := records(t, origin, &catalogue{}, r, tuple(tuple(change('U', 1), 'K', "{1}"), 'N', "[0:0]={1}"))[0]
	if got.NewKey != nil || !strings.Contains(string(got.Value), `"changed":["k"]`) {
		t.Errorf("new key %s in %s", got.NewKey, got.Value)
	}
}

// TestTargets hands out one pointer a table, over repeated and changed relation messages, and names the root.
func TestTargets(t *testing.T) {
	info := &catalogue{Relations: map[uint32]*decode.RelationInfo{1: {RootSchema: "top", RootTable: "root"}, 2: {RootSchema: "top", RootTable: "root"}}}
	names, oids := []string{"id"}, []uint32{23}
	r := relationOf(1, 'd', names, oids, 1)
	other := []byte("R\x00\x00\x00\x02\x00leaf\x00d\x00\x00")
	list := records(t, origin, info, r, insert(1, "1"), r, insert(1, "2"), relationOf(1, 'd', []string{"key"}, oids, 1), insert(1, "3"), other, insert(2))
	for _, r := range list[:3] {
		if r.Target != list[0].Target || r.Root != list[0].Root || *r.Target != (decode.Target{Schema: "public", Table: "orders"}) {
			t.Errorf("target %v of %v", r.Target, r.Root)
		}
	}
	last := list[3]
	if last.Root != list[0].Root || *last.Root != (decode.Target{Schema: "top", Table: "root"}) || *last.Target != (decode.Target{Schema: "pg_catalog", Table: "leaf"}) {
		t.Errorf("target %v of %v", last.Target, last.Root)
	}
	if want := `"schema":"pg_catalog","table":"leaf","root":{"schema":"top","table":"root"},"identity":"default","key":null,"after":{}`; !strings.Contains(string(last.Value), want) {
		t.Errorf("%s lacks %s", last.Value, want)
	}
	if got := info.asked["relation 1"]; got != 3 {
		t.Errorf("relation asked for %d times, want once a message", got)
	}
	if !slices.Equal(list[0].Columns, []string{"id"}) || !slices.Equal(list[2].Columns, []string{"key"}) {
		t.Errorf("columns %q, %q", list[0].Columns, list[2].Columns)
	}
}

// failing is a catalogue that cannot be reached.
type failing struct{ err error }

func (f failing) Relation(context.Context, uint32) (*decode.RelationInfo, error) { return nil, f.err }
func (f failing) Type(context.Context, uint32) (*decode.TypeInfo, error)         { return nil, f.err }
func (f failing) Tables(context.Context, []decode.Target) ([]*decode.TableInfo, error) {
	return nil, f.err
}

func TestCatalogueFails(t *testing.T) {
	lost := errors.New("connection lost")
	for _, oid := range []uint32{23, 20000} {
		d := decode.NewDecoder(origin, failing{lost})
		if _, err := d.Decode(t.Context(), decode.Message{Data: begin(0x1000)}, discard); err != nil {
			t.Fatal(err)
		}
		_, err := d.Decode(t.Context(), decode.Message{Data: relationOf(1, 'd', []string{"id"}, []uint32{oid}, 1)}, discard)
		if !errors.Is(err, lost) || !strings.Contains(err.Error(), "decode relation of public.orders at 0/1000: look") {
			t.Errorf("error %v", err)
		}
	}
}
