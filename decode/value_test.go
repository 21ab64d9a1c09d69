package decode_test

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"pgwitness/decode"
)

// recordedValues is what a server said of values: the text of the type's output function, and what row_to_json makes of
// it (testdata/README.md says how it was asked).
type recordedValues struct {
	Types map[uint32]*struct {
		decode.TypeInfo
		Kind, Delimiter string
	}
	Values []struct {
		Type, Text, JSON string
		OID              uint32
	}
}

func readValues(t testing.TB, name string) *recordedValues {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var v recordedValues
	if err := json.NewDecoder(z).Decode(&v); err != nil {
		t.Fatal(err)
	}
	return &v
}

func (v *recordedValues) catalogue() *catalogue {
	c := &catalogue{Types: make(map[uint32]*decode.TypeInfo)}
	for oid, info := range v.Types {
		info.TypeInfo.Kind, info.TypeInfo.Delimiter = info.Kind[0], info.Delimiter[0]
		c.Types[oid] = &info.TypeInfo
	}
	return c
}

// shown decodes one insert of one column, and gives the column's JSON and the whole record.
func shown(t testing.TB, source decode.Source, c *catalogue, oid uint32, text string) (value, record string) {
	t.Helper()
	d := decode.NewDecoder(source, c)
	for _, data := range [][]byte{begin(0x1000), relationOf(1, 'f', []string{"v"}, []uint32{oid}, 1), insert(1, text), commit(0x1000)} {
		if _, err := d.Decode(t.Context(), decode.Message{LSN: 0x900, Data: data}, func(r *decode.Record) error {
			record = string(r.Value)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	after := rawImage([]byte(record), "after")
	const frame = `{"v":`
	if len(after) < len(frame)+1 {
		t.Fatalf("no image in %s", record)
	}
	return after[len(frame) : len(after)-1], record
}

func TestValuesEqualServer(t *testing.T) {
	for _, version := range []int{14, 18} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			v := readValues(t, fmt.Sprintf("testdata/values-%d.json.gz", version))
			c := v.catalogue()
			for _, value := range v.Values {
				got, record := shown(t, origin, c, value.OID, value.Text)
				if got != value.JSON {
					t.Errorf("%s %q:\ngot  %s\nwant %s", value.Type, value.Text, got, value.JSON)
				}
				if img := parseRecord(t, []byte(record)); img.Opaque != nil {
					t.Errorf("%s %q is opaque", value.Type, value.Text)
				}
			}
			if len(v.Values) < 300 {
				t.Errorf("only %d values", len(v.Values))
			}
		})
	}
}
