package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A standbyList is the value of synchronous_standby_names. The zero value is the empty one: no commit waits.
type standbyList struct {
	any   bool // ANY n: whichever n of them; otherwise FIRST n: the first n of those that are connected
	n     int
	names []string
}

// parseStandbys reads what the server reads (syncrep_gram.y and syncrep_scanner.l of 14 to 18).
func parseStandbys(text string) (standbyList, error) {
	tokens, err := standbyTokens(text)
	if err != nil {
		return standbyList{}, fmt.Errorf("synchronous_standby_names %q: %w", text, err)
	}
	l := standbyList{n: 1}
	if len(tokens) == 0 {
		return standbyList{}, nil
	}
	rest := tokens
	if method := rest[0].keyword(); method != "" && len(rest) > 1 && rest[1].number() {
		l.any, rest = method == "any", rest[1:]
	}
	bracketed := len(rest) > 1 && rest[0].number() && rest[1].is("(")
	if bracketed {
		if l.n, err = strconv.Atoi(rest[0].text); err != nil || l.n == 0 || !rest[len(rest)-1].is(")") {
			return standbyList{}, fmt.Errorf("synchronous_standby_names %q is not a list", text)
		}
		rest = rest[2 : len(rest)-1]
	}
	for i, t := range rest {
		if i%2 == 1 && !t.is(",") || i%2 == 0 && (t.kind == punctuation || t.keyword() != "") {
			return standbyList{}, fmt.Errorf("synchronous_standby_names %q is not a list", text)
		}
		if i%2 == 0 {
			l.names = append(l.names, t.text)
		}
	}
	if len(rest)%2 == 0 || !bracketed && len(rest) < len(tokens) {
		return standbyList{}, fmt.Errorf("synchronous_standby_names %q is not a list", text)
	}
	return l, nil
}

// A standbyToken is a word of the list.
type standbyToken struct {
	kind standbyKind
	text string
}

type standbyKind int

const (
	word standbyKind = iota
	quoted
	digits
	punctuation
)

func (t standbyToken) is(mark string) bool { return t.kind == punctuation && t.text == mark }
func (t standbyToken) number() bool        { return t.kind == digits }

// keyword is "any" or "first"; those two are no names unless quoted.
func (t standbyToken) keyword() string {
	if k := foldName(t.text); t.kind == word && (k == "any" || k == "first") {
		return k
	}
	return ""
}

func standbyTokens(text string) ([]standbyToken, error) {
	var tokens []standbyToken
	for {
		text = strings.TrimLeft(text, " \t\n\r\f\v")
		if text == "" {
			return tokens, nil
		}
		var t standbyToken
		switch c := text[0]; {
		case c == '"':
			name, rest, ok := unquoteStandby(text)
			if !ok {
				return nil, errors.New("a quote does not end")
			}
			tokens, text = append(tokens, standbyToken{quoted, name}), rest
			continue
		case isWordStart(c):
			t = standbyToken{word, leading(text, func(c byte) bool { return isWordStart(c) || isDigit(c) || c == '$' })}
		case isDigit(c):
			t = standbyToken{digits, leading(text, isDigit)}
		case c == '*':
			t = standbyToken{word, "*"}
		case c == ',', c == '(', c == ')':
			t = standbyToken{punctuation, text[:1]}
		default:
			return nil, fmt.Errorf("character %q", c)
		}
		tokens, text = append(tokens, t), text[len(t.text):]
	}
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isWordStart(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || c >= 0x80
}

// leading is the longest start of text that fits.
func leading(text string, fits func(byte) bool) string {
	n := 0
	for n < len(text) && fits(text[n]) {
		n++
	}
	return text[:n]
}

// unquoteStandby reads a name in quotes, where two quotes mean one.
func unquoteStandby(text string) (name, rest string, ok bool) {
	text = text[1:]
	for {
		part, after, ok := strings.Cut(text, `"`)
		name += part
		if !ok {
			return "", "", false
		}
		if !strings.HasPrefix(after, `"`) {
			return name, after, true
		}
		name, text = name+`"`, after[1:]
	}
}

// String is the list as the server reads it, every name quoted.
func (l standbyList) String() string {
	if len(l.names) == 0 {
		return ""
	}
	var names []string
	for _, name := range l.names {
		names = append(names, `"`+strings.ReplaceAll(name, `"`, `""`)+`"`)
	}
	method := "FIRST"
	if l.any {
		method = "ANY"
	}
	return fmt.Sprintf("%s %d (%s)", method, l.n, strings.Join(names, ", "))
}

// has reports whether the list names a standby, "*" aside. The server compares without case (pg_strcasecmp).
func (l standbyList) has(name string) bool { return slices.ContainsFunc(l.names, sameName(name)) }

func sameName(name string) func(string) bool {
	return func(other string) bool { return foldName(other) == foldName(name) }
}

// foldName folds ASCII as pg_strcasecmp does. What else that folds depends on the server's locale, and no name of ours
// has it.
func foldName(name string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, name)
}

// wildcard reports whether every standby is meant; quotes do not change what "*" means (SyncRepGetStandbyPriority in
// syncrep.c).
func (l standbyList) wildcard() bool { return slices.Contains(l.names, "*") }

// allAnswer reports whether a commit waits for every name of the list. With fewer, or with ANY, others answer in the
// place of one that is away.
func (l standbyList) allAnswer() bool { return !l.wildcard() && l.n >= len(l.names) }

// unfit says why nobody can be added for whom every commit waits, or "".
func (l standbyList) unfit() string {
	switch {
	case l.wildcard():
		return "it holds *: any standby answers in our place"
	case l.any:
		return fmt.Sprintf("it is ANY %d: others answer in our place", l.n)
	}
	return ""
}

// with adds a name, and lets every commit wait for every name of the list.
func (l standbyList) with(name string) (standbyList, error) {
	if why := l.unfit(); why != "" {
		return l, fmt.Errorf("synchronous_standby_names cannot say that every commit waits for %s: %s", name, why)
	}
	if l.names = slices.Clone(l.names); !l.has(name) {
		l.names = append(l.names, name)
	}
	l.n = len(l.names)
	return l, nil
}

// without takes a name out. The others stay, and no commit waits for more of them than before.
func (l standbyList) without(name string) standbyList {
	var names []string
	n := l.n
	for i, other := range l.names {
		switch {
		case !sameName(name)(other):
			names = append(names, other)
		case i < l.n && !l.any:
			n--
		}
	}
	if len(names) == 0 {
		return standbyList{}
	}
	l.names, l.n = names, min(max(n, 1), len(names))
	return l
}
