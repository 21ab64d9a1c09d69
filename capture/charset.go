package capture

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"pgwitness/decode"
)

// A charset converts from a database's encoding by the server's own tables. It asks once for each character that it
// has not seen; which characters a text holds follows from the lengths of the encoding's characters alone.
type charset struct {
	encoding string
	length   func(first byte) int // of a character that begins with a byte above 0x7F
	known    map[string]string    // a character in UTF-8, "" where it has none
	convert  func(ctx context.Context, encoding string, characters [][]byte) (utf [][]byte, ok bool, err error)

	out []byte
}

// maxKnown bounds the memory of a charset; no encoding has as many characters.
const maxKnown = 1 << 17

// newCharset returns nil for an encoding whose text needs no conversion, or whose bytes have no meaning.
func newCharset(encoding string, c *catalogue) decode.Charset {
	if encoding == "UTF8" || encoding == "SQL_ASCII" {
		return nil
	}
	return &charset{encoding: encoding, length: characterLength(encoding), known: map[string]string{}, convert: c.convert}
}

// characterLength follows pg_encoding_mblen (wchar.c). The encodings that are not named have one byte a character.
func characterLength(encoding string) func(byte) int {
	switch encoding {
	case "EUC_JP", "EUC_JIS_2004", "EUC_KR":
		return eucLength(2)
	case "EUC_TW":
		return eucLength(4)
	case "EUC_CN":
		return func(byte) int { return 2 }
	}
	return func(byte) int { return 1 }
}

// eucLength is for encodings with the single shifts SS2 and SS3.
func eucLength(ss2 int) func(byte) int {
	return func(first byte) int {
		switch first {
		case 0x8e:
			return ss2
		case 0x8f:
			return 3
		}
		return 2
	}
}

// ToUTF8 implements decode.Charset.
func (c *charset) ToUTF8(ctx context.Context, text []byte) ([]byte, bool, error) {
	if ok, err := c.learn(ctx, text); !ok || err != nil {
		return nil, false, err
	}
	c.out = c.out[:0]
	for len(text) > 0 {
		n := c.first(text)
		if n == 1 && text[0] < 0x80 {
			c.out = append(c.out, text[0])
		} else {
			utf := c.known[string(text[:n])]
			if utf == "" {
				return nil, false, nil
			}
			c.out = append(c.out, utf...)
		}
		text = text[n:]
	}
	return c.out, true, nil
}

// first is the length of the text's first character, more than the text where that is cut off.
func (c *charset) first(text []byte) int {
	if text[0] < 0x80 {
		return 1
	}
	return c.length(text[0])
}

// learn makes every character of the text known.
func (c *charset) learn(ctx context.Context, text []byte) (ok bool, err error) {
	var unknown [][]byte
	if len(c.known) > maxKnown {
		clear(c.known)
	}
	for len(text) > 0 {
		n := c.first(text)
		if n > len(text) {
			return false, nil
		}
		if text[0] >= 0x80 {
			if _, is := c.known[string(text[:n])]; !is {
				c.known[string(text[:n])] = ""
				unknown = append(unknown, text[:n])
			}
		}
		text = text[n:]
	}
	if len(unknown) == 0 {
		return true, nil
	}
	return true, c.ask(ctx, unknown)
}

// ask converts the characters in one query, or one by one where some of them cannot be.
func (c *charset) ask(ctx context.Context, characters [][]byte) error {
	utf, ok, err := c.convert(ctx, c.encoding, characters)
	switch {
	case err != nil:
		clear(c.known) // what learn has entered there is not true
		return err
	case ok:
		for i, character := range characters {
			c.known[string(character)] = string(utf[i])
		}
	case len(characters) > 1:
		half := len(characters) / 2
		if err := c.ask(ctx, characters[:half]); err != nil {
			return err
		}
		return c.ask(ctx, characters[half:])
	}
	return nil
}

// convert asks the server for each character's UTF-8; ok is false when one of them has none.
func (c *catalogue) convert(ctx context.Context, encoding string, characters [][]byte) (utf [][]byte, ok bool, err error) {
	err = c.lookup(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `select array_agg(convert(x, $2, 'UTF8') order by n)
			from unnest($1::bytea[]) with ordinality u(x, n)`, characters, encoding).Scan(&utf)
	})
	if pg, is := errors.AsType[*pgconn.PgError](err); is && (pg.Code == codeNotInEncoding || pg.Code == codeUntranslatable) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("convert text from %s: %w", encoding, err)
	}
	if len(utf) != len(characters) {
		return nil, false, fmt.Errorf("convert text from %s: %d answers for %d characters", encoding, len(utf), len(characters))
	}
	return utf, true, nil
}
