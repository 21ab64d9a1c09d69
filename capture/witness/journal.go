package witness

import (
	"context"

	"github.com/jackc/pglogrepl"
)

// A Journal keeps who records in the order in which they are appended.
type Journal interface {
	// Last returns the value of the newest record as it was when the journal was opened, nil when there is none.
	Last() []byte
	// Append adds a record that answers for the WAL up to a position of a timeline. It copies the value, does not wait
	// until it is durable, and blocks while too much is not. The journal tells Witness.Durable how far it is.
	Append(ctx context.Context, timeline uint32, to pglogrepl.LSN, value []byte) error
	// Records reads on from the record that answers for a position, or the first one after it. trimmed says that this is
	// the oldest one, and that there were older ones.
	Records(ctx context.Context, timeline uint32, pos pglogrepl.LSN) (r Reader, trimmed bool, err error)
}

// A Reader reads a journal. The value that Next returns is valid until the next call; io.EOF is the present end.
type Reader interface {
	Next(ctx context.Context) (value []byte, err error)
}
