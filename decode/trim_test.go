package decode_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"pgwitness/decode"
)

// TestTrim leaves the images of a record out, and nothing else.
func TestTrim(t *testing.T) {
	r := relationOf(1, 'f', []string{"id", "word"}, []uint32{23, 25}, 2)
	messages := [][]byte{
		r, insert(1, "1", "long"),
		tuple(tuple(change('U', 1), 'O', "1", "long"), 'N', "22", "longer"),
		uint32s(append(uint32s([]byte{'T'}, 1), 0), 1),
		logical(1, 0x800, "app", "much"),
	}
	list := trimmed(t, messages)
	all := `"missing":["id","word"],"oversize":`
	for _, test := range []struct{ got, want string }{
		{list[0], `"identity":"full","key":{"id":1},` + all},
		{list[1], `"identity":"full","key":{"id":1},"changed":["id","word"],` + all},
		{list[2], `"identity":"full","key":{"id":22},"changed":["id","word"],` + all},
		{list[3], `"key":null,"truncate":{"cascade":false,"restart_identity":false},"actor":`},
		{list[4], `"message":{"prefix":"app","transactional":true},"oversize":`},
	} {
		if !strings.Contains(test.got, test.want) {
			t.Errorf("%s lacks %s", test.got, test.want)
		}
		if !json.Valid([]byte(test.got)) {
			t.Errorf("not JSON: %s", test.got)
		}
	}
}

// trimmed gives each value of a transaction in its trimmed form, and checks what it says of the whole.
func trimmed(t *testing.T, messages [][]byte) (list []string) {
	t.Helper()
	info := &catalogue{Relations: map[uint32]*decode.RelationInfo{1: {PrimaryKey: []string{"id"}}}}
	d := decode.NewDecoder(origin, info)
	all := append(append([][]byte{begin(0x1000)}, messages...), commit(0x1000))
	for _, data := range all {
		if _, err := d.Decode(t.Context(), decode.Message{LSN: 0x900, Data: data}, func(r *decode.Record) error {
			for _, value := range [][]byte{r.Value, r.NewValue} {
				if value == nil {
					continue
				}
				short := r.AppendTrimmed([]byte("kept"), value)
				if !bytes.HasPrefix(short, []byte("kept{")) {
					t.Errorf("what was there is lost: %s", short)
				}
				list = append(list, string(short[4:]))
				note := fmt.Sprintf(`"oversize":{"bytes":%d,"sha256":"%x"},"actor":`, len(value), sha256.Sum256(value))
				if bytes.Contains(short, []byte("oversize")) && !bytes.Contains(short, []byte(note)) {
					t.Errorf("%s lacks %s", short, note)
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	return list
}

// TestLargeRow holds the memory of a row of 8 MB to a small multiple of it, and expects it back afterwards.
func TestLargeRow(t *testing.T) {
	const size = 8 << 20
	names, oids := []string{"id", "data"}, []uint32{23, 17}
	data := tuple(tuple(change('U', 1), 'O', "1", `\x`+strings.Repeat("ab", size/2)), 'N', "1", unsent)
	info := &catalogue{Relations: map[uint32]*decode.RelationInfo{1: {PrimaryKey: []string{"id"}}}}
	d := opened(t, 'f', names, oids, 2, info)
	messages := [][]byte{data, insert(1, "1", "x"), insert(1, "1", "x"), commit(0x1000)}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, data := range messages {
		if _, err := d.Decode(t.Context(), decode.Message{LSN: 0x900, Data: data}, discard); err != nil {
			t.Fatal(err)
		}
	}
	messages, data = nil, nil
	runtime.GC()
	runtime.ReadMemStats(&after)
	// Its record has the value twice, before and after.
	if got := after.TotalAlloc - before.TotalAlloc; got > 2*size+size/4 {
		t.Errorf("a row of %d bytes took %d", size, got)
	}
	if after.HeapAlloc > before.HeapAlloc {
		t.Errorf("%d bytes more are in use than with the message itself", after.HeapAlloc-before.HeapAlloc)
	}
	runtime.KeepAlive(d)
}
