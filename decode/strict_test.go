package decode_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pglogrepl"

	"pgwitness/decode"
)

// TestCutAndLengthened feeds every recorded message cut at every byte, and with a byte more, before it feeds the message
// itself. Each of these is an error, and none leaves a trace in the records.
func TestCutAndLengthened(t *testing.T) {
	for _, version := range versions {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			messages := readStream(t, fmt.Sprintf("stream-%d", version))
			info := readCatalogue(t, fmt.Sprintf("catalogue-%d", version))
			want := decodeAll(t, decode.NewDecoder(origin, info), messages)
			d := decode.NewDecoder(origin, info)
			var got []*decode.Record
			emit := func(r *decode.Record) error {
				got = append(got, keptRecord(r))
				return nil
			}
			for i, m := range messages {
				step := 1
				if len(m.Data) > 2000 {
					step = len(m.Data) / 40
				}
				for n := 0; n < len(m.Data); n += step {
					broken(t, d, m.LSN, m.Data[:n:n], emit)
				}
				broken(t, d, m.LSN, append(bytes.Clone(m.Data), 0), emit)
				if _, err := d.Decode(t.Context(), m, emit); err != nil {
					t.Fatalf("message %d: %v", i, err)
				}
			}
			if len(got) != len(want) {
				t.Fatalf("%d records, want %d", len(got), len(want))
			}
			for i := range want {
				if !bytes.Equal(got[i].Value, want[i].Value) {
					t.Errorf("record %d:\ngot  %s\nwant %s", i, got[i].Value, want[i].Value)
				}
			}
		})
	}
}

// broken holds a message to an error of the package.
func broken(t *testing.T, d *decode.Decoder, lsn pglogrepl.LSN, data []byte, emit func(*decode.Record) error) {
	t.Helper()
	_, err := d.Decode(t.Context(), decode.Message{LSN: lsn, Data: data}, emit)
	var e *decode.Error
	if !errors.As(err, &e) {
		t.Fatalf("%.60q: error %v", data, err)
	}
}

// TestUnknownKinds holds every byte that names no message to an error that names the byte and the position.
func TestUnknownKinds(t *testing.T) {
	for i := range 256 {
		kind := byte(i)
		if strings.IndexByte("BCORYIUDTMA", kind) >= 0 {
			continue
		}
		d := decode.NewDecoder(origin, &catalogue{})
		_, err := d.Decode(t.Context(), decode.Message{LSN: 0x16B3748, Data: []byte{kind, 0, 0, 0, 1}}, discard)
		if err == nil {
			t.Fatalf("%q is accepted", kind)
		}
		for _, part := range []string{fmt.Sprintf("%q", kind), "0/16B3748"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q: %q does not say %s", kind, err, part)
			}
		}
	}
}

