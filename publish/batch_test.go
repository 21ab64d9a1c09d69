package publish

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/segmentio/kafka-go/protocol"
)

// TestBatchReadByKafkaGo seals random batches with every codec and reads them with kafka-go's own reader, which checks
// lengths and the checksum.
func TestBatchReadByKafkaGo(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for _, name := range Codecs {
		t.Run(name, func(t *testing.T) {
			c, err := newCodec(name)
			if err != nil {
				t.Fatal(err)
			}
			for range 50 {
				testBatch(t, c, random)
			}
		})
	}
}

type sent struct {
	millis         int64
	key, value, id []byte
}

func testBatch(t *testing.T, c codec, random *rand.Rand) {
	t.Helper()
	var b batch
	var want []sent
	for i := range 1 + random.IntN(300) {
		s := sent{
			millis: 1_700_000_000_000 + random.Int64N(1<<uint(random.IntN(40))) - 500,
			value:  bytes.Repeat([]byte{byte('a' + i%26)}, random.IntN(2000)),
			id:     fmt.Appendf(nil, "7.1.2-%016X-%d", random.Uint64(), i),
		}
		if random.IntN(3) > 0 {
			s.key = fmt.Appendf(nil, `{"id":%d}`, random.IntN(1000))
		}
		before := b.size()
		b.add(uint64(i), s.millis, s.key, s.value, s.id)
		if grown := b.size() - before; grown > len(s.key)+len(s.value)+recordOverhead {
			t.Fatalf("a record took %d bytes beyond key and value, more than recordOverhead", grown-len(s.key)-len(s.value))
		}
		want = append(want, s)
	}
	if err := b.seal(c, producer{id: 4711, epoch: 7}, 99); err != nil {
		t.Fatal(err)
	}
	if got, want := int(binary.BigEndian.Uint32(b.sealed)), len(b.sealed)-prefixSize; got != want {
		t.Fatalf("length prefix %d, batch %d bytes", got, want)
	}
	var set protocol.RecordSet
	if _, err := set.ReadFrom(bytes.NewBuffer(b.sealed)); err != nil {
		t.Fatal(err)
	}
	read := set.Records.(*protocol.RecordStream).Records[0].(*protocol.RecordBatch)
	if read.ProducerID != 4711 || read.ProducerEpoch != 7 || read.BaseSequence != 99 {
		t.Fatalf("producer %d epoch %d sequence %d", read.ProducerID, read.ProducerEpoch, read.BaseSequence)
	}
	for i, w := range want {
		r, err := read.ReadRecord()
		if err != nil {
			t.Fatal(err)
		}
		key, _ := protocol.ReadAll(r.Key)
		value, _ := protocol.ReadAll(r.Value)
		if r.Time.UnixMilli() != w.millis || r.Offset != int64(i) || !bytes.Equal(value, w.value) ||
			!bytes.Equal(key, w.key) || (r.Key == nil) != (w.key == nil) ||
			len(r.Headers) != 1 || r.Headers[0].Key != "id" || !bytes.Equal(r.Headers[0].Value, w.id) {
			t.Fatalf("record %d differs: time %d, want %d", i, r.Time.UnixMilli(), w.millis)
		}
	}
	if _, err := read.ReadRecord(); !errors.Is(err, io.EOF) {
		t.Fatalf("after the last record: %v", err)
	}
}

func TestNextSequenceWraps(t *testing.T) {
	for _, c := range []struct{ sequence, count, want int32 }{
		{0, 1, 1}, {5, 10, 15}, {1<<31 - 1, 1, 0}, {1<<31 - 3, 5, 2},
	} {
		if got := nextSequence(c.sequence, c.count); got != c.want {
			t.Errorf("nextSequence(%d, %d) = %d, want %d", c.sequence, c.count, got, c.want)
		}
	}
}

// BenchmarkBatch fills batches of 256 KB with records of rows that differ as those of a table do, and seals them.
func BenchmarkBatch(b *testing.B) {
	values := make([][]byte, 4096)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range values {
		values[i] = fmt.Appendf(nil, `{"id":"7412345678901234567.1.16401-00000000016B%04X-%d","op":"insert","schema":"public","table":"orders","key":{"id":%d},`+
			`"after":{"id":%[3]d,"customer":%d,"status":"%s","amount":%d.%02d,"note":"a note of the usual length, number %[3]d","done":%[8]t},`+
			`"actor":{"evidence":"none","reason":"no hold"},"tx":{"xid":%[9]d,"ordinal":%[2]d,"commit_lsn":"0/16B%04[1]X"}}`,
			i/100, i%100, 1_000_000+i, random.IntN(1000), []string{"new", "paid", "sent"}[i%3], random.IntN(10000), random.IntN(100), i%2 == 0, 700+i/100)
	}
	id := []byte("7412345678901234567.1.16401-00000000016B3748-3")
	for _, name := range Codecs {
		b.Run(name, func(b *testing.B) {
			c, _ := newCodec(name)
			var batch batch
			b.ReportAllocs()
			b.SetBytes(int64(len(values[0])))
			for i := range b.N {
				batch.add(0, 1_700_000_000_000, []byte(`{"id":1}`), values[i%len(values)], id)
				if batch.size() > 256<<10 {
					if err := batch.seal(c, producer{}, 0); err != nil {
						b.Fatal(err)
					}
					batch.reset()
				}
			}
		})
	}
}
