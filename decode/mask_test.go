package decode_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgwitness/decode"
)

var (
	maskKey = []byte("a key of thirty-two bytes or more")
	orders  = decode.Target{Schema: "public", Table: "orders"}
)

// aMask is one of a column of the table of relationOf.
func aMask(column string, kind decode.MaskKind) decode.Mask {
	return decode.Mask{Table: orders, Column: column, Kind: kind}
}

func absent(m decode.Mask) decode.Mask {
	m.MayBeAbsent = true
	return m
}

func newMasks(t testing.TB, alone []decode.Target, list ...decode.Mask) *decode.Masks {
	t.Helper()
	ms, err := decode.NewMasks(list, alone, maskKey)
	if err != nil {
		t.Fatal(err)
	}
	return ms
}

func maskedOrigin(t testing.TB, list ...decode.Mask) decode.Source {
	t.Helper()
	source := origin
	source.Masks = newMasks(t, nil, list...)
	return source
}

// maskCatalogue has the table under its name, with these columns.
func maskCatalogue(info *decode.RelationInfo, columns ...string) *catalogue {
	return &catalogue{
		Relations: map[uint32]*decode.RelationInfo{1: info},
		Named:     map[decode.Target]*decode.TableInfo{orders: {Columns: columns}},
	}
}

// hashOf is what stands for a text under the key.
func hashOf(key []byte, text string) string {
	mac := func(s string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(s))
		return h.Sum(nil)
	}
	return fmt.Sprintf("hmac-sha256:%x:%s", mac("pgwitness: the id of a key")[:6], base64.RawURLEncoding.EncodeToString(mac(text)))
}

// TestMaskedValues holds what stands for a value, by its mask and whatever its type is.
func TestMaskedValues(t *testing.T) {
	quoted := func(s string) string { return `"` + s + `"` }
	for _, test := range []struct {
		kind decode.MaskKind
		oid  uint32
		text string
		want string
	}{
		{decode.MaskRedact, 25, "secret", `"redacted"`},
		{decode.MaskRedact, 25, "", `"redacted"`},
		{decode.MaskRedact, 23, "42", `"redacted"`},
		{decode.MaskRedact, 3802, `{"a": 1}`, `"redacted"`},
		{decode.MaskRedact, 1009, `{a,"b c"}`, `"redacted"`},
		{decode.MaskRedact, 25, "\xff", `"redacted"`},
		{decode.MaskRedact, 25, null, `null`},
		{decode.MaskNull, 25, "secret", `null`},
		{decode.MaskNull, 114, `[1]`, `null`},
		{decode.MaskNull, 25, null, `null`},
		{decode.MaskHash, 25, "secret", quoted(hashOf(maskKey, "secret"))},
		{decode.MaskHash, 25, "", quoted(hashOf(maskKey, ""))},
		{decode.MaskHash, 23, "42", quoted(hashOf(maskKey, "42"))},
		{decode.MaskHash, 16, "t", quoted(hashOf(maskKey, "t"))},
		{decode.MaskHash, 1184, "2026-11-22 19:34:32+00", quoted(hashOf(maskKey, "2026-11-22 19:34:32+00"))},
		{decode.MaskHash, 3802, `{"a": 1}`, quoted(hashOf(maskKey, `{"a": 1}`))},
		{decode.MaskHash, 1007, "{1,2}", quoted(hashOf(maskKey, "{1,2}"))},
		{decode.MaskHash, 25, "bytes \xff", quoted(hashOf(maskKey, "bytes \xff"))},
		{decode.MaskHash, 25, null, `null`},
		{decode.MaskLast4, 25, "4111111111111234", `"****1234"`},
		{decode.MaskLast4, 25, "12345678", `"****5678"`},
		{decode.MaskLast4, 25, "1234567", `"****"`},
		{decode.MaskLast4, 25, "1234", `"****"`},
		{decode.MaskLast4, 25, "", `"****"`},
		{decode.MaskLast4, 25, "ääääöüß€", `"****öüß€"`},
		{decode.MaskLast4, 25, "ääääöüß", `"****"`},
		{decode.MaskLast4, 25, "abcdefg\"\\\x01", `"****g\"\\\u0001"`},
		{decode.MaskLast4, 20, "123456789", `"****6789"`},
		{decode.MaskLast4, 114, `{"pin":"123"}`, `"****23\"}"`},
		{decode.MaskLast4, 25, "12345678\xff", `"****"`},
		{decode.MaskLast4, 25, null, `null`},
	} {
		t.Run(fmt.Sprintf("%s of %q", test.kind, test.text), func(t *testing.T) {
			c := maskCatalogue(&decode.RelationInfo{}, "v")
			list := records(t, maskedOrigin(t, aMask("v", test.kind)), c,
				relationOf(1, 'f', []string{"id", "v"}, []uint32{23, test.oid}, 2), insert(1, "1", test.text))
			want := fmt.Sprintf(`"full","masked":{"v":"%s"},"key":null,"after":{"id":1,"v":%s}`, test.kind, test.want)
			if got := middle(list[0].Value); got != want {
				t.Errorf("\ngot  %s\nwant %s", got, want)
			}
			if !json.Valid(list[0].Value) {
				t.Errorf("not JSON: %s", list[0].Value)
			}
		})
	}
}

