// Package publish delivers changes to Kafka and knows up to which position everything is durable.
//
// The guarantee, in one sentence: for every partition, the records are exactly the sent changes in commit order, each
// once, after any number of kills of this process and of brokers. It rests on four things, each in a file of its own:
//
//   - A batch keeps its bytes, its producer id, its epoch and its sequence number through every retry, so a broker
//     recognises what it already has (batch.go, flight.go). At most one batch a partition is under way.
//   - The transactional id is the same in every run, so a new run's epoch supersedes the old one's. Brokers check the
//     epoch partition by partition: before a partition's tail is read, an aborted transaction leaves our marker in it,
//     and from then on nothing of a predecessor can land there (fence.go).
//   - The tail of each partition says what is already there. A record at or below it is skipped; the tail itself must
//     be met again, exactly, unless the slot no longer reaches that far back (tail.go).
//   - A position is reported as durable only when every record sent before it is acknowledged by all in-sync
//     replicas (progress.go).
//
// Two kinds of stream rest on it. A Sink's records come from the slot, which sends again what was not confirmed: they
// are compared with the tails. A Journal's records come from nowhere else: its topic is its writer's memory, read back
// at the start and looked up by position (journal.go, journalread.go). What both share is a delivery (delivery.go).
//
// kafka-go's Writer does none of this; what is used of kafka-go is its Transport: connections, versions, TLS, SASL.
package publish
