package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/segmentio/kafka-go"

	"pgwitness/decode"
)

// Rights at the brokers are judged by trying, with requests that change nothing.

// nobody is a producer id that no broker has given out: brokers look at rights first and at the id afterwards
// (KafkaApis.scala, handleEndTxnRequest and handleAddPartitionsToTxnRequest; TransactionCoordinator.scala), so the answer
// tells whether the rights are there, and a run's own producer stays as it is.
const nobody = math.MaxInt64

// tried tells what the answer to nobody's request means: nil, a lack of rights, or that it could not be tried.
func tried(err error) (denied, unknown error) {
	switch {
	case err == nil, errors.Is(err, kafka.InvalidProducerIDMapping), errors.Is(err, kafka.InvalidProducerEpoch),
		errors.Is(err, kafka.InvalidTransactionState):
		return nil, nil
	case errors.Is(err, kafka.TransactionalIDAuthorizationFailed), errors.Is(err, kafka.TopicAuthorizationFailed),
		errors.Is(err, kafka.ClusterAuthorizationFailed):
		return err, nil
	}
	return nil, err
}

// transactionalIDs tries the ids that fence a predecessor.
func (f *findings) transactionalIDs(ctx context.Context, c *cluster, cfg *config, s *survey) {
	ids := []string{"pgwitness." + cfg.Kafka.Prefix}
	if s.hold.word() != "none" {
		ids = append(ids, ids[0]+"/"+decode.Who.Table)
	}
	for _, id := range ids {
		switch denied, unknown := tried(c.tryTransactionalID(ctx, id)); {
		case denied != nil:
			f.wrong(aboutTransactional.of(id), acl(cfg, "--operation Describe --operation Write --transactional-id "+ids[0]+" --resource-pattern-type prefixed"),
				"%s may not be used: %s", id, brokerReason(denied))
		case unknown != nil:
			f.note(aboutTransactional.of(id), "whether %s may be used could not be tried: %s", id, brokerReason(unknown))
		}
	}
	f.otherwise(aboutTransactional, "%s may be used", ids[0])
}

// tryTransactionalID waits for a coordinator: a broker that is young, or has just taken one over, has none yet.
func (c *cluster) tryTransactionalID(ctx context.Context, id string) error {
	for deadline := time.Now().Add(patience); ; {
		answer, err := c.client.EndTxn(ctx, &kafka.EndTxnRequest{TransactionalID: id, ProducerID: nobody})
		if err == nil {
			err = answer.Error
		}
		young := errors.Is(err, kafka.GroupLoadInProgress) || errors.Is(err, kafka.GroupCoordinatorNotAvailable) ||
			errors.Is(err, kafka.NotCoordinatorForGroup)
		if !young || time.Now().After(deadline) || pause(ctx, fetchWait) != nil {
			return err
		}
	}
}

// acl is the command that gives a right.
func acl(cfg *config, right string) string {
	principal := "User:" + cfg.Kafka.SASL.Username
	if cfg.Kafka.SASL.Username == "" {
		principal = "User:PRINCIPAL"
	}
	return "kafka-acls.sh --bootstrap-server " + cfg.Kafka.Brokers[0] + " --add --allow-principal " + principal + " " + right
}

// topicACL is the command that gives the rights on all topics of the prefix.
func topicACL(cfg *config, operation string) string {
	return acl(cfg, "--operation "+operation+" --topic "+cfg.Kafka.Prefix+". --resource-pattern-type prefixed")
}

// topicRights tries to write to topics and to read from them.
func (f *findings) topicRights(ctx context.Context, c *cluster, cfg *config, topics []kafka.Topic) error {
	if err := f.mayWrite(ctx, c, cfg, topics); err != nil {
		return err
	}
	for _, t := range topics {
		err := mayRead(ctx, c, t.Name)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		switch denied, unknown := tried(err); {
		case denied != nil:
			f.wrong(aboutTopicRead.of(t.Name), topicACL(cfg, "Read"), "%s cannot be read, as a start has to: %s", t.Name, brokerReason(denied))
		case unknown != nil:
			f.note(aboutTopicRead.of(t.Name), "whether %s can be read could not be tried: %s", t.Name, brokerReason(unknown))
		}
	}
	f.otherwise(aboutTopicRead, "each of %d topics can be read", len(topics))
	return f.mayAlter(ctx, c, topics[0].Name)
}

