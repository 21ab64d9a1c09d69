package rebuild

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// A Row is a row as row_to_json prints it, its members' bytes as they stand.
type Row []Member

// A Member is a column of a row.
type Member struct {
	Name  string
	Value string // JSON, with the white space that a json column has around it
}

// ParseRow takes an image apart. Members may repeat a name, as row_to_json does where a table's columns do not.
func ParseRow(text string) (Row, error) {
	if len(text) < 2 || text[0] != '{' || text[len(text)-1] != '}' {
		return nil, fmt.Errorf("not an object: %.100s", text)
	}
	var row Row
	for rest := text[1 : len(text)-1]; len(rest) > 0; {
		label := valueEnd(rest, ':')
		if label == len(rest) {
			return nil, fmt.Errorf("a member without a value: %.100s", rest)
		}
		var m Member
		if err := json.Unmarshal([]byte(rest[:label]), &m.Name); err != nil {
			return nil, err
		}
		rest = rest[label+1:]
		end := valueEnd(rest, ',')
		m.Value = rest[:end]
		row = append(row, m)
		if end == len(rest) {
			break
		}
		rest = rest[end+1:]
	}
	return row, nil
}

// valueEnd is where the value at the start of text ends: at the first such byte outside strings and brackets.
func valueEnd(text string, stop byte) int {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		case c == stop && depth == 0:
			return i
		}
	}
	return len(text)
}

// String is the row's JSON as row_to_json prints it.
func (r Row) String() string {
	var b strings.Builder
	b.WriteByte('{')
	for i, m := range r {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(quote(m.Name))
		b.WriteByte(':')
		b.WriteString(m.Value)
	}
	b.WriteByte('}')
	return b.String()
}

// quote escapes as escape_json does (json.c).
func quote(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c == '\b':
			b.WriteString(`\b`)
		case c == '\f':
			b.WriteString(`\f`)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\t':
			b.WriteString(`\t`)
		case c < ' ':
			fmt.Fprintf(&b, `\u%04x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func (r Row) index(name string) int {
	return slices.IndexFunc(r, func(m Member) bool { return m.Name == name })
}

// Has reports whether the row has a member of that name.
func (r Row) Has(name string) bool { return r.index(name) >= 0 }

// Get returns the value of a member.
func (r Row) Get(name string) (string, bool) {
	if i := r.index(name); i >= 0 {
		return r[i].Value, true
	}
	return "", false
}

// Without returns the row without some of its members.
func (r Row) Without(names []string) Row {
	return slices.DeleteFunc(slices.Clone(r), func(m Member) bool { return slices.Contains(names, m.Name) })
}

// agrees reports whether every member of the other row stands in this one with the same bytes.
func (r Row) agrees(other Row) bool {
	for _, m := range other {
		if value, ok := r.Get(m.Name); !ok || value != m.Value {
			return false
		}
	}
	return true
}

// overlay returns the row after an update whose new image knows only some of its members.
func (r Row) overlay(after Row) Row {
	next := slices.Clone(r)
	for _, m := range after {
		if i := next.index(m.Name); i >= 0 {
			next[i].Value = m.Value
		} else {
			next = append(next, m)
		}
	}
	return next
}