func uint32s(b []byte, list ...uint32) []byte {
	for _, v := range list {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return b
}

func logical(transactional byte, lsn uint64, prefix, content string) []byte {
	b := binary.BigEndian.AppendUint64([]byte{'M', transactional}, lsn)
	b = append(append(b, prefix...), 0)
	return append(uint32s(b, uint32(len(content))), content...)
}

func originOf(name string) []byte {
	return append(append(make([]byte, 0, 20), "O\x00\x00\x00\x00\x00\x00\x00\x07"...), name+"\x00"...)
}

// TestRefused holds what does not fit the grammar to an error that names the message, the position and the relation,
// and shows no row data.
func TestRefused(t *testing.T) {
	const secret = "S3CRET"
	names, oids := []string{"id", "word"}, []uint32{23, 25}
	r := relationOf(1, 'd', names, oids, 1)
	in := func(list ...[]byte) [][]byte { return append([][]byte{begin(0x1000), r}, list...) }
	long := commit(0x1000)
	copy(long[10:], "\x00\x00\x00\x00\x00\x00\x0F\xFF")
	flagged := commit(0x1000)
	flagged[1] = 1
	tests := []struct {
		name     string
		messages [][]byte
		want     string
	}{
		{"empty", [][]byte{{}}, "ends early"},
		{"row outside", append(in(commit(0x1000)), insert(1, "1", secret)), "decode insert at 0/900: it stands outside a transaction"},
		{"commit outside", [][]byte{commit(0x1000)}, "outside a transaction"},
		{"commit of another", in(commit(0x1001)), "of another transaction"},
		{"commit before its start", in(long), "its end, 0/FFF"},
		{"commit with flags", in(flagged), "unknown flags 0x1"},
		{"begin twice", in(begin(0x2000)), "0/1000 is not committed"},
		{"origin outside", [][]byte{originOf("x")}, "does not follow a begin"},
		{"origin late", in(originOf("x")), "does not follow a begin"},
		{"origin twice", [][]byte{begin(0x1000), originOf("x"), originOf("x")}, "does not follow a begin"},
		{"relation outside", [][]byte{r}, "outside a transaction"},
		{"type outside", [][]byte{append(uint32s([]byte{'Y'}, 20000), "a\x00b\x00"...)}, "outside a transaction"},
		{"truncate outside", [][]byte{append(uint32s([]byte{'T'}, 1), 0, 0, 0, 0, 1)}, "outside a transaction"},
		{"message outside", [][]byte{logical(1, 0x900, "a", secret)}, "outside a transaction"},
		{"unknown relation", in(insert(2, "1", secret)), "decode insert of relation 2 at 0/900: no relation message"},
		{"truncate of an unknown relation", in(uint32s(append(uint32s([]byte{'T'}, 1), 0), 7)), "relation 7"},
		{"truncate of too many", in(uint32s(append(uint32s([]byte{'T'}, 1<<31-1), 0), 1)), "ends early"},
		{"truncate with flags", in(uint32s(append(uint32s([]byte{'T'}, 1), 4), 1)), "unknown flags 0x4"},
		{"message with flags", in(logical(2, 0x900, "a", secret)), "unknown flags 0x2"},
		{"more columns", in(insert(1, "1", secret, "x")), "public.orders at 0/900: its tuple has 3 columns, the relation 2"},
		{"fewer columns", in(insert(1, "1")), "its tuple has 1 columns"},
		{"binary", in(append(change('I', 1), "N\x00\x02b\x00\x00\x00\x01xb\x00\x00\x00\x01x"...)), "binary"},
		{"unknown field", in(append(change('I', 1), "N\x00\x02zz"...)), `unknown kind 'z'`},
		{"insert with an old tuple", in(tuple(change('I', 1), 'K', "1", secret)), "not those of the operation"},
		{"delete with a new tuple", in(tuple(change('D', 1), 'N', "1", secret)), "not those of the operation"},
		{"update with old tuples only", in(tuple(tuple(change('U', 1), 'O', "1", secret), 'K', "1", secret)), "not those of the operation"},
		{"unknown identity", in(relationOf(2, 'x', names, oids, 1)), `public.orders at 0/1000`},
		{"unknown column flags", in(bytes.Replace(relationOf(2, 'd', names, oids, 1), []byte("\x01id"), []byte("\x02id"), 1)), "unknown flags 0x2 of a column"},
		{"relation of too many columns", in([]byte("R\x00\x00\x00\x02s\x00t\x00d\xFF\xFF\x00a")), "ends early"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := decode.NewDecoder(origin, &catalogue{})
			last := len(test.messages) - 1
			for i, data := range test.messages {
				m := decode.Message{Data: data}
				if len(data) > 0 && data[0] != 'R' && data[0] != 'Y' {
					m.LSN = 0x900
				}
				_, err := d.Decode(t.Context(), m, discard)
				if i < last && err != nil {
					t.Fatal(err)
				}
				if i < last {
					continue
				}
				if err == nil {
					t.Fatal("accepted")
				}
				if !strings.Contains(err.Error(), test.want) {
					t.Errorf("%q does not say %q", err, test.want)
				}
				if strings.Contains(err.Error(), secret) {
					t.Errorf("%q shows row data", err)
				}
			}
		})
	}
}

// TestAbortIsIgnored takes an A in both of its lengths, anywhere.
func TestAbortIsIgnored(t *testing.T) {
	d := decode.NewDecoder(origin, &catalogue{})
	short := uint32s([]byte{'A'}, 771, 772)
	long := uint32s(short[:9:9], 0, 5, 0, 6)
	for _, data := range [][]byte{short, long, begin(0x1000), short, long, commit(0x1000), short} {
		if _, err := d.Decode(t.Context(), decode.Message{LSN: 0x900, Data: data}, discard); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 30 {
		if n != 8 && n != 24 {
			broken(t, d, 0x900, make([]byte, n+1), discard)
			broken(t, d, 0x900, append([]byte{'A'}, make([]byte, n)...), discard)
		}
	}
}

// TestEmitErrorIsPassedOn returns the receiver's error as it is: the message was decoded.
func TestEmitErrorIsPassedOn(t *testing.T) {
	full := errors.New("full")
	d := opened(t, 'd', []string{"id"}, []uint32{23}, 1, &catalogue{})
	if _, err := d.Decode(t.Context(), decode.Message{LSN: 0x900, Data: insert(1, "1")}, discard); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Decode(t.Context(), decode.Message{LSN: 0x900, Data: commit(0x1000)}, func(*decode.Record) error { return full }); err != full {
		t.Errorf("error %v", err)
	}
}
