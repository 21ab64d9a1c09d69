package decode

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
)

// A layout says where the parts of a record's value lie.
type layout struct {
	idEnd       int  // the id's text begins after idBefore
	keyed       bool // there is a key
	key, keyEnd int

	bulk, bulkEnd       int // what AppendTrimmed leaves out: the images, or a message's content
	missing, missingEnd int // what it replaces by every
	every               []byte
}

// AppendTrimmed appends value, which is the record's Value or NewValue, without its images, or without its content if
// it is a message: for a topic that does not take all of it. Every column is then in "missing", and "oversize" has the
// size and the SHA-256 of the whole value. A truncate, which has nothing to leave out, is appended as it is.
func (r *Record) AppendTrimmed(dst, value []byte) []byte {
	at := &r.layout
	if at.bulkEnd == 0 {
		return append(dst, value...)
	}
	shift := len(value) - len(r.Value) // NewValue differs by its key
	dst = append(dst, value[:at.bulk+shift]...)
	dst = append(dst, value[at.bulkEnd+shift:at.missing+shift]...)
	dst = append(dst, at.every...)
	dst = strconv.AppendInt(append(dst, `,"oversize":{"bytes":`...), int64(len(value)), 10)
	sum := sha256.Sum256(value)
	dst = hex.AppendEncode(append(dst, `,"sha256":"`...), sum[:])
	dst = append(dst, `"}`...)
	return append(dst, value[at.missingEnd+shift:]...)
}
