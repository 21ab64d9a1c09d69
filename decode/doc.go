// Package decode gives meaning to the stream of a logical replication slot: pgoutput's messages go in, records in their
// final form come out. It does no I/O but what its Catalogue does, knows no clock and starts no goroutine, so the same
// bytes give the same records in every run.
//
// # The grammar of pgoutput, protocol version 1
//
// The server's side is pgoutput.c and proto.c of src/backend/replication. Integers are big-endian, strings end with a
// zero byte, every message begins with the byte that names it.
//
//	stream      = { transaction | M | A }
//	transaction = B [ O ] { R | Y | I | U | D | T | M | A } C
//
//	B begin     lsn8 (start of the commit record) time8 (µs since 2000-01-01 UTC) xid4
//	C commit    flags1 (0) lsn8 (as in B) end8 time8
//	O origin    lsn8 name
//	R relation  oid4 schema ("" is pg_catalog) table identity1 (d n f i) n2 n × { flags1 (1: identity) name type4 typmod4 }
//	Y type      oid4 schema name
//	I insert    oid4 'N' tuple
//	U update    oid4 [ 'K' tuple | 'O' tuple ] 'N' tuple
//	D delete    oid4 ( 'K' tuple | 'O' tuple )
//	T truncate  n4 flags1 (1 cascade, 2 restart identity) n × oid4
//	M message   flags1 (1 transactional) lsn8 (end of its WAL record) prefix n4 content
//	A abort     xid4 xid4 [ lsn8 time8 ]
//	tuple       n2 n × ( 'n' | 'u' | 't' n4 text )
//
// A belongs to streamed transactions, which are never asked for; PostgreSQL 18 sends it all the same, and it says
// nothing here. 'n' is null, but in a K tuple, where only the columns of the replica identity are sent, it stands for
// every other column as well. 'u' is a value stored out of line that did not change and was not sent.
//
// An update without an old tuple left every column of its replica identity as it was (ExtractReplicaIdentity in
// heapam.c), so their old values are known from the new tuple. A K tuple also comes when such a column is merely stored
// out of line: whether a key changed is decided by comparing values.
//
// Whatever does not fit the grammar, is cut short or is followed by further bytes is an error that names the message,
// its position and its relation. The decoder never skips.
//
// # Values
//
// A column reads, byte for byte, as row_to_json(row) shows it on the server (json.c), in a session with the settings
// that capture pins. The stream carries the text of each type's output function; what a type becomes is decided once, when a
// relation's R comes: by the table of built-in types, otherwise by the Catalogue.
//
// # Who
//
// The stream names no session: an Actor comes with the Begin from outside. A context, which is a transactional message
// that pgwitness.set_actor wrote, brings the session's facts as it saw them, and the application's own words; it
// concerns the changes after it, until the next one. Messages of our prefixes that our functions cannot have written
// become records of their own, and are never believed.
//
// # One record of look-ahead
//
// A record is encoded when its message comes, and passed on when the next one of its transaction or the Commit has
// come, because only then is it known whether it is the transaction's last one.
package decode
