package decode

import (
	"context"
	"encoding/base64"
	"unicode/utf8"
)

// stars is what stands for hidden characters, whatever their number.
const stars = "****"

// appendMasked appends what stands for a value of a masked column. The text is that of the type's output function, which
// the mask takes as a whole, also of an array, a document or a composite.
func (d *Decoder) appendMasked(ctx context.Context, dst []byte, kind MaskKind, text []byte) ([]byte, error) {
	switch kind {
	case MaskNull:
		return append(dst, "null"...), nil
	case MaskHash, MaskLast4:
		utf, ok, err := d.source.toUTF8(ctx, text)
		if err != nil {
			return dst, err
		}
		switch {
		case kind == MaskHash && ok:
			return d.appendHash(dst, utf), nil
		case kind == MaskHash:
			return d.appendHash(dst, text), nil
		case ok:
			return appendLast4(dst, utf), nil
		}
		return append(dst, `"`+stars+`"`...), nil
	}
	return append(dst, `"redacted"`...), nil
}

// hashWeight is the size of a hash in a record: "hmac-sha256:0123456789ab:" and 43 characters.
const hashWeight = 70

func (d *Decoder) appendHash(dst, text []byte) []byte {
	d.hash.Reset()
	d.hash.Write(text)
	d.sum = d.hash.Sum(d.sum[:0])
	dst = append(append(dst, `"hmac-sha256:`...), d.source.Masks.keyID...)
	dst = base64.RawURLEncoding.AppendEncode(append(dst, ':'), d.sum)
	return append(dst, '"')
}

// appendLast4 shows four characters where as many more stay hidden. The text is valid UTF-8.
func appendLast4(dst, text []byte) []byte {
	at := len(text)
	for range 4 {
		_, size := utf8.DecodeLastRune(text[:at])
		at -= size
	}
	if utf8.RuneCount(text[:at]) < 4 {
		return append(dst, `"`+stars+`"`...)
	}
	open := len(dst)
	dst, _ = appendString(append(dst, stars...), text[at:])
	copy(dst[open:], `"`+stars) // before the quote that appendString has written
	return dst
}