// mayWrite asks for all topics at once; those that are denied are named in the answer.
func (f *findings) mayWrite(ctx context.Context, c *cluster, cfg *config, topics []kafka.Topic) error {
	request := map[string][]kafka.AddPartitionToTxn{}
	for _, t := range topics {
		request[t.Name] = []kafka.AddPartitionToTxn{{Partition: 0}}
	}
	answer, err := c.client.AddPartitionsToTxn(ctx, nobodysPartitions(cfg, request))
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if _, unknown := tried(err); unknown != nil {
		f.note(aboutTopicWrite, "whether topics can be written could not be tried: %s", brokerReason(unknown))
		return nil
	}
	for _, t := range topics {
		if err == nil {
			for _, p := range answer.Topics[t.Name] {
				if denied, _ := tried(p.Error); denied != nil {
					f.wrong(aboutTopicWrite.of(t.Name), topicACL(cfg, "Write"), "%s cannot be written: %s", t.Name, denied)
				}
			}
		}
	}
	f.otherwise(aboutTopicWrite, "each of %d topics can be written", len(topics))
	return nil
}

func nobodysPartitions(cfg *config, topics map[string][]kafka.AddPartitionToTxn) *kafka.AddPartitionsToTxnRequest {
	return &kafka.AddPartitionsToTxnRequest{TransactionalID: "pgwitness." + cfg.Kafka.Prefix, ProducerID: nobody, Topics: topics}
}

// mayRead reads nothing from a topic's end.
func mayRead(ctx context.Context, c *cluster, topic string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	answer, err := c.client.Fetch(ctx, &kafka.FetchRequest{Topic: topic, Offset: kafka.LastOffset, MinBytes: 0, MaxBytes: 1, MaxWait: time.Millisecond})
	if err != nil {
		return err
	}
	if answer.Records != nil {
		for {
			if _, err := answer.Records.ReadRecord(); err != nil {
				break
			}
		}
	}
	return answer.Error
}

// mayAlter tries whether settings could be changed. That is more than pgwitness needs: whoever takes it over could let
// the trail expire.
func (f *findings) mayAlter(ctx context.Context, c *cluster, topic string) error {
	answer, err := c.client.IncrementalAlterConfigs(ctx, &kafka.IncrementalAlterConfigsRequest{ValidateOnly: true, Resources: []kafka.IncrementalAlterConfigsRequestResource{{
		ResourceType: kafka.ResourceTypeTopic, ResourceName: topic,
		Configs: []kafka.IncrementalAlterConfigsRequestConfig{{Name: "cleanup.policy", Value: "delete", ConfigOperation: kafka.ConfigOperationSet}},
	}}})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil && len(answer.Resources) == 1 {
		err = answer.Resources[0].Error
	}
	if err == nil {
		f.note(aboutTopicAlter, "the topics' settings may be changed (or the brokers ask for no rights): more than pgwitness needs")
		return nil
	}
	f.ok(aboutTopicAlter, "the topics' settings may not be changed")
	return nil
}

// topicCreation lets the brokers judge topics that are still to be made, without making them.
func (f *findings) topicCreation(ctx context.Context, c *cluster, cfg *config, names []string, brokers int) error {
	if len(names) == 0 {
		f.ok(aboutTopicCreation, "all topics are there")
		return nil
	}
	replication := cfg.Topics.Replication
	if replication == 0 {
		replication = min(3, brokers)
	}
	request := &kafka.CreateTopicsRequest{ValidateOnly: true}
	for _, name := range names {
		request.Topics = append(request.Topics, kafka.TopicConfig{Topic: name, NumPartitions: 1, ReplicationFactor: replication,
			ConfigEntries: []kafka.ConfigEntry{{ConfigName: "max.message.bytes", ConfigValue: fmt.Sprint(cfg.Topics.MaxMessageBytes)}}})
	}
	// After the answer kafka-go waits until the topics are there (transport.go, refreshMetadata), which they will not be.
	bounded, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	answer, err := c.client.CreateTopics(bounded, request)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		f.note(aboutTopicCreation, "whether topics can be created could not be tried: %s", brokerReason(err))
		return nil
	}
	for _, name := range names {
		if err := answer.Errors[name]; err != nil && !errors.Is(err, kafka.TopicAlreadyExists) {
			f.wrong(aboutTopicCreation.of(name), topicACL(cfg, "Create")+"  -- or make it beforehand", "topic %s does not exist and cannot be created: %s", name, err)
		}
	}
	f.otherwise(aboutTopicCreation, "the brokers would create what is missing (%d)", len(names))
	return nil
}
