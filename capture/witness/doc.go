// Package witness names the session of every commit while it waits.
//
// The write-ahead log says of a transaction what it did and not who did it. The server knows, but only while the session
// is there. A session whose commit waits for a synchronous standby is there: it has written and flushed its commit
// record, and not yet left the list of running transactions (RecordTransactionCommit in xact.c flushes, then calls
// SyncRepWaitForLSN, and only afterwards ProcArrayEndTransaction). So the witness is a synchronous standby that stores
// nothing. It reads raw WAL from a physical slot, finds the commit records in it, looks up in pg_stat_activity whose
// transactions these are, and then lets their sessions go.
//
// # The rule
//
// An activity snapshot answers for every commit record that was received before the query was sent. A transaction id that
// stands in it belongs to that session: the session cannot have left, and cannot have been replaced, while it waits for
// us. An id that does not stand in it is over, or never waited. Nothing is reported to the server before a snapshot that
// was taken after its arrival has answered for it; also after a pause, a restart, or in catch-up.
//
// A prepared transaction is named at PREPARE TRANSACTION, which waits in the same way (EndPrepare in twophase.c) and is
// issued by the session that made the changes. COMMIT PREPARED runs in a session without a transaction id.
//
// # What the server is told
//
//   - write: everything received and answered for. It releases sessions with synchronous_commit = remote_write.
//   - flush, apply: the end of the last whole record before which every answer is durable in the journal. It releases
//     sessions with synchronous_commit = on, and is where the slot resumes.
//
// # Memory
//
// The journal (a Kafka topic, to us an interface) is the only memory: one record a look-up, with the range of WAL that it
// answers for, the sessions and the commits. What was answered lately is kept at hand for whoever joins it with the
// decoded transactions; older answers are read from the journal.
//
// # Where nobody waits
//
// A Sampler asks the same view again and again, and keeps which session was seen in which transaction.
package witness
