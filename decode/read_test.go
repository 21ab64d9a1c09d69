package decode

import (
	"encoding/binary"
	"testing"
)

// BenchmarkRead measures reading alone, without a record: a row of ten mixed columns.
func BenchmarkRead(b *testing.B) {
	values := []string{"123456789012", "42", "a line of text that is not very long", "pending", "12345.6789", "t", "2026-11-22 19:34:32.248123+00",
		"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", `{"a": 1, "b": [1, 2, 3]}`, "0.25"}
	data := binary.BigEndian.AppendUint16([]byte{'I', 0, 0, 0, 1, 'N'}, uint16(len(values)))
	for _, v := range values {
		data = append(binary.BigEndian.AppendUint32(append(data, 't'), uint32(len(v))), v...)
	}
	d := NewDecoder(Source{}, nobody{})
	d.relations[1] = &relation{columns: make([]column, len(values))}
	b.ReportAllocs()
	for b.Loop() {
		c := cursor{rest: data[1:]}
		r, err := d.relationOf(c.uint32())
		if err != nil {
			b.Fatal(err)
		}
		if _, err := d.row.read(r, data[0], &c); err != nil {
			b.Fatal(err)
		}
	}
}
