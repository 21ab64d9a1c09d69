package publish

import (
	"bytes"
	"crypto/rand"
	"io"
	"testing"

	"github.com/pierrec/lz4/v4"
)

// TestLZ4Frame: what the library's own reader makes of our frames, and that they begin as its writer's do.
func TestLZ4Frame(t *testing.T) {
	var theirs bytes.Buffer
	w := lz4.NewWriter(&theirs)
	if err := w.Apply(lz4.BlockSizeOption(lz4.Block256Kb), lz4.ChecksumOption(false)); err != nil {
		t.Fatal(err)
	}
	w.Write([]byte("x"))
	w.Close()
	if !bytes.HasPrefix(theirs.Bytes(), lz4Frame[:]) {
		t.Errorf("our frames begin with % x, the library's with % x", lz4Frame, theirs.Bytes()[:len(lz4Frame)])
	}
	noise := make([]byte, 3*lz4Block+17)
	rand.Read(noise)
	text := bytes.Repeat([]byte("a row like the one before it, "), 40_000)
	for _, records := range [][]byte{{}, []byte("x"), text[:lz4Block-1], text[:lz4Block], text[:lz4Block+1], text, noise, append(text[:len(text):len(text)], noise...)} {
		const before = "header"
		frame, err := appendLZ4([]byte(before), records)
		if err != nil {
			t.Fatal(err)
		}
		if most := len(before) + len(lz4Frame) + len(records) + 4*(len(records)/lz4Block+2); len(frame) > most {
			t.Errorf("%d bytes became %d", len(records), len(frame))
		}
		back, err := io.ReadAll(lz4.NewReader(bytes.NewReader(frame[len(before):])))
		if err != nil || !bytes.Equal(back, records) {
			t.Errorf("%d bytes: %d came back, %v", len(records), len(back), err)
		}
	}
}
