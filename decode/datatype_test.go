package decode_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"pgwitness/decode"
)

// TestTypesFromCatalogue shows values of types that only the catalogue knows, and of such that it does not know.
func TestTypesFromCatalogue(t *testing.T) {
	c := &catalogue{Types: map[uint32]*decode.TypeInfo{
		20001: {Name: "pair", Kind: 'c', Delimiter: ',', Fields: []decode.FieldInfo{{Name: "a", Type: 23}, {Name: "gone", Type: 29999}}},
		20002: {Name: "_pair", Kind: 'b', Delimiter: ',', Element: 20001},
		20003: {Name: "hstore", Kind: 'b', Delimiter: ',', CastToJSON: true},
		20004: {Name: "geometry", Kind: 'b', Delimiter: ':', CastToJSON: true},
		20005: {Name: "_geometry", Kind: 'b', Delimiter: ',', Element: 20004},
		20006: {Name: "_gone", Kind: 'b', Delimiter: ',', Element: 29999},
		20007: {Name: "self", Kind: 'd', Base: 20007},
		20008: {Name: "ping", Kind: 'd', Base: 20009},
		20009: {Name: "pong", Kind: 'd', Base: 20008},
		20010: {Name: "tree", Kind: 'c', Fields: []decode.FieldInfo{{Name: "v", Type: 23}, {Name: "t", Type: 20011}}},
		20011: {Name: "_tree", Kind: 'b', Element: 20012},
		20012: {Name: "dtree", Kind: 'd', Base: 20010},
		20013: {Name: "hstore", Kind: 'b'}, // somebody's own, without the cast
		20014: {Name: "mood", Kind: 'e'},
		20015: {Name: "cheer", Kind: 'e', CastToJSON: true},
		12345: {Name: "system", Kind: 'b', CastToJSON: true}, // a cast of a system type is not looked at
		20016: {Name: "castpair", Kind: 'c', CastToJSON: true, Fields: []decode.FieldInfo{{Name: "a", Type: 23}}},
		20017: {Name: "none", Kind: 'c'},
		20018: {Name: "range", Kind: 'r'},
	}}
	for _, test := range []struct {
		oid    uint32
		text   string
		want   string
		opaque bool
	}{
		{29999, `x"`, `"x\""`, true},
		{20001, `(1,x)`, `{"a":1,"gone":"x"}`, true},
		{20001, `(1,)`, `{"a":1,"gone":null}`, false},
		{20002, `{"(1,x)"}`, `[{"a":1,"gone":"x"}]`, true},
		{20003, `"a"=>"1", "b"=>NULL`, `{"a": "1", "b": null}`, false},
		{20003, `"a"=>"1","b"=>NULL`, `"\"a\"=>\"1\",\"b\"=>NULL"`, true},
		{20003, `a`, `"a"`, true},
		{20003, `"a"`, `"\"a\""`, true},
		{20003, `"a"=>`, `"\"a\"=>"`, true},
		{20004, `0101`, `"0101"`, true},
		{20005, `{01:02}`, `["01","02"]`, true},
		{20006, `{a,NULL}`, `["a",null]`, true},
		{20006, `{NULL}`, `[null]`, false},
		{20007, `a`, `"a"`, true},
		{20008, `a`, `"a"`, true},
		{20010, `(1,"{""(2,\\""{}\\"")"",NULL}")`, `{"v":1,"t":[{"v":2,"t":[]},null]}`, false},
		{20013, `"a"=>"1"`, `"\"a\"=>\"1\""`, false},
		{20014, `ok`, `"ok"`, false},
		{20015, `yes`, `"yes"`, true},
		{12345, `yes`, `"yes"`, false},
		{20016, `(1)`, `{"a":1}`, false},
		{20017, `()`, `{}`, false},
		{20017, `(1)`, `"(1)"`, true},
		{20018, `[1,2)`, `"[1,2)"`, false},
		{1007, `{1,2`, `"{1,2"`, true},
		{1007, `{1}{2}`, `"{1}{2}"`, true},
		{1007, `{1,}`, `"{1,}"`, true},
		{1007, `{{{{{{{1}}}}}}}`, `"{{{{{{{1}}}}}}}"`, true},
		{1007, `{1,{2}}`, `[1,[2]]`, false},
		{1007, ``, `""`, true},
		{1009, `{"a}`, `"{\"a}"`, true},
		{1009, `{a"b}`, `"{a\"b}"`, true},
		{23, `x`, `"x"`, false},
		{23, `01`, `"01"`, false},
		{1184, `soon ;`, `"soon ;"`, false},
	} {
		got, record := shown(t, origin, c, test.oid, test.text)
		if got != test.want {
			t.Errorf("%d %q: %s, want %s", test.oid, test.text, got, test.want)
		}
		if strings.Contains(record, `,"opaque":["v"],`) != test.opaque {
			t.Errorf("%d %q: %s", test.oid, test.text, record)
		}
	}
}

