package capture

import (
	"bytes"
	"context"
	"errors"
	"testing"
)

func TestCharacterLength(t *testing.T) {
	for encoding, want := range map[string][3]int{ // of characters that begin with 8E, 8F and B0
		"LATIN1": {1, 1, 1}, "WIN1252": {1, 1, 1}, "KOI8R": {1, 1, 1}, "ISO_8859_5": {1, 1, 1},
		"EUC_JP": {2, 3, 2}, "EUC_JIS_2004": {2, 3, 2}, "EUC_KR": {2, 3, 2}, "EUC_CN": {2, 2, 2}, "EUC_TW": {4, 3, 2},
	} {
		length := characterLength(encoding)
		if got := [3]int{length(0x8e), length(0x8f), length(0xb0)}; got != want {
			t.Errorf("%s: %v, want %v", encoding, got, want)
		}
	}
}

// tables is an encoding like EUC with three characters; it counts its answers.
func tables(asked *int) *charset {
	characters := map[string]string{"\xb0\xa1": "亜", "\x8e\xb1": "ｱ", "\x8f\xb0\xa1": "丂"}
	return &charset{encoding: "EUC_JP", length: characterLength("EUC_JP"), known: map[string]string{},
		convert: func(ctx context.Context, _ string, ask [][]byte) ([][]byte, bool, error) {
			*asked++
			var utf [][]byte
			for _, character := range ask {
				if characters[string(character)] == "" {
					return nil, false, ctx.Err()
				}
				utf = append(utf, []byte(characters[string(character)]))
			}
			return utf, true, ctx.Err()
		}}
}

func TestToUTF8(t *testing.T) {
	asked := 0
	c := tables(&asked)
	for _, test := range []struct {
		text, want string
		ok         bool
		asked      int // so far
	}{
		{"a\xb0\xa1b\x8e\xb1\x8f\xb0\xa1\xb0\xa1", "a亜bｱ丂亜", true, 1},
		{"\xb0\xa1\x8e\xb1", "亜ｱ", true, 1},
		{"plain", "plain", true, 1},
		{"\xb0", "", false, 1},                                // cut off
		{"a\xfe\xfe\xfe\xfdb", "", false, 4},                  // asked together, then each
		{"\xfe\xfe", "", false, 4},                            // remembered
		{"\xb0\xa1\xfe\xfb", "", false, 5},                    // one new
		{"\x8f\xb0\xa1\xb0\xa1", "丂亜", true, 5},               // still known
		{"a\x8e\xb1" + "\xb0\xa1\xb0\xa1z", "aｱ亜亜z", true, 5}, // and more than once
	} {
		got, ok, err := c.ToUTF8(t.Context(), []byte(test.text))
		if string(got) != test.want || ok != test.ok || err != nil || asked != test.asked {
			t.Errorf("%q: %q, %v, %v after %d questions; want %q, %v after %d",
				test.text, got, ok, err, asked, test.want, test.ok, test.asked)
		}
	}
}

func TestToUTF8ForgetsWhatItCouldNotAsk(t *testing.T) {
	asked := 0
	c := tables(&asked)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := c.ToUTF8(gone, []byte("\xb0\xa1")); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	got, ok, err := c.ToUTF8(t.Context(), []byte("\xb0\xa1"))
	if !ok || err != nil || !bytes.Equal(got, []byte("亜")) {
		t.Errorf("%q, %v, %v", got, ok, err)
	}
}

func TestEncodingsThatNeedNoCharset(t *testing.T) {
	for _, encoding := range []string{"UTF8", "SQL_ASCII"} {
		if newCharset(encoding, nil) != nil {
			t.Errorf("%s has a charset", encoding)
		}
	}
	if c := newCharset("LATIN1", &catalogue{}); c == nil {
		t.Error("LATIN1 has none")
	}
}
