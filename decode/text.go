package decode

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"

	"github.com/jackc/pglogrepl"
)

const (
	lower = "0123456789abcdef"
	upper = "0123456789ABCDEF"

	ones   = 0x0101010101010101
	highs  = 0x8080808080808080
	spaces = ones * ' '
)

// escaped is the ASCII characters that a JSON string cannot hold as they are.
var escaped = func() (t [utf8.RuneSelf]bool) {
	for c := range ' ' {
		t[c] = true
	}
	t['"'], t['\\'] = true, true
	return t
}()

// appendString appends text as a JSON string with the escapes of the server's escape_json (json.c), and reports whether
// it is all ASCII.
func appendString(dst, text []byte) (_ []byte, ascii bool) {
	dst = append(dst, '"')
	var seen uint64
	start, i := 0, 0
	for len(text)-i >= 8 {
		w := binary.LittleEndian.Uint64(text[i:])
		seen |= w
		m := special(w)
		if m == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(m) / 8
		dst = appendEscape(append(dst, text[start:i]...), text[i])
		i++
		start = i
	}
	if rest := len(text) - i; rest > 0 && len(text) >= 8 {
		w := binary.LittleEndian.Uint64(text[len(text)-8:])>>(64-8*rest) | spaces<<(8*rest)
		seen |= w
		if special(w) == 0 {
			i = len(text)
		}
	}
	for ; i < len(text); i++ {
		c := text[i]
		seen |= uint64(c)
		if c < utf8.RuneSelf && escaped[c] {
			dst = appendEscape(append(dst, text[start:i]...), c)
			start = i + 1
		}
	}
	dst = append(append(dst, text[start:]...), '"')
	return dst, seen&highs == 0
}

// special marks, by their high bits, the bytes of a word that need an escape. A borrow may mark bytes above a marked one,
// so only the lowest mark is exact.
func special(w uint64) uint64 {
	return ((w - spaces) | ((w ^ ones*'"') - ones) | ((w ^ ones*'\\') - ones)) & ^w & highs
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, `\b`...)
	case '\f':
		return append(dst, `\f`...)
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	}
	return append(dst, '\\', 'u', '0', '0', lower[c>>4], lower[c&15])
}

// appendQuoted appends a name as a JSON string.
func appendQuoted(dst []byte, s string) []byte {
	if !utf8.ValidString(s) {
		return appendHex(dst, []byte(s))
	}
	dst, _ = appendString(dst, []byte(s))
	return dst
}

// appendLSN appends a position as the server prints it, such as 0/16B3748.
func appendLSN(dst []byte, lsn pglogrepl.LSN) []byte {
	dst = appendHexUpper(dst, uint32(lsn>>32))
	return appendHexUpper(append(dst, '/'), uint32(lsn))
}

func appendHexUpper(dst []byte, v uint32) []byte {
	for shift := max(bits.Len32(v)-1, 0) / 4 * 4; shift >= 0; shift -= 4 {
		dst = append(dst, upper[v>>shift&15])
	}
	return dst
}
