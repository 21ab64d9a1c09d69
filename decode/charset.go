package decode

import (
	"context"
	"unicode/utf8"
)

// A Charset converts text from the database's encoding.
type Charset interface {
	// ToUTF8 returns the text in UTF-8, valid until the next call, or ok = false when a character has no counterpart
	// there or the bytes are no text of the encoding. It is only asked for text with bytes above 0x7F, and may block on
	// the network; text is borrowed.
	ToUTF8(ctx context.Context, text []byte) (utf []byte, ok bool, err error)
}

// toUTF8 converts text of the stream. Without a Charset it has to be UTF-8 already: that of a UTF8 database is, and in
// SQL_ASCII, which is no encoding, much of it happens to be.
func (s *Source) toUTF8(ctx context.Context, text []byte) (utf []byte, ok bool, err error) {
	if s.Charset == nil {
		return text, utf8.Valid(text), nil
	}
	for _, c := range text {
		if c >= utf8.RuneSelf {
			return s.toUTF8Slow(ctx, text)
		}
	}
	return text, true, nil
}

func (s *Source) toUTF8Slow(ctx context.Context, text []byte) ([]byte, bool, error) {
	utf, ok, err := s.Charset.ToUTF8(ctx, text)
	if err != nil || !ok {
		return nil, false, err
	}
	return utf, utf8.Valid(utf), nil
}

func (s *Source) charset() string {
	if s.Encoding == "" {
		return "UTF8"
	}
	return s.Encoding
}

// name converts the name of a schema, table, column or origin.
func (d *Decoder) name(ctx context.Context, raw []byte) (string, error) {
	return d.source.Name(ctx, raw)
}

// Name shows a name that is in the stream's encoding. One that is no text is shown as \x and its hex digits.
func (s *Source) Name(ctx context.Context, raw []byte) (string, error) {
	utf, ok, err := s.toUTF8(ctx, raw)
	if err != nil {
		return "", err
	}
	if !ok {
		hex := appendHex(nil, raw)
		return string(hex[2 : len(hex)-1]), nil // without the quotes and the backslash's escape
	}
	return string(utf), nil
}
