package decode_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pglogrepl"

	"pgwitness/decode"
)

// A heard is what came of one message: marks and the ordinals of the records passed on, "last" ones with a star.
func heard(t *testing.T, d *decode.Decoder, data []byte) string {
	t.Helper()
	var list []string
	mark, err := d.Decode(t.Context(), decode.Message{LSN: 0x900, Data: data}, func(r *decode.Record) error {
		s := fmt.Sprint(r.ID.LSN, "#", r.ID.Ordinal)
		if strings.Contains(string(r.Value), `,"last":true,`) {
			s += "*"
		}
		list = append(list, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if mark != 0 {
		list = append(list, fmt.Sprint("mark ", mark))
	}
	return strings.Join(list, " ")
}

// TestLookAhead follows a stream message by message: which records it passes on, and which positions may be confirmed.
func TestLookAhead(t *testing.T) {
	d := decode.NewDecoder(origin, &catalogue{})
	r := relationOf(1, 'd', []string{"id"}, []uint32{23}, 1)
	for i, step := range []struct {
		data    []byte
		want    string
		between bool
	}{
		{begin(0x1000), "", false},
		{r, "", false},
		{insert(1, "1"), "", false},
		{insert(1, "2"), "0/1000#1", false},
		{logical(1, 0x800, "pgwitness.actor", "{}"), "", false}, // an ordinal, no record
		{logical(1, 0x810, "app", "x"), "0/1000#2", false},
		{logical(0, 0x820, "app", "loose"), "0/820#0", false}, // inside: passed on at once, nothing to confirm
		{append(uint32s(append(uint32s([]byte{'T'}, 2), 0), 1), 0, 0, 0, 1), "0/1000#4 0/1000#5", false},
		{logical(1, 0x830, "pgwitness", aContext), "", false},
		{commit(0x1000), "0/1000#6* mark 0/1030", true},
		{begin(0x2000), "", false},
		{commit(0x2000), "mark 0/2030", true}, // 14 sends those, too
		{logical(0, 0x2100, "app", "x"), "0/2100#0 mark 0/2100", true},
		{logical(0, 0x2200, "pgwitness.x", "x"), "mark 0/2200", true},
		{begin(0x3000), "", false},
		{logical(1, 0x2F00, "pgwitness", aContext), "", false},
		{commit(0x3000), "mark 0/3030", true},
		{logical(0, 0x3100, "pgwitness", aContext), "0/3100#0 mark 0/3100", true},
		{begin(0x4000), "", false},
		{originOf("elsewhere"), "", false},
		{insert(1, "3"), "", false},
		{logical(1, 0x3F00, "pgwitness.ddl", "{}"), "0/4000#1", false},
		{logical(1, 0x3F10, "pgwitness", "x"), "0/4000#2", false},
		{commit(0x4000), "0/4000#3* mark 0/4030", true},
	} {
		if got := heard(t, d, step.data); got != step.want {
			t.Errorf("step %d: %q, want %q", i, got, step.want)
		}
		if d.Between() != step.between {
			t.Errorf("step %d: between %t", i, d.Between())
		}
	}
}

// TestIDs extends 32-bit transaction ids near the server's own, and takes each position's timeline.
func TestIDs(t *testing.T) {
	tests := []struct {
		next uint64
		xid  uint32
		want uint64
	}{
		{0, 771, 771},
		{1000, 771, 771},
		{1<<32 + 5, 3, 1<<32 + 3},
		{1<<32 + 5, 0xFFFFFFFE, 0xFFFFFFFE},
		{7<<32 + 0x80000005, 0x80000001, 7<<32 + 0x80000001},
		{7<<32 + 0xFFFFFFFE, 1, 8<<32 + 1},
		{5, 0xFFFFFFFE, 0xFFFFFFFE},
	}
	for _, test := range tests {
		source := origin
		source.NextXID = test.next
		source.TimelineOf = func(lsn pglogrepl.LSN) uint32 { return uint32(lsn >> 12) }
		d := decode.NewDecoder(source, &catalogue{})
		b := begin(0x3000)
		copy(b[17:], uint32s(nil, test.xid))
		var got *decode.Record
		for _, data := range [][]byte{b, relationOf(1, 'd', []string{"id"}, []uint32{23}, 1), insert(1, "1"), commit(0x3000)} {
			if _, err := d.Decode(t.Context(), decode.Message{LSN: 0x900, Data: data}, func(r *decode.Record) error {
				got = keptRecord(r)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		if got.XID != test.want || !strings.Contains(string(got.Value), fmt.Sprintf(`"tx":{"xid":%d,"ordinal":1,`, test.want)) {
			t.Errorf("%d near %d is %d, want %d: %s", test.xid, test.next, got.XID, test.want, got.Value)
		}
		if id := "7412345678901234567.3.16401-0000000000003000-1"; got.ID.String() != id || !strings.HasPrefix(string(got.Value), `{"id":"`+id+`"`) {
			t.Errorf("id %s, want %s", got.ID, id)
		}
	}
}
