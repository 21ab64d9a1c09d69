package decode

import "bytes"

// appendComposite appends the text of record_out (rowtypes.c) as an object, with the names that the catalogue has.
func (v *valuer) appendComposite(dst []byte, t *datatype, text []byte, depth int) []byte {
	if len(text) < 2 || text[0] != '(' || text[len(text)-1] != ')' {
		v.bad = true
		return dst
	}
	rest := text[1 : len(text)-1]
	if len(t.fields) == 0 {
		v.bad = len(rest) > 0
		return append(dst, "{}"...)
	}
	if t.doubted {
		v.misfits(t, rest, 0)
		return dst
	}
	open := len(dst)
	for n := 0; ; n++ {
		end, quoted := v.fieldEnd(rest)
		if v.bad {
			return dst
		}
		if n >= len(t.fields) {
			v.misfits(t, rest, n)
			return dst
		}
		dst = append(dst, t.fields[n].label...)
		switch {
		case end == 0:
			dst = append(dst, "null"...)
		case quoted:
			dst = v.append(dst, t.fields[n].datatype, v.unquote(rest[1:end-1], depth), depth+1)
		default:
			dst = v.append(dst, t.fields[n].datatype, rest[:end], depth+1)
		}
		if v.bad {
			return dst
		}
		if end == len(rest) {
			if n+1 < len(t.fields) {
				v.misfits(t, nil, n+1)
				return dst
			}
			return closeObject(dst, open)
		}
		rest = rest[end+1:]
	}
}

// fieldEnd finds the end of the field at the start of rest: a comma, or the end of rest. A field is quoted as a whole
// or not at all; within quotes, quotes and backslashes are doubled.
func (v *valuer) fieldEnd(rest []byte) (end int, quoted bool) {
	if len(rest) == 0 || rest[0] != '"' {
		if end = bytes.IndexByte(rest, ','); end < 0 {
			end = len(rest)
		}
		v.bad = bytes.ContainsAny(rest[:end], `"\()`)
		return end, false
	}
	for i := 1; i < len(rest); i++ {
		c := rest[i]
		if c != '"' && c != '\\' {
			continue
		}
		if i+1 < len(rest) && rest[i+1] == c {
			i++
			continue
		}
		v.bad = c == '\\' || i+1 < len(rest) && rest[i+1] != ','
		return i + 1, true
	}
	v.bad = true
	return len(rest), true
}

// unquote removes the second of doubled bytes. The result holds until the next value at this depth.
func (v *valuer) unquote(raw []byte, depth int) []byte {
	i := bytes.IndexAny(raw, `"\`)
	if i < 0 {
		return raw
	}
	out := v.room(len(raw), depth)
	for ; i >= 0; i = bytes.IndexAny(raw, `"\`) {
		out = append(out, raw[:i+1]...)
		raw = raw[i+2:]
	}
	out = append(out, raw...)
	v.scratch[depth] = out
	return out
}

// misfits says that the text may have another number of fields than the type: those before rest and those of rest.
func (v *valuer) misfits(t *datatype, rest []byte, fields int) {
	for more := rest != nil; more; fields++ {
		end, _ := v.fieldEnd(rest)
		if v.bad {
			return
		}
		if more = end < len(rest); more {
			rest = rest[end+1:]
		}
	}
	v.bad, v.misfit, v.fields = true, t, fields
}
