package decode_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"pgwitness/decode"
)

// A shape is a kind of row to measure.
type shape struct {
	name   string
	oids   []uint32
	values []string
}

var shapes = []shape{
	{"narrow", []uint32{23, 25, 16}, []string{"42", "pending", "t"}},
	{"mixed10", []uint32{20, 23, 25, 1043, 1700, 16, 1184, 2950, 3802, 701},
		[]string{"123456789012", "42", "a line of text that is not very long", "pending", "12345.6789", "t", "2026-11-22 19:34:32.248123+00",
			"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", `{"a": 1, "b": [1, 2, 3]}`, "0.25"}},
	{"columns100", repeated(100, 23), strings.Fields(strings.Repeat("12345678 ", 100))},
	{"kilobyte", []uint32{23, 25}, []string{"42", strings.Repeat("a line of text that is not very long; ", 27)}},
	{"arrays", []uint32{23, 1007, 1009, 1231}, []string{"42", "{1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16}", `{alpha,"b c","d\"e",NULL,f}`, "{{1.50,2.25},{3.125,NULL}}"}},
}

func repeated(n int, oid uint32) []uint32 {
	list := make([]uint32, n)
	for i := range list {
		list[i] = oid
	}
	return list
}

// The messages of a transaction, as the server writes them.

func begin(lsn uint64) []byte {
	b := binary.BigEndian.AppendUint64([]byte{'B'}, lsn)
	b = binary.BigEndian.AppendUint64(b, 817155272248123)
	return binary.BigEndian.AppendUint32(b, 771)
}

func commit(lsn uint64) []byte {
	b := binary.BigEndian.AppendUint64([]byte{'C', 0}, lsn)
	b = binary.BigEndian.AppendUint64(b, lsn+48)
	return binary.BigEndian.AppendUint64(b, 817155272248123)
}

func relationOf(oid uint32, identity byte, names []string, oids []uint32, key int) []byte {
	b := binary.BigEndian.AppendUint32([]byte{'R'}, oid)
	b = append(b, "public\x00orders\x00"...)
	b = binary.BigEndian.AppendUint16(append(b, identity), uint16(len(names)))
	for i, name := range names {
		flag := byte(0)
		if i < key {
			flag = 1
		}
		b = append(append(append(b, flag), name...), 0)
		b = binary.BigEndian.AppendUint32(b, oids[i])
		b = binary.BigEndian.AppendUint32(b, 0xFFFFFFFF)
	}
	return b
}

// null and unsent are values of a tuple that are not texts.
const (
	null   = "\x00null"
	unsent = "\x00unsent"
)

func tuple(b []byte, letter byte, values ...string) []byte {
	b = binary.BigEndian.AppendUint16(append(b, letter), uint16(len(values)))
	for _, v := range values {
		switch v {
		case null:
			b = append(b, 'n')
		case unsent:
			b = append(b, 'u')
		default:
			b = append(binary.BigEndian.AppendUint32(append(b, 't'), uint32(len(v))), v...)
		}
	}
	return b
}

func change(kind byte, oid uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{kind}, oid)
}

func insert(oid uint32, values ...string) []byte { return tuple(change('I', oid), 'N', values...) }

func columnNames(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("column_%d", i)
	}
	return list
}

func discard(*decode.Record) error { return nil }

// opened returns a decoder in the middle of a transaction that has told one relation.
func opened(t testing.TB, identity byte, names []string, oids []uint32, key int, info *catalogue) *decode.Decoder {
	t.Helper()
	d := decode.NewDecoder(origin, info)
	for _, data := range [][]byte{begin(0x1000), relationOf(1, identity, names, oids, key)} {
		if _, err := d.Decode(t.Context(), decode.Message{LSN: 0x900, Data: data}, discard); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func BenchmarkInsert(b *testing.B) {
	for _, s := range shapes {
		b.Run(s.name, func(b *testing.B) {
			benchmark(b, s, insert(1, s.values...))
		})
	}
}

func BenchmarkUpdateFull(b *testing.B) {
	for _, s := range shapes {
		b.Run(s.name, func(b *testing.B) {
			benchmark(b, s, tuple(tuple(change('U', 1), 'O', s.values...), 'N', s.values...))
		})
	}
}

func benchmark(b *testing.B, s shape, data []byte) {
	info := &catalogue{Relations: map[uint32]*decode.RelationInfo{1: {PrimaryKey: []string{"column_0"}}}}
	d := opened(b, 'f', columnNames(len(s.oids)), s.oids, len(s.oids), info)
	m := decode.Message{LSN: 0x900, Data: data}
	ctx := b.Context()
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Decode(ctx, m, discard); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkTransaction measures transactions of one narrow row by what is known of their sessions: whose addresses come
// again, or never.
func BenchmarkTransaction(b *testing.B) {
	sessions := make([]*decode.Actor, 32)
	for i := range sessions {
		s := *alice
		s.PID += int32(i)
		sessions[i] = &decode.Actor{Evidence: decode.EvidenceHold, Session: &s}
	}
	renewed := func(n int) *decode.Actor {
		s := *sessions[n%len(sessions)].Session
		return &decode.Actor{Evidence: decode.EvidenceHold, Session: &s}
	}
	for _, test := range []struct {
		name  string
		actor func(n int) *decode.Actor
		said  []byte
	}{
		{"none", func(int) *decode.Actor { return nil }, nil},
		{"hold", func(n int) *decode.Actor { return sessions[n%len(sessions)] }, nil},
		{"hold-renewed", renewed, nil},
		{"context", func(int) *decode.Actor { return nil }, logical(1, 0x800, "pgwitness", aContext)},
		{"hold-context", func(n int) *decode.Actor { return sessions[n%len(sessions)] }, logical(1, 0x800, "pgwitness", aContext)},
	} {
		b.Run(test.name, func(b *testing.B) {
			s := shapes[0]
			info := &catalogue{Relations: map[uint32]*decode.RelationInfo{1: {PrimaryKey: []string{"column_0"}}}}
			d := opened(b, 'f', columnNames(len(s.oids)), s.oids, len(s.oids), info)
			messages := [][]byte{commit(0x1000), begin(0x1000), test.said, insert(1, s.values...)}
			ctx := b.Context()
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				for i, data := range messages {
					if data == nil {
						continue
					}
					m := decode.Message{LSN: 0x900, Data: data}
					if i == 1 {
						m.Actor = test.actor(n)
					}
					if _, err := d.Decode(ctx, m, discard); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// TestNoAllocations holds the steady state to none a row, and none for who made it.
func TestNoAllocations(t *testing.T) {
	for _, s := range shapes {
		info := &catalogue{Relations: map[uint32]*decode.RelationInfo{1: {PrimaryKey: []string{"column_0"}}}}
		d := opened(t, 'f', columnNames(len(s.oids)), s.oids, len(s.oids), info)
		changed := append([]string{"43"}, s.values[1:]...)
		messages := [][]byte{
			insert(1, s.values...),
			tuple(tuple(change('U', 1), 'O', s.values...), 'N', changed...),
			logical(1, 0x800, "pgwitness", aContext),
			tuple(change('D', 1), 'O', changed...),
			commit(0x1000), begin(0x1000),
		}
		ctx := t.Context()
		n := testing.AllocsPerRun(200, func() {
			for _, data := range messages {
				if _, err := d.Decode(ctx, decode.Message{LSN: 0x900, Data: data, Actor: held}, discard); err != nil {
					t.Fatal(err)
				}
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations for an insert, an update, a context, a delete and a commit", s.name, n)
		}
	}
}
