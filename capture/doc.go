// Package capture holds one logical slot: it delivers the slot's messages in order and answers the server.
//
// # Two connections
//
// The ordinary one is the catalogue connection. On it everything that the promise rests on is looked at before the slot
// is touched; later it answers the decoder's questions, and it is asked whether the server still knows us when the
// replication connection is silent, and what the publication covers. It is closed every half minute, so that it does not
// hold up a smart shutdown, and opened again when somebody needs it.
//
// The replication connection carries the stream. After START_REPLICATION it has two halves, each with one owner:
//
//   - The reading half belongs to whoever calls Next. Messages are slices of one large buffer. Nothing else reads, so
//     a caller that stops calling Next (Kafka is away) stops the server by filling the socket, and nothing is lost.
//   - The writing half belongs to the writer, a goroutine that never waits for the reader or for Kafka.
//
// # What the server is told
//
// The only message sent is the standby status update, always with all three positions:
//
//   - flush and apply: the newest position given to Confirm, at first the slot's confirmed_flush_lsn; never zero,
//     never a position that was only received, and never going back. The server may forget everything before it.
//   - write: the newest position received. It is a fact about the network, nothing is forgotten because of it.
//
// A status is sent at once when something new is confirmed or when the server asks for a reply, and unasked at least
// every wal_sender_timeout / 3, whether or not anybody reads: a keepalive that is not read cannot be answered. Answers
// that say nothing new are spaced, because a server that is shutting down asks again as soon as it is answered
// (walsender.c, WalSndDone).
//
// # How it ends
//
// Close confirms what is durable, says CopyDone and waits a moment for the server's goodbye. Everything else is an
// error of Next, and the next Open is the recovery.
//
// A server that shuts down waits until everything it has sent is confirmed. It is recognised by asking for replies again
// and again, or by silence while nobody reads, together with its refusal of a new session on the catalogue connection
// (SQLSTATE 57P03). Where nothing is confirmed then for 20 seconds (Kafka is away) the connection is given up, so that
// the server can stop; the slot keeps what was not confirmed.
//
// A server that is silent is asked over the catalogue connection whether our session still holds the slot: a large
// transaction may keep it busy for long, and giving up would only make it begin again. Where it says no, or cannot be
// reached for 20 seconds, the session ends.
package capture
