package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pglogrepl"
)

func frame(kind byte, body []byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte{kind}, uint32(4+len(body)))
	return append(b, body...)
}

func xlogData(lsn pglogrepl.LSN, data []byte) []byte {
	b := binary.BigEndian.AppendUint64([]byte{'w'}, uint64(lsn))
	b = append(b, make([]byte, 16)...)
	return append(b, data...)
}

func keepalive(end pglogrepl.LSN, asks byte) []byte {
	b := binary.BigEndian.AppendUint64([]byte{'k'}, uint64(end))
	b = append(b, make([]byte, 8)...)
	return append(b, asks)
}

// chunks returns what it holds piece by piece; between two pieces it times out once.
type chunks struct {
	pieces [][]byte
	pause  bool
}

func (c *chunks) Read(p []byte) (int, error) {
	if c.pause {
		c.pause = false
		return 0, os.ErrDeadlineExceeded
	}
	if len(c.pieces) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.pieces[0])
	if c.pieces[0] = c.pieces[0][n:]; len(c.pieces[0]) == 0 {
		c.pieces, c.pause = c.pieces[1:], true
	}
	return n, nil
}

// drain reads everything, going on after each timeout as Next may.
func drain(f *frameReader) ([][]byte, error) {
	var frames [][]byte
	for {
		kind, body, err := f.next()
		if isTimeout(err) {
			continue
		}
		if err != nil {
			return frames, err
		}
		frames = append(frames, append([]byte{kind}, body...))
	}
}

func TestFramesCutAnywhere(t *testing.T) {
	want := [][]byte{[]byte("dabc"), []byte("d"), append([]byte{'k'}, bytes.Repeat([]byte("x"), 40)...), []byte("Z")}
	var stream []byte
	for _, w := range want {
		stream = append(stream, frame(w[0], w[1:])...)
	}
	for cut := range len(stream) {
		got, err := drain(newFrameReader(&chunks{pieces: [][]byte{stream[:cut], stream[cut:]}}))
		if !errors.Is(err, io.EOF) || !slices.EqualFunc(got, want, bytes.Equal) {
			t.Fatalf("cut at %d: %q, %v", cut, got, err)
		}
		// And a connection that ends there: the whole frames, and an error that tells a break from an end.
		got, err = drain(newFrameReader(bytes.NewReader(stream[:cut])))
		whole := bytes.Join(frames(got), nil)
		if !bytes.HasPrefix(stream, whole) {
			t.Fatalf("end at %d: %q", cut, got)
		}
		if broken := len(whole) < cut; errors.Is(err, io.ErrUnexpectedEOF) != broken || errors.Is(err, io.EOF) == broken {
			t.Fatalf("end at %d: %v", cut, err)
		}
	}
}

func frames(bodies [][]byte) [][]byte {
	var all [][]byte
	for _, b := range bodies {
		all = append(all, frame(b[0], b[1:]))
	}
	return all
}

func TestFramesOfAllSizes(t *testing.T) {
	seed := uint64(os.Getpid())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	sizes := []int{0, 1, baseBuffer - frameHeader, baseBuffer - frameHeader + 1, 1 << 20, 3<<20 + 7, 1 << 20, 5, baseBuffer}
	for range 200 {
		sizes = append(sizes, random.IntN(4000))
	}
	random.Shuffle(len(sizes), func(i, j int) { sizes[i], sizes[j] = sizes[j], sizes[i] })
	var want, pieces [][]byte
	var stream []byte
	for _, size := range sizes {
		body := make([]byte, 1+size)
		for i := range body {
			body[i] = byte(random.Uint32())
		}
		want = append(want, body)
		stream = append(stream, frame(body[0], body[1:])...)
	}
	for len(stream) > 0 {
		n := min(len(stream), 1+random.IntN(300_000))
		pieces, stream = append(pieces, stream[:n]), stream[n:]
	}
	f := newFrameReader(&chunks{pieces: pieces})
	got, err := drain(f)
	if !errors.Is(err, io.EOF) || !slices.EqualFunc(got, want, bytes.Equal) {
		t.Fatalf("%d frames of %d, %v", len(got), len(want), err)
	}
}

func TestLargeFrameTakesItsSizeAndGivesItBack(t *testing.T) {
	large, larger := make([]byte, 10<<20), make([]byte, 12<<20)
	stream := slices.Concat(frame('d', large), frame('d', large), frame('d', larger), frame('d', []byte("x")))
	f := newFrameReader(bytes.NewReader(stream))
	for i, want := range []int{len(large), len(large), len(larger), 1} {
		_, body, err := f.next()
		if err != nil || len(body) != want {
			t.Fatalf("frame %d: %d bytes, %v", i, len(body), err)
		}
		held := 0
		if want > baseBuffer {
			held = want + frameHeader
		}
		if cap(f.large) != held || len(f.base) != baseBuffer {
			t.Errorf("frame %d of %d bytes: %d bytes held for it", i, want, cap(f.large))
		}
	}
}

func TestSmallFramesAllocateNothing(t *testing.T) {
	stream := bytes.Repeat(frame('d', xlogData(1, make([]byte, 100))), 10_000)
	src := bytes.NewReader(stream)
	f := newFrameReader(src)
	allocs := testing.AllocsPerRun(10, func() {
		src.Reset(stream)
		for range 1000 {
			_, body, err := f.next()
			if err == nil {
				_, _, err = parseCopyData(body)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		f.start, f.end = 0, 0
	})
	if allocs > 0 {
		t.Errorf("%v allocations in 1000 frames", allocs)
	}
}

func TestImpossibleFrames(t *testing.T) {
	for _, length := range []uint32{0, 3, maxFrame + 1, 1 << 31, 1<<32 - 1} {
		stream := binary.BigEndian.AppendUint32([]byte{'d'}, length)
		_, _, err := newFrameReader(bytes.NewReader(stream)).next()
		if err == nil || !strings.Contains(err.Error(), fmt.Sprint(length)) {
			t.Errorf("length %d: %v", length, err)
		}
	}
}

func TestParseCopyData(t *testing.T) {
	m, asked, err := parseCopyData(xlogData(0x1122334455667788, []byte("Bx")))
	if err != nil || asked || m.Keepalive || m.LSN != 0x1122334455667788 || string(m.Data) != "Bx" {
		t.Errorf("XLogData: %+v, %v, %v", m, asked, err)
	}
	m, asked, err = parseCopyData(keepalive(0x1122334455667788, 1))
	if err != nil || !asked || !m.Keepalive || m.End != 0x1122334455667788 || m.Data != nil {
		t.Errorf("keepalive: %+v, %v, %v", m, asked, err)
	}
	for _, whole := range [][]byte{xlogData(1, nil), keepalive(1, 0)} {
		for n := range len(whole) {
			if _, _, err := parseCopyData(whole[:n]); err == nil {
				t.Errorf("%q cut at %d is accepted", whole[0], n)
			}
		}
	}
	if _, _, err := parseCopyData(append(keepalive(1, 0), 0)); err == nil {
		t.Error("a keepalive with a byte left over is accepted")
	}
	if _, _, err := parseCopyData([]byte("x123")); err == nil || !strings.Contains(err.Error(), `'x'`) {
		t.Errorf("unknown kind: %v", err)
	}
}
