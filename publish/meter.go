package publish

import (
	"errors"
	"net"
	"strings"

	"github.com/segmentio/kafka-go"

	"pgwitness/decode"
)

// A Meter is told what deliveries do. It may serve several, one after the other and together. They call it with a lock of
// theirs held: it must not block, nor call the Sink or Journal.
type Meter interface {
	// Acknowledged tells of a batch that Kafka has acknowledged. The tally is borrowed.
	Acknowledged(topic string, t *Tally)
	// Retried tells that a batch will be sent once more, and why: one of a few words.
	Retried(cause string)
	// Oversize tells of a record that is delivered without its images.
	Oversize(topic string)
}

// unmetered stands for no Meter.
type unmetered struct{}

func (unmetered) Acknowledged(string, *Tally) {}
func (unmetered) Retried(string)              {}
func (unmetered) Oversize(string)             {}

// A Tally says what a batch holds.
type Tally struct {
	Ops     [decode.Ops]Count
	Moments []Moment // of all records but OpControl, in order
}

// A Count is of records and their bytes before compression.
type Count struct{ Records, Bytes uint64 }

// A Moment is a millisecond of Unix time, and how many neighbouring records were committed in it. A non-transactional
// message was read then: when it was written, the log does not say.
type Moment struct {
	Millis  int64
	Records uint64
}

// add counts a record. Rows of one transaction share a moment, so that they cost an increment each.
func (t *Tally) add(op decode.Op, millis int64, bytes int) {
	c := &t.Ops[op]
	c.Records++
	c.Bytes += uint64(bytes)
	if op == decode.OpControl {
		return
	}
	if n := len(t.Moments); n > 0 && t.Moments[n-1].Millis == millis {
		t.Moments[n-1].Records++
		return
	}
	t.Moments = append(t.Moments, Moment{millis, 1})
}

// causeOf names a failure in a word: Kafka's own name of its answer, or what became of the way to the broker.
func causeOf(err error) string {
	var code kafka.Error
	if errors.As(err, &code) {
		return strings.ReplaceAll(strings.ToLower(code.Title()), " ", "_")
	}
	var refusal *net.OpError
	switch isNet := errors.As(err, &refusal); {
	case isNet && refusal.Op == "dial":
		return "connect"
	case timedOut(err):
		return "timeout"
	}
	return "connection"
}

func timedOut(err error) bool {
	var t interface{ Timeout() bool } // net.Error's, and context.DeadlineExceeded's
	return errors.As(err, &t) && t.Timeout()
}
