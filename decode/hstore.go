package decode

import "bytes"

// appendHstore appends the text of hstore_out as hstore_to_json does (contrib/hstore/hstore_io.c), which is the
// type's cast to json: {"k": "v", "n": null}, every value a string.
func (v *valuer) appendHstore(dst, text []byte) []byte {
	dst = append(dst, '{')
	for first := true; len(text) > 0; first = false {
		if !first {
			if !bytes.HasPrefix(text, []byte(", ")) {
				v.bad = true
				return dst
			}
			text = text[2:]
			dst = append(dst, ", "...)
		}
		if dst, text = v.appendHstoreText(dst, text); v.bad {
			return dst
		}
		if !bytes.HasPrefix(text, []byte("=>")) {
			v.bad = true
			return dst
		}
		text = text[2:]
		dst = append(dst, ": "...)
		if bytes.HasPrefix(text, []byte("NULL")) {
			dst, text = append(dst, "null"...), text[4:]
			continue
		}
		if dst, text = v.appendHstoreText(dst, text); v.bad {
			return dst
		}
	}
	return append(dst, '}')
}

// appendHstoreText appends the string at the start of text, and returns what follows it there. Its quotes and
// backslashes have a backslash before them, which is how JSON has them, too; control characters are as they are.
func (v *valuer) appendHstoreText(dst, text []byte) (_, rest []byte) {
	if len(text) == 0 || text[0] != '"' {
		v.bad = true
		return dst, nil
	}
	raw, n, plain := v.quoted(text)
	if v.bad {
		return dst, nil
	}
	if !plain {
		raw = v.unescape(raw, 0)
	}
	dst, _ = appendString(dst, raw)
	return dst, text[n:]
}
