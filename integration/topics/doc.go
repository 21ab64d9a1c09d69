// Package topics reads Kafka topics from their beginning to their end, record by record, with nothing hidden but the
// broker's own control records, and creates and lists them.
package topics
