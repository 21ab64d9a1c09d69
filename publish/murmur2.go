package publish

import "encoding/binary"

// partitionOf is the Java client's default partitioner for a record with a key: murmur2 of the key's bytes, made
// positive by masking the sign bit, modulo the number of partitions (BuiltInPartitioner.java, Utils.java).
func partitionOf(key []byte, partitions int) int {
	if partitions == 1 {
		return 0
	}
	return int(murmur2(key)&0x7fffffff) % partitions
}

// murmur2 is Utils.murmur2 of Kafka's Java client: MurmurHash2 of 32 bits with the seed 0x9747b28c.
func murmur2(data []byte) uint32 {
	const (
		seed = 0x9747b28c
		m    = 0x5bd1e995
		r    = 24
	)
	h := uint32(seed) ^ uint32(len(data))
	for len(data) >= 4 {
		k := binary.LittleEndian.Uint32(data)
		k *= m
		k ^= k >> r
		k *= m
		h = h*m ^ k
		data = data[4:]
	}
	switch len(data) {
	case 3:
		h ^= uint32(data[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(data[1]) << 8
		fallthrough
	case 1:
		h = (h ^ uint32(data[0])) * m
	}
	h ^= h >> 13
	h *= m
	return h ^ h>>15
}
