package publish

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"github.com/pierrec/lz4/v4"
)

// lz4Frame begins a frame as Kafka's KafkaLZ4BlockInputStream.java reads it (LZ4 Frame Format, "Frame Descriptor"): magic
// number; version 1 with independent blocks and no checksums, the batch has one; blocks of up to 256 KB; and the header's
// own check byte.
var lz4Frame = [7]byte{0x04, 0x22, 0x4d, 0x18, 0x60, 0x50, 0xfb}

const (
	lz4Block   = 256 << 10 // bytes before compression
	lz4Literal = 1 << 31   // in a block's length: it is not compressed
)

var lz4Compressors = sync.Pool{New: func() any { return new(lz4.Compressor) }}

// appendLZ4 appends records as a frame of LZ4. The library compresses each block to where it belongs: its own writer
// copies the records before that, and the blocks afterwards.
func appendLZ4(dst, records []byte) ([]byte, error) {
	c := lz4Compressors.Get().(*lz4.Compressor)
	defer lz4Compressors.Put(c)
	dst = append(dst, lz4Frame[:]...)
	for block := range slices.Chunk(records, lz4Block) {
		at := len(dst)
		dst = slices.Grow(dst, 4+len(block))
		room := dst[at+4 : at+4+len(block)]
		n, err := c.CompressBlock(block, room)
		if err != nil && err != lz4.ErrInvalidSourceShortBuffer {
			return nil, fmt.Errorf("compress with lz4: %w", err)
		}
		length := uint32(n)
		if n == 0 || n >= len(block) || err != nil { // it does not get smaller
			n = copy(room, block)
			length = uint32(n) | lz4Literal
		}
		dst = dst[:at+4+n]
		binary.LittleEndian.PutUint32(dst[at:], length)
	}
	return append(dst, 0, 0, 0, 0), nil // the end mark
}
