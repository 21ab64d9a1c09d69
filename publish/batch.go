package publish

import (
	"encoding/binary"
	"hash/crc32"
)

// A batch is a record batch in format v2 (Kafka's "Record Batch" message format, KIP-98): a header of 61 bytes and
// records whose lengths, times and offsets are zigzag varints. It is filled while open, sealed once, and its sealed
// bytes never change again: every retry sends the same.
type batch struct {
	records  []byte // encoded records, without the header
	count    int32
	first    int64 // the first record's time in milliseconds
	newest   int64 // the newest record's time in milliseconds
	from, to uint64
	tally    Tally
	sequence int32  // of the first record, set when sealed
	sealed   []byte // length prefix, header, records (compressed): what goes on the wire
}

// Offsets in a v2 header, counted from the base offset's first byte.
const (
	lengthAt     = 8
	leaderAt     = 12
	magicAt      = 16
	crcAt        = 17
	attributesAt = 21
	lastDeltaAt  = 23
	firstTimeAt  = 27
	maxTimeAt    = 35
	producerAt   = 43
	epochAt      = 51
	sequenceAt   = 53
	countAt      = 57
	headerSize   = 61

	// Before the batch in a produce request stands its length (int32); kafka-go's RawRecordSet copies its reader
	// verbatim and so expects the prefix from us (protocol/record.go).
	prefixSize = 4

	// Room a record needs beyond key and value: its varints and the id header.
	recordOverhead = 160
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// idHeader is the record header that carries the change's id (DESIGN.md §6).
const idHeader = "id"

// add appends a record. A nil key is a null key; seq is the record's place in the order of sending.
func (b *batch) add(seq uint64, millis int64, key, value, id []byte) {
	if b.count == 0 {
		b.first, b.newest, b.from = millis, millis, seq
	}
	delta, offset := millis-b.first, int64(b.count)
	keyLen, keyBytes := int64(len(key)), len(key)
	if key == nil {
		keyLen = -1
	}
	length := 1 + varintSize(delta) + varintSize(offset) +
		varintSize(keyLen) + keyBytes +
		varintSize(int64(len(value))) + len(value) +
		1 + 1 + len(idHeader) + varintSize(int64(len(id))) + len(id)

	r := binary.AppendVarint(b.records, int64(length))
	r = append(r, 0) // attributes, unused
	r = binary.AppendVarint(r, delta)
	r = binary.AppendVarint(r, offset)
	r = binary.AppendVarint(r, keyLen)
	r = append(r, key...)
	r = binary.AppendVarint(r, int64(len(value)))
	r = append(r, value...)
	r = binary.AppendVarint(r, 1) // one header
	r = binary.AppendVarint(r, int64(len(idHeader)))
	r = append(r, idHeader...)
	r = binary.AppendVarint(r, int64(len(id)))
	b.records = append(r, id...)

	b.count++
	b.newest = max(b.newest, millis)
	b.to = seq
}

// seal writes the batch as it goes on the wire. It is called once.
func (b *batch) seal(c codec, p producer, sequence int32) error {
	b.sequence = sequence
	out := append(b.sealed[:0], make([]byte, prefixSize+headerSize)...)
	out, err := c.appendCompressed(out, b.records)
	if err != nil {
		return err
	}
	h := out[prefixSize:]
	binary.BigEndian.PutUint32(out, uint32(len(h)))
	binary.BigEndian.PutUint32(h[lengthAt:], uint32(len(h)-leaderAt))
	binary.BigEndian.PutUint32(h[leaderAt:], ^uint32(0)) // partition leader epoch: the broker's to fill
	h[magicAt] = 2
	binary.BigEndian.PutUint16(h[attributesAt:], c.attribute)
	binary.BigEndian.PutUint32(h[lastDeltaAt:], uint32(b.count-1))
	binary.BigEndian.PutUint64(h[firstTimeAt:], uint64(b.first))
	binary.BigEndian.PutUint64(h[maxTimeAt:], uint64(b.newest))
	binary.BigEndian.PutUint64(h[producerAt:], uint64(p.id))
	binary.BigEndian.PutUint16(h[epochAt:], uint16(p.epoch))
	binary.BigEndian.PutUint32(h[sequenceAt:], uint32(sequence))
	binary.BigEndian.PutUint32(h[countAt:], uint32(b.count))
	binary.BigEndian.PutUint32(h[crcAt:], crc32.Checksum(h[attributesAt:], castagnoli))
	b.sealed = out
	return nil
}

// size is what the batch holds of the buffer.
func (b *batch) size() int { return len(b.records) }

// reset empties the batch for reuse; buffers that a single large record grew are given back.
func (b *batch) reset() {
	*b = batch{records: keep(b.records), sealed: keep(b.sealed), tally: Tally{Moments: b.tally.Moments[:0]}}
}

// keep empties a buffer for reuse, unless it has grown far beyond what batches usually need.
func keep(buf []byte) []byte {
	if cap(buf) > 2<<20 {
		return nil
	}
	return buf[:0]
}

// nextSequence follows a batch's sequence number; it wraps at the largest int32 to 0 (DefaultRecordBatch.java,
// incrementSequence).
func nextSequence(sequence, count int32) int32 {
	return int32((int64(sequence) + int64(count)) & 0x7fffffff)
}

func varintSize(v int64) int {
	u := uint64(v)<<1 ^ uint64(v>>63)
	n := 1
	for u >= 0x80 {
		u >>= 7
		n++
	}
	return n
}
