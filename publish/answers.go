package publish

import (
	"context"
	"errors"

	"github.com/segmentio/kafka-go"
)

// A verdict is what follows from a broker's answer.
type verdict int

const (
	done    verdict = iota // acknowledged
	there                  // already in the log, by an earlier try
	again                  // the same bytes again: it can heal
	tooBig                 // the record is larger than the topic takes
	fenced                 // another instance took over
	stopped                // only the start-up procedure can tell what is in the log, or an operator must act
)

// judge is the one place that decides what an answer means. The codes are Kafka's (Errors.java).
//
// What is not an answer at all (network, time-out, a leader not known) says nothing about the log: the same bytes go
// again. Refused authorisation heals when the operator grants it back, so it is retried as well; at start-up it is not
// (cluster.go).
func judge(err error) verdict {
	if err == nil {
		return done
	}
	var code kafka.Error
	if !errors.As(err, &code) {
		if errors.Is(err, context.Canceled) {
			return stopped
		}
		return again
	}
	switch code {
	case kafka.DuplicateSequenceNumber:
		return there
	case kafka.InvalidProducerEpoch, kafka.ProducerFenced, kafka.TransactionCoordinatorFenced:
		return fenced
	case kafka.MessageSizeTooLarge, kafka.RecordListTooLarge:
		return tooBig
	case kafka.UnknownTopicOrPartition, kafka.LeaderNotAvailable, kafka.NotLeaderForPartition, kafka.RequestTimedOut,
		kafka.BrokerNotAvailable, kafka.ReplicaNotAvailable, kafka.NetworkException,
		kafka.GroupLoadInProgress, kafka.GroupCoordinatorNotAvailable, kafka.NotCoordinatorForGroup,
		kafka.NotEnoughReplicas, kafka.NotEnoughReplicasAfterAppend, kafka.NotController, kafka.KafkaStorageError,
		kafka.FencedLeaderEpoch, kafka.UnknownLeaderEpoch, kafka.OffsetNotAvailable, kafka.StaleBrokerEpoch,
		kafka.ConcurrentTransactions, kafka.ThrottlingQuotaExceeded, kafka.ListenerNotFound,
		kafka.TopicAuthorizationFailed, kafka.ClusterAuthorizationFailed, kafka.TransactionalIDAuthorizationFailed,
		kafka.SASLAuthenticationFailed:
		return again
	}
	// OUT_OF_ORDER_SEQUENCE_NUMBER, UNKNOWN_PRODUCER_ID, INVALID_TXN_STATE: the broker's memory of us and ours differ.
	// CORRUPT_MESSAGE, INVALID_RECORD, INVALID_TIMESTAMP, POLICY_VIOLATION and the rest: the bytes are refused for good.
	return stopped
}

// refused reports whether the answer is a refusal that at start-up is better told than waited for.
func refused(err error) bool {
	var code kafka.Error
	if !errors.As(err, &code) {
		return false
	}
	switch code {
	case kafka.TopicAuthorizationFailed, kafka.ClusterAuthorizationFailed, kafka.TransactionalIDAuthorizationFailed,
		kafka.SASLAuthenticationFailed, kafka.UnsupportedSASLMechanism:
		return true
	}
	return judge(err) == stopped || judge(err) == fenced
}
