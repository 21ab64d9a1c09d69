package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/jackc/pglogrepl"

	"pgwitness/decode"
)

const (
	frameHeader = 5         // kind, and a length that counts itself
	baseBuffer  = 512 << 10 // bytes read at once
	maxFrame    = 1 << 30   // no server builds a longer message (MaxAllocSize, memutils.h)
)

// A frameReader cuts the stream into protocol messages. It reads through one buffer of baseBuffer bytes; a frame that
// does not fit gets a buffer of exactly its size, which is dropped when a frame that fits the first one comes.
//
// Invariants: buf[start:end] is read and not yet returned; where buf is large it holds one frame and nothing else.
type frameReader struct {
	src        io.Reader
	base       []byte
	large      []byte
	buf        []byte // base or large
	start, end int
	nap        nap
	waits      func() // called before each read
	filled     func() // called after each one that brought something
}

func newFrameReader(src io.Reader) *frameReader {
	base := make([]byte, baseBuffer)
	return &frameReader{src: src, base: base, buf: base, waits: func() {}, filled: func() {}}
}

// next returns a frame's kind and body; the body is valid until the following call. After a timeout it can be called
// again: what has been read of a frame is kept.
func (f *frameReader) next() (byte, []byte, error) {
	if err := f.need(frameHeader); err != nil {
		return 0, nil, err
	}
	kind := f.buf[f.start]
	length := binary.BigEndian.Uint32(f.buf[f.start+1:])
	if length < 4 || length > maxFrame {
		return 0, nil, fmt.Errorf("frame %q of impossible length %d", kind, length)
	}
	total := 1 + int(length)
	if total <= len(f.base) {
		f.large = nil
	}
	if err := f.need(total); err != nil {
		return 0, nil, err
	}
	body := f.buf[f.start+frameHeader : f.start+total : f.start+total]
	f.start += total
	return kind, body, nil
}

// need reads until n bytes are at hand.
func (f *frameReader) need(n int) error {
	if f.end-f.start >= n {
		return nil
	}
	f.room(n)
	for f.end-f.start < n {
		f.nap.rest()
		f.waits()
		got, err := f.src.Read(f.buf[f.end:])
		f.end += got
		f.nap.read(got)
		if got > 0 {
			f.filled()
			continue
		}
		if errors.Is(err, io.EOF) && f.end > f.start {
			return fmt.Errorf("the connection broke inside a frame: %w", io.ErrUnexpectedEOF)
		}
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("the server closed the connection: %w", err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// room makes place for n bytes from start on.
func (f *frameReader) room(n int) {
	if f.start+n <= len(f.buf) {
		return
	}
	to := f.base
	if n > len(f.base) {
		if cap(f.large) < n {
			f.large = make([]byte, n)
		}
		to = f.large[:n]
	}
	f.end = copy(to, f.buf[f.start:f.end])
	f.start, f.buf = 0, to
}

// parseCopyData reads what is inside CopyData: XLogData or a keepalive (protocol-replication, "START_REPLICATION").
func parseCopyData(body []byte) (m Message, asked bool, err error) {
	if len(body) == 0 {
		return m, false, errors.New("empty CopyData frame")
	}
	switch kind := body[0]; kind {
	case 'w': // dataStart, walEnd, sendTime, message
		if len(body) < 25 {
			return m, false, fmt.Errorf("XLogData frame of %d bytes", len(body))
		}
		lsn := pglogrepl.LSN(binary.BigEndian.Uint64(body[1:]))
		return Message{Message: decode.Message{LSN: lsn, Data: body[25:]}}, false, nil
	case 'k': // walEnd, sendTime, replyRequested
		if len(body) != 18 {
			return m, false, fmt.Errorf("keepalive frame of %d bytes", len(body))
		}
		end := pglogrepl.LSN(binary.BigEndian.Uint64(body[1:]))
		return Message{Keepalive: true, End: end}, body[17] != 0, nil
	default:
		return m, false, fmt.Errorf("unexpected CopyData frame %q of %d bytes", kind, len(body))
	}
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}
