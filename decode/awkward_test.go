package decode_test

import (
	"strings"
	"testing"

	"pgwitness/decode"
)

// TestAwkwardRow takes the values that one or another tool of this kind shows wrong, drops, or stops at.
func TestAwkwardRow(t *testing.T) {
	c := &catalogue{Types: map[uint32]*decode.TypeInfo{
		20001: {Name: "address", Kind: 'c', Delimiter: ',', Fields: []decode.FieldInfo{{Name: "street", Type: 25}, {Name: "no", Type: 23}}},
	}}
	for _, test := range []struct {
		name string
		oid  uint32
		text string
		want string
	}{
		{"numeric", 1700, "12345678901234567890.123456789", "12345678901234567890.123456789"},
		{"numeric NaN", 1700, "NaN", `"NaN"`},
		{"numeric Infinity", 1700, "-Infinity", `"-Infinity"`},
		{"jsonb beyond 2^53", 3802, `{"n": 9007199254740993}`, `{"n": 9007199254740993}`},
		{"timestamptz infinity", 1184, "infinity", `"infinity"`},
		{"timestamptz before Christ", 1184, "0044-03-15 12:00:00+00 BC", `"0044-03-15T12:00:00+00:00 BC"`},
		{"date before Christ", 1082, "0044-03-15 BC", `"0044-03-15 BC"`},
		{"timestamp of year 12024", 1114, "12024-05-06 07:08:09", `"12024-05-06T07:08:09"`},
		{"uuid", 2950, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", `"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"`},
		{"nested array", 1007, "{{1,2},{3,4}}", "[[1,2],[3,4]]"},
		{"interval", 1186, "1 year 2 mons -3 days 04:05:06.789", `"1 year 2 mons -3 days 04:05:06.789"`},
		{"timetz", 1266, "13:14:15.5-03:30:15", `"13:14:15.5-03:30:15"`},
		{"composite", 20001, `("Rue ""de"" X, 5",7)`, `{"street":"Rue \"de\" X, 5","no":7}`},
		{"multirange", 4451, "{[1,3),[5,7)}", `"{[1,3),[5,7)}"`},
		{"array of money", 791, `{"$1,234.50",-$0.05}`, `["$1,234.50","-$0.05"]`},
		{"pg_lsn", 3220, "16/B374D848", `"16/B374D848"`},
		{"text of 1.7 MB", 25, strings.Repeat("é\n", 600_000), `"` + strings.Repeat(`é\n`, 600_000) + `"`},
	} {
		if got, _ := shown(t, origin, c, test.oid, test.text); got != test.want {
			t.Errorf("%s: %.200s, want %.200s", test.name, got, test.want)
		}
	}

	// An unchanged value that was not sent while the key changes, and a deleted row of which the log has the key only.
	r := relationOf(1, 'd', []string{"id", "v", "big"}, []uint32{23, 23, 25}, 1)
	for _, test := range []struct {
		data []byte
		want string
	}{
		{tuple(tuple(change('U', 1), 'K', "1", null, null), 'N', "2", "7", unsent),
			`"default","key":{"id":1},"before":{"id":1},"after":{"id":2,"v":7},"changed":["id"],"missing":["v","big"]`},
		{tuple(change('D', 1), 'K', "2", null, null), `"default","key":{"id":2},"before":{"id":2},"missing":["v","big"]`},
	} {
		if got := middle(records(t, origin, c, r, test.data)[0].Value); got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
	}
}
