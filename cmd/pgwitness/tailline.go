package main

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// A line is text in styles, made safe for a terminal as it is added.
type line struct {
	parts []linePart
}

type linePart struct {
	style style
	text  string
}

// A style is an SGR parameter of ECMA-48.
type style string

const (
	plain  style = ""
	bold   style = "1"
	dim    style = "2"
	red    style = "31"
	green  style = "32"
	yellow style = "33"
	cyan   style = "36"
)

func (l *line) add(s style, text string) {
	l.parts = append(l.parts, linePart{s, printable(text)})
}

// widest is what one value may take of a line that is cut: a long one leaves room for the others.
func widest(columns int) int { return max(12, columns/3) }

// fit cuts the line to a terminal's width: first values that are long, then the line. 0 cuts nothing.
func (l line) fit(columns int) line {
	if columns == 0 {
		return l
	}
	if columns < narrow {
		l = l.withoutDate()
	}
	if l.columns() > columns {
		short := line{}
		for _, p := range l.parts {
			if p.style != dim { // the time stays whole
				p.text = cut(p.text, widest(columns))
			}
			short.parts = append(short.parts, p)
		}
		l = short
	}
	left := columns
	for i, p := range l.parts {
		n := columnsOf(p.text)
		if n > left {
			return line{append(l.parts[:i:i], linePart{p.style, cut(p.text, left)})}
		}
		left -= n
	}
	return l
}

// narrow is a terminal that has better things to show than the date.
const narrow = 60

// withoutDate leaves the time of day of a line that begins with a moment, 2026-11-22T19:34:32.248Z.
func (l line) withoutDate() line {
	if len(l.parts) == 0 || l.parts[0].style != dim || len(l.parts[0].text) != len("2026-11-22T19:34:32.248Z") {
		return l
	}
	return line{append([]linePart{{dim, l.parts[0].text[11:19]}}, l.parts[1:]...)}
}

func (l line) columns() int {
	n := 0
	for _, p := range l.parts {
		n += columnsOf(p.text)
	}
	return n
}

// text is the line with or without escape sequences.
func (l line) text(colour bool) string {
	var b strings.Builder
	for _, p := range l.parts {
		if colour && p.style != plain {
			b.WriteString("\x1b[" + string(p.style) + "m" + p.text + "\x1b[0m")
		} else {
			b.WriteString(p.text)
		}
	}
	return b.String()
}

// cut shortens text to a number of columns and marks that with an ellipsis.
func cut(text string, columns int) string {
	if columnsOf(text) <= columns {
		return text
	}
	n := 0
	for i, r := range text {
		if n += columnsOfRune(r); n > columns-1 {
			if columns < 1 {
				return ""
			}
			return text[:i] + "…"
		}
	}
	return text
}

func columnsOf(text string) int {
	if len(text) == utf8.RuneCountInString(text) {
		return len(text)
	}
	n := 0
	for _, r := range text {
		n += columnsOfRune(r)
	}
	return n
}

// columnsOfRune: marks that combine take none, East Asian wide characters two (UAX #11).
func columnsOfRune(r rune) int {
	if unicode.Is(unicode.Mn, r) || unicode.Is(unicode.Me, r) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}
