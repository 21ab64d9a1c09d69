package publish

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	kafkacompress "github.com/segmentio/kafka-go/compress"
)

// A codec compresses the records of a batch. It is used by several goroutines at once.
type codec struct {
	name      string
	attribute uint16 // the batch attributes' three lowest bits (Kafka's CompressionType.java)
	writers   chan resettable
	open      func() resettable
}

// resettable is what the codecs' writers have in common.
type resettable interface {
	io.WriteCloser
	Reset(io.Writer)
}

// Codecs names the supported compressions, the default first.
var Codecs = []string{"lz4", "none", "gzip", "snappy", "zstd"}

func newCodec(name string) (codec, error) {
	if name == "" {
		name = Codecs[0]
	}
	c := codec{name: name, writers: make(chan resettable, 4)} // as many idle writers as two brokers keep busy, twice
	switch name {
	case "none":
	case "gzip":
		c.attribute, c.open = 1, func() resettable { return gzip.NewWriter(nil) }
	case "snappy":
		c.attribute, c.open = 2, nil // framed by kafka-go (the "xerial" framing Java clients read)
	case "lz4":
		c.attribute, c.open = 3, newLZ4
	case "zstd":
		c.attribute, c.open = 4, newZstd
	default:
		return codec{}, fmt.Errorf("compression %q is not one of %s", name, strings.Join(Codecs, ", "))
	}
	return c, nil
}

// newLZ4 opens a frame as Kafka's KafkaLZ4BlockInputStream.java reads it: independent blocks. The frame's own checksum
// is left out, the batch has one.
func newLZ4() resettable {
	w := lz4.NewWriter(nil)
	err := w.Apply(lz4.BlockSizeOption(lz4.Block256Kb), lz4.ChecksumOption(false), lz4.ConcurrencyOption(1))
	if err != nil {
		panic(err) // the options are constants
	}
	return w
}

func newZstd() resettable {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithWindowSize(1<<20))
	if err != nil {
		panic(err) // the options are constants
	}
	return w
}

// appendCompressed appends records, compressed, to dst.
func (c codec) appendCompressed(dst, records []byte) ([]byte, error) {
	switch c.name {
	case "none":
		return append(dst, records...), nil
	case "snappy":
		out := appender{dst}
		w := kafkacompress.Snappy.Codec().NewWriter(&out)
		if err := writeAll(w, records); err != nil {
			return nil, fmt.Errorf("compress with %s: %w", c.name, err)
		}
		return out.buf, nil
	}
	var w resettable
	select {
	case w = <-c.writers:
	default:
		w = c.open()
	}
	out := appender{slices.Grow(dst, len(records)/3)}
	w.Reset(&out)
	if err := writeAll(w, records); err != nil {
		return nil, fmt.Errorf("compress with %s: %w", c.name, err)
	}
	w.Reset(nil)
	select {
	case c.writers <- w:
	default:
	}
	return out.buf, nil
}

func writeAll(w io.WriteCloser, p []byte) error {
	if _, err := w.Write(p); err != nil {
		return err
	}
	return w.Close()
}

// appender is an io.Writer over a growing slice.
type appender struct{ buf []byte }

func (a *appender) Write(p []byte) (int, error) {
	a.buf = append(a.buf, p...)
	return len(p), nil
}
