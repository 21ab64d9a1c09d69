package proxy

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strconv"
)

// API keys of requests (ApiMessageType in Kafka's sources).
const (
	Produce            int16 = 0
	Fetch              int16 = 1
	ListOffsets        int16 = 2
	Metadata           int16 = 3
	FindCoordinator    int16 = 10
	CreateTopics       int16 = 19
	InitProducerID     int16 = 22
	AddPartitionsToTxn int16 = 24
	EndTxn             int16 = 26
	DescribeConfigs    int16 = 32
)

// A dialect knows how the brokers call each other, and how the proxies want them to be called.
type dialect struct {
	names [][2][]byte // address of a broker, address of its proxy, as they stand in an answer
}

// Kafka starts a proxy for each broker (host:port). A host must be as long as 127.0.0.1, where the proxies listen: an
// address is replaced in place.
func Kafka(brokers []string) ([]*Proxy, error) {
	d := &dialect{}
	var all []*Proxy
	for _, address := range brokers {
		p, err := listen(address)
		if err != nil {
			return nil, err
		}
		p.kafka = d
		theirs, err1 := spelled(address)
		ours, err2 := spelled(p.Address)
		if err1 != nil || err2 != nil || len(theirs) != len(ours) {
			return nil, fmt.Errorf("the address %s of a broker cannot be replaced by %s", address, p.Address)
		}
		d.names = append(d.names, [2][]byte{theirs, ours})
		all = append(all, p)
	}
	for _, p := range all {
		p.serve()
	}
	return all, nil
}

// spelled is an address as it stands in an answer: the host's bytes and four of the port (MetadataResponse.json,
// FindCoordinatorResponse.json).
func spelled(address string) ([]byte, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return binary.BigEndian.AppendUint32([]byte(host), uint32(n)), err
}

// frames reads requests or answers: four bytes of length, then as many.
func frames(from net.Conn) func() ([]byte, error) {
	r := bufio.NewReaderSize(from, 64<<10)
	var frame []byte
	return func() ([]byte, error) {
		var size [4]byte
		if _, err := io.ReadFull(r, size[:]); err != nil {
			return nil, err
		}
		n := binary.BigEndian.Uint32(size[:])
		if n > 256<<20 {
			return nil, fmt.Errorf("a frame of %d bytes", n)
		}
		frame = append(frame[:0], size[:]...)
		if cap(frame) < int(n)+4 {
			frame = append(make([]byte, 0, n+4), size[:]...)
		}
		frame = frame[:n+4]
		_, err := io.ReadFull(r, frame[4:])
		return frame, err
	}
}

// inspect looks at a request or an answer, and reports whether the connection goes on. A request has its API key, a
// version and a number behind the length, an answer that number (RequestHeader.json, ResponseHeader.json).
func (l *link) inspect(d direction, frame []byte) bool {
	if len(frame) < 8 || d == up && len(frame) < 12 {
		return true
	}
	p := l.proxy
	var key int16
	p.mu.Lock()
	if d == up {
		key = int16(binary.BigEndian.Uint16(frame[4:]))
		l.asked[binary.BigEndian.Uint32(frame[8:])] = key
		p.counts[key]++
	} else {
		number := binary.BigEndian.Uint32(frame[4:])
		key = l.asked[number]
		delete(l.asked, number)
	}
	p.mu.Unlock()
	if d == down && (key == Metadata || key == FindCoordinator) {
		for _, name := range p.kafka.names {
			for rest := frame; ; {
				i := bytes.Index(rest, name[0])
				if i < 0 {
					break
				}
				copy(rest[i:], name[1])
				rest = rest[i+len(name[0]):]
			}
		}
	}
	return l.caught(d, key)
}
