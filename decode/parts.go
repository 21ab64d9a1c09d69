package decode

import "strconv"

// The parts of a record's JSON that do not depend on a change.

// idBefore is what a record has before its id's text.
const idBefore = `{"id":"`

// appendHead appends the beginning, up to the ordinal in the id.
func appendHead(dst []byte, id ID) []byte {
	dst = id.AppendTo(append(dst, idBefore...))
	return dst[:len(dst)-1] // without the ordinal 0
}

// appendFrom appends the part of "source" that is the same in every record.
func appendFrom(dst []byte, s Source) []byte {
	dst = appendQuoted(append(dst, `,"database":`...), s.Database)
	return appendQuoted(append(dst, `,"slot":`...), s.Slot)
}

// appendSource appends "source" and closes the record.
func (d *Decoder) appendSource(dst []byte, timeline uint32, origin string) []byte {
	dst = strconv.AppendUint(append(dst, `"source":{"system":"`...), d.source.System, 10)
	dst = strconv.AppendUint(append(dst, `","timeline":`...), uint64(timeline), 10)
	dst = append(dst, d.from...)
	if origin != "" {
		dst = appendQuoted(append(dst, `,"origin":`...), origin)
	}
	return append(dst, `}}`...)
}
