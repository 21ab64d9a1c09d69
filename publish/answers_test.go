package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/segmentio/kafka-go"
)

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		err  error
		want verdict
	}{
		{nil, done},
		{kafka.DuplicateSequenceNumber, there},
		{io.EOF, again},
		{&net.OpError{Op: "dial", Err: errors.New("refused")}, again},
		{context.DeadlineExceeded, again},
		{context.Canceled, stopped},
		{kafka.NotLeaderForPartition, again},
		{kafka.LeaderNotAvailable, again},
		{kafka.RequestTimedOut, again},
		{kafka.NotEnoughReplicas, again},
		{kafka.NotEnoughReplicasAfterAppend, again},
		{kafka.KafkaStorageError, again},
		{kafka.UnknownTopicOrPartition, again},
		{kafka.TopicAuthorizationFailed, again},
		{kafka.OutOfOrderSequenceNumber, stopped},
		{kafka.UnknownProducerId, stopped},
		{kafka.InvalidTransactionState, stopped},
		{kafka.InvalidProducerEpoch, fenced},
		{kafka.ProducerFenced, fenced},
		{kafka.MessageSizeTooLarge, tooBig},
		{kafka.InvalidMessage, stopped}, // CORRUPT_MESSAGE
		{kafka.InvalidRecord, stopped},
		{kafka.InvalidTimestamp, stopped},
		{kafka.PolicyViolation, stopped},
		{kafka.Error(9999), stopped},
	} {
		if got := judge(c.err); got != c.want {
			t.Errorf("judge(%v) = %d, want %d", c.err, got, c.want)
		}
		if c.err == nil {
			continue
		}
		if got := judge(fmt.Errorf("wrapped: %w", c.err)); got != c.want {
			t.Errorf("judge(wrapped %v) = %d, want %d", c.err, got, c.want)
		}
	}
}
