package decode_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"testing"

	"pgwitness/decode"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestGolden holds the records of a recorded stream, as they go to Kafka, against a file. Rows of the audit trigger's
// own table and of the table with 1600 columns are left out.
func TestGolden(t *testing.T) {
	d := decode.NewDecoder(origin, readCatalogue(t, "catalogue-18"))
	var got []byte
	for _, r := range decodeAll(t, d, readStream(t, "stream-18")) {
		if head := `","op":"` + r.Op.String() + `"`; r.Op != decode.OpControl && !bytes.Contains(r.Value[:120], []byte(head)) {
			t.Errorf("%s is a record of %s", r.Value, r.Op)
		}
		if r.Target.Table == "audit_log" || r.Target.Table == "wide" {
			continue
		}
		got = fmt.Appendf(got, "%s %s", r.ID, r.Target.Table)
		if r.Root != nil {
			got = fmt.Appendf(got, " root=%s", r.Root.Table)
		}
		got = fmt.Appendf(got, " columns=%q everywhere=%t\nkey   %s\nvalue %s\n", r.Columns, r.Everywhere, r.Key, r.Value)
		if r.NewKey != nil {
			got = fmt.Appendf(got, "key   %s\nvalue %s\n", r.NewKey, r.NewValue)
		}
	}
	const name = "testdata/records-18.golden"
	if *update {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("records differ from %s at line %d; go test -update ./decode writes it anew", name, differing(got, want))
	}
}

func differing(a, b []byte) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return bytes.Count(a[:n], []byte{'\n'}) + 1
}