// TestMaskedImages holds a masked key to the same bytes everywhere, and what the rest of a record says of masked columns.
func TestMaskedImages(t *testing.T) {
	names, oids := []string{"id", "a", "b"}, []uint32{25, 25, 25}
	one, two := `"`+hashOf(maskKey, "one")+`"`, `"`+hashOf(maskKey, "two")+`"`
	update := func(tuples ...[]byte) []byte { return append(change('U', 1), slices.Concat(tuples...)...) }
	k := func(values ...string) []byte { return tuple(nil, 'K', values...) }
	o := func(values ...string) []byte { return tuple(nil, 'O', values...) }
	n := func(values ...string) []byte { return tuple(nil, 'N', values...) }
	replace := strings.NewReplacer("<1>", one, "<2>", two, "M", `"masked":{"id":"hash","a":"redact","b":"null-marker"}`)
	for _, test := range []struct {
		name, identity string
		data           []byte
		want, newKey   string
	}{
		{"insert", "f", insert(1, "one", "x", null), `"full",M,"key":{"id":<1>},"after":{"id":<1>,"a":"redacted","b":null}`, ""},
		{"delete", "f", append(change('D', 1), o("one", null, "y")...), `"full",M,"key":{"id":<1>},"before":{"id":<1>,"a":null,"b":null}`, ""},
		{"delete by key", "d", append(change('D', 1), k("one", null, null)...), `"default",M,"key":{"id":<1>},"before":{"id":<1>},"missing":["a","b"]`, ""},
		{"update", "f", update(o("one", "x", "y"), n("one", "z", unsent)),
			`"full",M,"key":{"id":<1>},"before":{"id":<1>,"a":"redacted","b":null},"after":{"id":<1>,"a":"redacted","b":null},"changed":["a"]`, ""},
		{"update of null", "f", update(o("one", "x", null), n("one", "x", "y")),
			`"full",M,"key":{"id":<1>},"before":{"id":<1>,"a":"redacted","b":null},"after":{"id":<1>,"a":"redacted","b":null},"changed":["b"]`, ""},
		{"update with unsent", "d", update(n("one", "x", unsent)),
			`"default",M,"key":{"id":<1>},"before":{"id":<1>},"after":{"id":<1>,"a":"redacted"},"changed":[],"missing":["a","b"]`, ""},
		{"another key", "f", update(o("one", "x", "y"), n("two", "x", "y")),
			`"full",M,"key":{"id":<1>},"before":{"id":<1>,"a":"redacted","b":null},"after":{"id":<2>,"a":"redacted","b":null},"changed":["id"]`, `{"id":<2>}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			source := maskedOrigin(t, aMask("id", decode.MaskHash), aMask("a", decode.MaskRedact), aMask("b", decode.MaskNull))
			c := maskCatalogue(&decode.RelationInfo{PrimaryKey: []string{"id"}}, names...)
			flagged := map[string]int{"d": 1, "f": 3}[test.identity]
			list := records(t, source, c, relationOf(1, test.identity[0], names, oids, flagged), test.data, uint32s(append(uint32s([]byte{'T'}, 1), 0), 1))
			got := list[0]
			if m, want := middle(got.Value), replace.Replace(test.want); m != want {
				t.Errorf("\ngot  %s\nwant %s", m, want)
			}
			if want := replace.Replace(`{"id":<1>}`); string(got.Key) != want {
				t.Errorf("record key %s, want %s", got.Key, want)
			}
			if want := replace.Replace(test.newKey); string(got.NewKey) != want {
				t.Errorf("new record key %s, want %s", got.NewKey, want)
			}
			want := decode.Masking{Oid: 1, Masks: []string{"public.orders.a", "public.orders.b", "public.orders.id"}, Hashed: source.Masks.KeyID() + ` ["id"]`}
			if got.Masking == nil || !reflect.DeepEqual(*got.Masking, want) {
				t.Errorf("masking %v, want %v", got.Masking, want)
			}
			if truncate := list[1]; strings.Contains(string(truncate.Value), "masked") || truncate.Masking != got.Masking {
				t.Errorf("a truncate with masking %v: %s", truncate.Masking, truncate.Value)
			}
			readSchema(t).holds(t, got.Value)
		})
	}
}

// TestMasksHideEverything plants a text in masked columns of every shape, and looks for it in records, whole and trimmed,
// and in their keys.
func TestMasksHideEverything(t *testing.T) {
	const planted = "planted7f3a91"
	names := []string{"id", "plain", "doc", "list", "pair", "bytes", "odd"}
	oids := []uint32{25, 25, 3802, 1009, 20000, 17, 25}
	values := func(n string) []string {
		return []string{planted + n, planted, `{"` + planted + n + `": 1}`, "{" + planted + "}", "(1," + planted + ")", `\x` + planted, planted + "\xff"}
	}
	for _, kind := range []decode.MaskKind{decode.MaskRedact, decode.MaskHash, decode.MaskLast4, decode.MaskNull} {
		list := []decode.Mask{aMask("id", decode.MaskHash)}
		for _, name := range names[1:] {
			list = append(list, aMask(name, kind))
		}
		c := maskCatalogue(&decode.RelationInfo{PrimaryKey: []string{"id"}}, names...)
		c.Types = map[uint32]*decode.TypeInfo{20000: {Name: "pair", Kind: 'c', Fields: []decode.FieldInfo{{Name: "a", Type: 23}}}}
		d := decode.NewDecoder(maskedOrigin(t, list...), c)
		messages := [][]byte{
			begin(0x1000), relationOf(1, 'f', names, oids, len(names)), insert(1, values("1")...),
			tuple(tuple(change('U', 1), 'O', values("1")...), 'N', values("2")...), tuple(change('D', 1), 'O', values("2")...), commit(0x1000),
		}
		n := 0
		for _, data := range messages {
			if _, err := d.Decode(t.Context(), decode.Message{LSN: 0x900, Data: data}, func(r *decode.Record) error {
				n++
				for _, part := range [][]byte{r.Key, r.Value, r.NewKey, r.NewValue, r.AppendTrimmed(nil, r.Value)} {
					if strings.Contains(string(part), planted) || strings.Contains(string(part), fmt.Sprintf("%x", planted)) {
						t.Errorf("%s: %s", kind, part)
					}
					if strings.Contains(string(part), `"opaque"`) || strings.Contains(string(part), `"encoding"`) {
						t.Errorf("%s: a note of what the value was: %s", kind, part)
					}
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		if n != 3 {
			t.Errorf("%d records", n)
		}
	}
}

// TestMaskedCharset takes hashes and characters from the text in UTF-8, so that databases of several encodings agree.
func TestMaskedCharset(t *testing.T) {
	for kind, want := range map[decode.MaskKind]string{decode.MaskHash: hashOf(maskKey, "grüßegrüße"), decode.MaskLast4: "****rüße"} {
		source := maskedOrigin(t, aMask("v", kind))
		source.Encoding, source.Charset = "LATIN1", latin1{new(int), nil}
		got := records(t, source, maskCatalogue(nil, "v"), relationOf(1, 'f', []string{"v"}, []uint32{25}, 1), insert(1, "gr\xfc\xdfegr\xfc\xdfe"))[0]
		if !strings.Contains(string(got.Value), `"v":"`+want+`"`) {
			t.Errorf("%s lacks %s", got.Value, want)
		}
	}
}

// TestMaskKeys tells keys by their ids, and takes no short one.
func TestMaskKeys(t *testing.T) {
	list := []decode.Mask{aMask("v", decode.MaskHash)}
	ids := map[string]bool{}
	for _, key := range []string{string(maskKey), strings.Repeat("k", 32), strings.Repeat("k", 33), strings.Repeat("k", 200)} {
		ms, err := decode.NewMasks(list, nil, []byte(key))
		if err != nil {
			t.Fatal(err)
		}
		ids[ms.KeyID()] = true
		if shown := fmt.Sprintf("%v %+v %#v", ms, ms, *ms); strings.Contains(shown, key) || strings.Contains(shown, fmt.Sprint([]byte(key))) {
			t.Errorf("the masks show their key: %s", shown)
		}
	}
	if len(ids) != 4 {
		t.Errorf("ids %v", ids)
	}
	if _, err := decode.NewMasks(list, nil, maskKey[:31]); err == nil {
		t.Error("a key of 31 bytes is taken")
	}
	if _, err := decode.NewMasks([]decode.Mask{aMask("v", "blur")}, nil, maskKey); err == nil {
		t.Error("a kind that there is not is taken")
	}
	odd := decode.Mask{Table: decode.Target{Schema: "a.b", Table: "c"}, Column: `d"e`}
	if got, want := odd.String(), `"a.b".c."d""e"`; got != want {
		t.Errorf("a mask's name is %s, want %s", got, want)
	}
	if ms, err := decode.NewMasks(nil, nil, nil); ms != nil || err != nil || ms.Check(t.Context(), nobodyThere{}) != nil {
		t.Errorf("no masks: %v, %v", ms, err)
	}
}

type nobodyThere struct{ decode.Catalogue }

// TestMasksAllocateNothing holds masked rows to what others cost.
func TestMasksAllocateNothing(t *testing.T) {
	names := columnNames(10)
	list := []decode.Mask{aMask(names[0], decode.MaskHash), aMask(names[2], decode.MaskHash), aMask(names[3], decode.MaskRedact),
		aMask(names[4], decode.MaskLast4), aMask(names[8], decode.MaskNull)}
	s := shapes[1]
	d := decode.NewDecoder(maskedOrigin(t, list...), maskCatalogue(&decode.RelationInfo{PrimaryKey: names[:1]}, names...))
	for _, data := range [][]byte{begin(0x1000), relationOf(1, 'f', names, s.oids, len(names))} {
		if _, err := d.Decode(t.Context(), decode.Message{LSN: 0x900, Data: data}, discard); err != nil {
			t.Fatal(err)
		}
	}
	data := tuple(tuple(change('U', 1), 'O', s.values...), 'N', append([]string{"43"}, s.values[1:]...)...)
	ctx := t.Context()
	if n := testing.AllocsPerRun(200, func() {
		if _, err := d.Decode(ctx, decode.Message{LSN: 0x900, Data: data}, discard); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations an update", n)
	}
}

func BenchmarkMasked(b *testing.B) {
	s := shapes[1]
	names := columnNames(len(s.oids))
	for _, kind := range []decode.MaskKind{decode.MaskRedact, decode.MaskHash, decode.MaskLast4} {
		b.Run(string(kind), func(b *testing.B) {
			d := decode.NewDecoder(maskedOrigin(b, aMask(names[2], kind)), maskCatalogue(&decode.RelationInfo{PrimaryKey: names[:1]}, names...))
			for _, data := range [][]byte{begin(0x1000), relationOf(1, 'f', names, s.oids, len(names))} {
				if _, err := d.Decode(b.Context(), decode.Message{LSN: 0x900, Data: data}, discard); err != nil {
					b.Fatal(err)
				}
			}
			m := decode.Message{LSN: 0x900, Data: insert(1, s.values...)}
			ctx := b.Context()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.Decode(ctx, m, discard); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
