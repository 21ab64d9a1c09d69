package decode_test

import (
	"errors"
	"runtime"
	"testing"

	"pgwitness/decode"
)

// TestClaimsAreNotBelieved: what a message says of its own size costs no memory before it is seen to be true.
func TestClaimsAreNotBelieved(t *testing.T) {
	const most = 64 << 10
	r := relationOf(1, 'd', []string{"id", "word"}, []uint32{23, 25}, 1)
	for name, data := range map[string][]byte{
		"relations of a truncate": uint32s(append(uint32s([]byte{'T'}, 1<<31-1), 0), 1),
		"columns of a relation":   []byte("R\x00\x00\x00\x02s\x00t\x00d\xFF\xFF\x00a"),
		"columns of a tuple":      append(change('I', 1), "N\xFF\xFFt"...),
		"a value":                 append(change('I', 1), "N\x00\x02t\x7F\xFF\xFF\xFFx"...),
		"a logical message":       append(logical(1, 0x900, "a", "")[:12], 0x7F, 0xFF, 0xFF, 0xFF),
		"a negative value":        append(change('I', 1), "N\x00\x02t\xFF\xFF\xFF\xFFx"...),
	} {
		d := decode.NewDecoder(origin, &catalogue{})
		for _, before := range [][]byte{begin(0x1000), r} {
			m := decode.Message{Data: before}
			if before[0] == 'B' {
				m.LSN = 0x900
			}
			if _, err := d.Decode(t.Context(), m, discard); err != nil {
				t.Fatal(err)
			}
		}
		var was, is runtime.MemStats
		runtime.ReadMemStats(&was)
		_, err := d.Decode(t.Context(), decode.Message{LSN: 0x900, Data: data}, discard)
		runtime.ReadMemStats(&is)
		if e := new(decode.Error); !errors.As(err, &e) {
			t.Errorf("%s: error %v", name, err)
		}
		if n := is.TotalAlloc - was.TotalAlloc; n > most {
			t.Errorf("%s: %d bytes allocated for a message of %d", name, n, len(data))
		}
	}
}
