package main

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// A tablePattern selects tables by name: schema.table, where * stands for any characters and ? for one. As in SQL,
// letters outside quotes are folded to lower case; inside quotes everything is literal.
type tablePattern struct {
	text   string // as written
	schema []glyph
	table  []glyph
}

// A glyph is one position of a pattern: a character, any one character, or any characters.
type glyph struct {
	kind glyphKind
	char rune
}

type glyphKind int

const (
	literal glyphKind = iota
	anyOne
	anyMany
)

// parseTablePatterns reads a list of patterns, separated by commas.
func parseTablePatterns(text string) ([]tablePattern, error) {
	var patterns []tablePattern
	rest := text
	for {
		p, tail, err := parseTablePattern(rest)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", text, err)
		}
		patterns = append(patterns, p)
		if tail == "" {
			return patterns, nil
		}
		rest = tail[1:]
	}
}

// parseTablePattern reads one pattern up to a comma outside quotes, which it leaves in the tail.
func parseTablePattern(text string) (p tablePattern, tail string, err error) {
	body := strings.TrimLeft(text, " \t\n")
	schema, rest, err := parsePart(body)
	if err != nil {
		return p, "", err
	}
	if !strings.HasPrefix(rest, ".") {
		return p, "", fmt.Errorf("a schema and a table are wanted, as in public.orders or billing.*")
	}
	table, rest, err := parsePart(rest[1:])
	if err != nil {
		return p, "", err
	}
	tail = strings.TrimLeft(rest, " \t\n")
	if tail != "" && tail[0] != ',' {
		return p, "", fmt.Errorf("unexpected %q; names with special characters are quoted, as in \"my schema\".\"t.1\"", printable(tail))
	}
	if len(schema) == 0 || len(table) == 0 {
		return p, "", fmt.Errorf("an empty name")
	}
	return tablePattern{strings.TrimSpace(body[:len(body)-len(rest)]), schema, table}, tail, nil
}

// parsePart reads a name up to a dot, a comma or a space outside quotes.
func parsePart(text string) (part []glyph, rest string, err error) {
	quoted := false
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case quoted && strings.HasPrefix(text[i:], `""`):
			part = append(part, glyph{literal, '"'})
			size = 2
		case r == '"':
			quoted = !quoted
		case quoted:
			part = append(part, glyph{literal, r})
		case r == '*':
			part = append(part, glyph{kind: anyMany})
		case r == '?':
			part = append(part, glyph{kind: anyOne})
		case strings.ContainsRune("., \t\n", r):
			return part, text[i:], nil
		case 'A' <= r && r <= 'Z':
			part = append(part, glyph{literal, r + 'a' - 'A'})
		default:
			part = append(part, glyph{literal, r})
		}
		i += size
	}
	if quoted {
		return nil, "", fmt.Errorf("a quote is not closed")
	}
	return part, "", nil
}

// matches reports whether the pattern selects the table.
func (p tablePattern) matches(schema, table string) bool {
	return matchGlyphs(p.schema, []rune(schema)) && matchGlyphs(p.table, []rune(table))
}

// exact reports whether the pattern names one table.
func (p tablePattern) exact() bool {
	for _, g := range append(append([]glyph(nil), p.schema...), p.table...) {
		if g.kind != literal {
			return false
		}
	}
	return true
}

// matchGlyphs goes back to the last * when it is stuck, and no further: that is enough, since what a later * covers
// an earlier one need not.
func matchGlyphs(pattern []glyph, name []rune) bool {
	p, n, star, mark := 0, 0, -1, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p].kind == anyMany:
			star, mark = p, n
			p++
		case p < len(pattern) && (pattern[p].kind == anyOne || pattern[p].char == name[n]):
			p++
			n++
		case star >= 0:
			mark++
			p, n = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p].kind == anyMany {
		p++
	}
	return p == len(pattern)
}
