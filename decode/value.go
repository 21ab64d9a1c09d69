package decode

import (
	"bytes"
	"context"
	"encoding/hex"
	"unicode/utf8"
)

// appendColumn appends the value of the row's column i as row_to_json shows it. What is common is done here; the rest
// goes through appendAwkward.
func (d *Decoder) appendColumn(ctx context.Context, dst []byte, i int, text []byte) ([]byte, error) {
	switch t := d.row.relation.columns[i].datatype; t.kind {
	case kindText:
		start := len(dst)
		out, ascii := appendString(dst, text)
		if ascii || d.source.Charset == nil && utf8.Valid(text) {
			return out, nil
		}
		dst = out[:start]
	case kindNumber:
		if isNumber(text) {
			return append(dst, text...), nil
		}
	case kindBool:
		if len(text) == 1 {
			return appendBool(dst, text[0]), nil
		}
	case kindTime:
		return appendTime(dst, text), nil
	case kindMasked:
		return d.appendMasked(ctx, dst, d.row.relation.columns[i].mask, text)
	}
	return d.appendAwkward(ctx, dst, i, text)
}

// appendAwkward appends a value that needs parsing, conversion or an excuse.
func (d *Decoder) appendAwkward(ctx context.Context, dst []byte, i int, text []byte) ([]byte, error) {
	utf, ok, err := d.source.toUTF8(ctx, text)
	if err != nil {
		return dst, err
	}
	if !ok {
		d.row.hex.set(i)
		return appendHex(dst, text), nil
	}
	t := d.row.relation.columns[i].datatype
	start := len(dst)
	v := &d.valuer
	v.reset()
	out := v.append(dst, t, utf, 0)
	for tries := 0; v.misfit != nil && tries < deepest; tries++ { // a type, then those it is made of
		fits, err := d.types.renew(ctx, v.misfit, v.fields)
		if err != nil {
			return dst, err
		}
		if !fits {
			break
		}
		v.reset()
		out = v.append(out[:start], t, utf, 0)
	}
	if v.bad {
		out, _ = appendString(out[:start], utf)
	}
	if v.bad || v.opaque {
		d.row.opaque.set(i)
	}
	v.release()
	return out, nil
}

// A valuer appends one value.
type valuer struct {
	opaque bool      // a part of it is shown as text for want of knowledge of its type
	bad    bool      // its text does not have the shape of its type
	misfit *datatype // the composite type that may have another number of fields than the text
	fields int       // that number

	scratch [][]byte // unquoted text by depth
}

func (v *valuer) reset() { v.opaque, v.bad, v.misfit, v.fields = false, false, nil, 0 }

// release gives back the buffers that a rare value made large.
func (v *valuer) release() {
	for i := range v.scratch {
		if cap(v.scratch[i]) > keep {
			v.scratch[i] = nil
		}
	}
}

// deepest is how far types may nest. Each level of composite or array doubles the quotes of its text, so nothing that
// a server can send comes near it.
const deepest = 64

// append appends text, which is valid UTF-8, as a value of type t. After a failure, bad is set and the result is of no use.
func (v *valuer) append(dst []byte, t *datatype, text []byte, depth int) []byte {
	for t.kind == kindDomain {
		t = t.base
	}
	if depth > deepest {
		v.bad = true
		return dst
	}
	switch t.kind {
	case kindBool:
		if len(text) == 1 {
			return appendBool(dst, text[0])
		}
	case kindNumber:
		if isNumber(text) {
			return append(dst, text...)
		}
	case kindTime:
		return appendTime(dst, text)
	case kindJSON:
		if len(text) > 0 {
			return append(dst, text...)
		}
	case kindArray:
		return v.appendArray(dst, t.element, text, depth)
	case kindVector:
		return v.appendVector(dst, t.element, text, depth)
	case kindComposite:
		return v.appendComposite(dst, t, text, depth)
	case kindHstore:
		return v.appendHstore(dst, text)
	case kindOpaque:
		v.opaque = true
	}
	dst, _ = appendString(dst, text)
	return dst
}

func appendBool(dst []byte, c byte) []byte {
	if c == 't' {
		return append(dst, "true"...)
	}
	return append(dst, "false"...)
}

// isNumber reports whether text is a JSON number (IsValidJsonNumber in json.c); the others, NaN and the infinities, are
// shown as strings.
func isNumber(text []byte) bool {
	i := 0
	digits := func() bool {
		from := i
		for i < len(text) && text[i]-'0' <= 9 {
			i++
		}
		return i > from
	}
	if len(text) > 0 && text[0] == '-' {
		i++
	}
	first := i
	if !digits() || text[first] == '0' && i > first+1 {
		return false
	}
	if i < len(text) && text[i] == '.' {
		i++
		if !digits() {
			return false
		}
	}
	if i < len(text) && text[i]|0x20 == 'e' {
		i++
		if i < len(text) && (text[i] == '+' || text[i] == '-') {
			i++
		}
		if !digits() {
			return false
		}
	}
	return i == len(text)
}

// appendTime appends a timestamp as JsonEncodeDateTime does: T between date and time, and minutes in every offset. The
// text has neither: 2026-11-22 19:34:32.25+00, 0044-03-15 12:00:00 BC, infinity.
func appendTime(dst, text []byte) []byte {
	space := bytes.IndexByte(text, ' ')
	if space < 0 || !isTime(text) {
		dst, _ = appendString(dst, text)
		return dst
	}
	dst = append(append(append(dst, '"'), text[:space]...), 'T')
	clock := text[space+1:]
	era := bytes.IndexByte(clock, ' ')
	if era < 0 {
		era = len(clock)
	}
	dst = append(dst, clock[:era]...)
	if era >= 3 && (clock[era-3] == '+' || clock[era-3] == '-') {
		dst = append(dst, ":00"...)
	}
	return append(append(dst, clock[era:]...), '"')
}

func isTime(text []byte) bool {
	for _, c := range text {
		if !inTime[c] {
			return false
		}
	}
	return true
}

// inTime is the characters of a finite timestamp.
var inTime = [256]bool{
	'0': true, '1': true, '2': true, '3': true, '4': true, '5': true, '6': true, '7': true, '8': true, '9': true,
	'-': true, '+': true, ':': true, '.': true, ' ': true, 'B': true, 'C': true,
}

// appendHex appends bytes that are no text as "\\x" and their hex digits.
func appendHex(dst, raw []byte) []byte {
	dst = append(dst, `"\\x`...)
	dst = hex.AppendEncode(dst, raw)
	return append(dst, '"')
}
