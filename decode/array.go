package decode

import "bytes"

// dimensions is the most an array has (MAXDIM in array.h).
const dimensions = 6

// appendArray appends the text of array_out (arrayfuncs.c) as nested JSON arrays. Lower bounds, as in [0:1]={1,2}, are
// not shown by array_to_json.
func (v *valuer) appendArray(dst []byte, element *datatype, text []byte, depth int) []byte {
	if len(text) > 0 && text[0] == '[' {
		text = text[bytes.IndexByte(text, '=')+1:]
	}
	if string(text) == "{}" {
		return append(dst, "[]"...)
	}
	level, value := 0, true // value: an element or a sub-array comes next
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case value && c == '{' && level < dimensions:
			dst = append(dst, '[')
			level++
			i++
		case value && level > 0:
			var n int
			if dst, n = v.appendElement(dst, element, text[i:], depth); v.bad {
				return dst
			}
			i += n
			value = false
		case c == '}' && level > 0:
			dst = append(dst, ']')
			level--
			i++
			if level == 0 {
				v.bad = i != len(text)
				return dst
			}
		case c == element.delimiter && level > 0:
			dst = append(dst, ',')
			value = true
			i++
		default:
			v.bad = true
			return dst
		}
	}
	v.bad = true
	return dst
}

// appendElement appends the element at the start of text and returns its length there. Quoted is what array_out has to
// quote: a backslash then stands before each quote and backslash.
func (v *valuer) appendElement(dst []byte, t *datatype, text []byte, depth int) ([]byte, int) {
	if text[0] != '"' {
		n := 0
		for n < len(text) && text[n] != t.delimiter && text[n] != '}' {
			if c := text[n]; c == '{' || c == '"' || c == '\\' {
				v.bad = true
				return dst, n
			}
			n++
		}
		switch {
		case n == 0:
			v.bad = true
		case string(text[:n]) == "NULL":
			dst = append(dst, "null"...)
		default:
			dst = v.append(dst, t, text[:n], depth+1)
		}
		return dst, n
	}
	raw, n, plain := v.quoted(text)
	if v.bad {
		return dst, n
	}
	if !plain {
		raw = v.unescape(raw, depth)
	}
	return v.append(dst, t, raw, depth+1), n
}

// quoted finds the string in double quotes at the start of text, in which a backslash protects the next byte. It
// returns what stands between the quotes, the length with them, and whether it has no backslash.
func (v *valuer) quoted(text []byte) (raw []byte, n int, plain bool) {
	plain = true
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '"':
			return text[1:i], i + 1, plain
		case '\\':
			plain = false
			i++
		}
	}
	v.bad = true
	return nil, len(text), plain
}

// unescape removes the backslashes that protect bytes. The result holds until the next value at this depth.
func (v *valuer) unescape(raw []byte, depth int) []byte {
	out := v.room(len(raw), depth)
	for {
		i := bytes.IndexByte(raw, '\\')
		if i < 0 || i+1 == len(raw) {
			break
		}
		out = append(append(out, raw[:i]...), raw[i+1])
		raw = raw[i+2:]
	}
	out = append(out, raw...)
	v.scratch[depth] = out
	return out
}

// room returns an empty buffer for size bytes at this depth.
func (v *valuer) room(size, depth int) []byte {
	for len(v.scratch) <= depth {
		v.scratch = append(v.scratch, nil)
	}
	if cap(v.scratch[depth]) < size {
		v.scratch[depth] = make([]byte, 0, size)
	}
	return v.scratch[depth][:0]
}

// appendVector appends an int2vector or oidvector, whose text is its elements between spaces (int.c, oid.c), and which
// row_to_json shows as the array it is.
func (v *valuer) appendVector(dst []byte, element *datatype, text []byte, depth int) []byte {
	dst = append(dst, '[')
	for first := true; len(text) > 0; first = false {
		if !first {
			dst = append(dst, ',')
		}
		n := bytes.IndexByte(text, ' ')
		if n < 0 {
			return append(v.append(dst, element, text, depth+1), ']')
		}
		dst = v.append(dst, element, text[:n], depth+1)
		text = text[n+1:]
	}
	return append(dst, ']')
}