// TestDeep refuses to follow a value deeper than any server nests it.
func TestDeep(t *testing.T) {
	c := &catalogue{Types: map[uint32]*decode.TypeInfo{20001: {Name: "a", Kind: 'c', Fields: []decode.FieldInfo{{Name: "a", Type: 20001}}}}}
	nest := func(n int) string {
		text := "()"
		for range n {
			text = `("` + strings.NewReplacer(`"`, `""`, `\`, `\\`).Replace(text) + `")`
		}
		return text
	}
	if got, _ := shown(t, origin, c, 20001, nest(3)); got != `{"a":{"a":{"a":{"a":null}}}}` {
		t.Error(got)
	}
}

// TestCatalogueCalls asks once a type, however often it is used, and once a relation message.
func TestCatalogueCalls(t *testing.T) {
	c := &catalogue{Types: map[uint32]*decode.TypeInfo{
		20001: {Name: "mood", Kind: 'e'},
		20002: {Name: "_mood", Kind: 'b', Element: 20001},
	}}
	names, oids := []string{"a", "b", "c", "d"}, []uint32{20001, 20002, 20001, 29999}
	two := relationOf(2, 'd', names, oids, 0)
	records(t, origin, c, relationOf(1, 'd', names, oids, 0), two, insert(1, "x", "{y}", "z", "w"), insert(2, "x", "{y}", "z", "w"))
	for what, n := range c.asked {
		if n != 1 {
			t.Errorf("%s asked for %d times", what, n)
		}
	}
	if len(c.asked) != 5 {
		t.Errorf("asked for %v", c.asked)
	}
}

// growing is a catalogue in which an attribute is added to a type.
type growing struct {
	fields, asked int
}

func (g *growing) Relation(context.Context, uint32) (*decode.RelationInfo, error) { return nil, nil }

func (g *growing) Tables(context.Context, []decode.Target) ([]*decode.TableInfo, error) {
	return nil, nil
}

func (g *growing) Type(context.Context, uint32) (*decode.TypeInfo, error) {
	g.asked++
	info := &decode.TypeInfo{Name: "grown", Kind: 'c', Delimiter: ','}
	for i := range g.fields {
		info.Fields = append(info.Fields, decode.FieldInfo{Name: fmt.Sprint("f", i), Type: 23})
	}
	return info, nil
}

// TestGrownComposite takes the new attribute from the catalogue when a value first has it, and shows values from before
// it as text: nobody can tell which attributes they had.
func TestGrownComposite(t *testing.T) {
	g := &growing{fields: 2}
	d := decode.NewDecoder(origin, g)
	var got []string
	feed := func(data []byte) {
		t.Helper()
		if _, err := d.Decode(t.Context(), decode.Message{LSN: 0x900, Data: data}, func(r *decode.Record) error {
			s := rawImage(r.Value, "after")
			if strings.Contains(string(r.Value), `"opaque":["v"]`) {
				s += " opaque"
			}
			got = append(got, s)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	feed(begin(0x1000))
	feed(relationOf(1, 'f', []string{"v"}, []uint32{20001}, 1))
	feed(insert(1, "(1,2)"))
	g.fields = 3
	for range 3 {
		feed(insert(1, "(1,2,3,4)"))
		feed(insert(1, "(,,3)"))
		feed(insert(1, "(1,2)"))
	}
	feed(commit(0x1000))
	want := []string{`{"v":{"f0":1,"f1":2}}`}
	for range 3 {
		want = append(want, `{"v":"(1,2,3,4)"} opaque`, `{"v":{"f0":null,"f1":null,"f2":3}}`, `{"v":"(1,2)"} opaque`)
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if g.asked > 5 { // once at first, once a number of fields, and for 4 again after the change
		t.Errorf("asked %d times", g.asked)
	}
}

// TestRenamedAttributes asks again for the types, those within others too, after a message that tells of a definition.
func TestRenamedAttributes(t *testing.T) {
	name := func(field string) map[uint32]*decode.TypeInfo {
		return map[uint32]*decode.TypeInfo{
			20001: {Name: "inner", Kind: 'c', Fields: []decode.FieldInfo{{Name: field, Type: 23}}},
			20002: {Name: "_inner", Kind: 'b', Delimiter: ',', Element: 20001},
			20003: {Name: "outer", Kind: 'c', Fields: []decode.FieldInfo{{Name: "list", Type: 20002}, {Name: field, Type: 20001}}},
		}
	}
	c := &catalogue{Types: name("a")}
	d := decode.NewDecoder(origin, c)
	var got []string
	feed := func(data []byte) {
		t.Helper()
		if _, err := d.Decode(t.Context(), decode.Message{LSN: 0x900, Data: data}, func(r *decode.Record) error {
			if r.Target != decode.Control {
				got = append(got, rawImage(r.Value, "after"))
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	value := `("{(1),(2)}","(3)")`
	feed(begin(0x1000))
	feed(relationOf(1, 'f', []string{"v"}, []uint32{20003}, 1))
	feed(insert(1, value))
	c.Types = name("b")
	feed(insert(1, value))
	feed(logical(1, 0x900, "pgwitness.ddl", `{"op":"baseline_broken","schema":"s","table":"t","reason":"type","type":{"schema":"s","name":"inner"},"command":"ALTER TYPE"}`))
	feed(insert(1, value))
	feed(insert(1, value))
	feed(commit(0x1000))
	before, after := `{"v":{"list":[{"a":1},{"a":2}],"a":{"a":3}}}`, `{"v":{"list":[{"b":1},{"b":2}],"b":{"b":3}}}`
	want := []string{before, before, after, after}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for what, n := range c.asked {
		if n > 2 {
			t.Errorf("%s asked for %d times", what, n)
		}
	}
}
