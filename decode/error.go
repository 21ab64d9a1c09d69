package decode

import (
	"errors"
	"fmt"

	"github.com/jackc/pglogrepl"
)

// An Error says which message could not be decoded. It never carries row data.
type Error struct {
	Message  string        // the kind of message, such as "insert"
	LSN      pglogrepl.LSN // its position; the transaction's commit where the message has none of its own
	Relation string        // schema.table, or the oid of one that is not known; "" where none is concerned
	err      error
}

func (e *Error) Error() string {
	if e.Relation == "" {
		return fmt.Sprintf("decode %s at %s: %v", e.Message, e.LSN, e.err)
	}
	return fmt.Sprintf("decode %s of %s at %s: %v", e.Message, e.Relation, e.LSN, e.err)
}

func (e *Error) Unwrap() error { return e.err }

var (
	errShort    = errors.New("the message ends early")
	errTrailing = errors.New("the message is longer than its content")
	errOutside  = errors.New("it stands outside a transaction")
)

// An emitError is the receiver's own error, which is no matter of decoding.
type emitError struct{ error }

// fail dresses an error with the place where it happened.
func (d *Decoder) fail(m Message, err error) error {
	var passed emitError
	if errors.As(err, &passed) {
		return passed.error
	}
	e := &Error{Message: "empty message", LSN: m.LSN, Relation: d.where, err: err}
	if len(m.Data) > 0 {
		e.Message = messageName(m.Data[0])
	}
	if e.LSN == 0 {
		e.LSN = d.tx.commit
	}
	return e
}

func messageName(kind byte) string {
	switch kind {
	case 'B':
		return "begin"
	case 'C':
		return "commit"
	case 'O':
		return "origin"
	case 'R':
		return "relation"
	case 'Y':
		return "type"
	case 'I':
		return "insert"
	case 'U':
		return "update"
	case 'D':
		return "delete"
	case 'T':
		return "truncate"
	case 'M':
		return "logical message"
	case 'A':
		return "stream abort"
	}
	return fmt.Sprintf("message of kind %q", kind)
}
