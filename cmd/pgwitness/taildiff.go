package main

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// addDifference adds what an update made of a column: of a JSON document the members that differ, by their paths, of a
// long text the part that differs, of anything else the whole.
func (l *line) addDifference(column, before, after string) {
	if was, now, ok := documents(before, after); ok {
		shown := len(l.parts)
		differences(column, was, now, l.addChange)
		if len(l.parts) > shown {
			return
		}
	} // what is the same document may be another json: white space, the order of names
	before, after = differingParts(before, after)
	l.addChange(column, before, after)
}

// addChange adds one value that became another; "" is one that was not there.
func (l *line) addChange(path, before, after string) {
	l.add(plain, "  "+path+" ")
	switch {
	case before == "":
		l.add(green, "+ "+after)
	case after == "":
		l.add(red, "- "+before)
	default:
		l.add(red, before)
		l.add(dim, " → ")
		l.add(green, after)
	}
}

// documents reads two values if both are objects, or both arrays. A text that looks like one is not: it is in quotes.
func documents(before, after string) (was, now any, ok bool) {
	if before == "" || after == "" || before[0] != after[0] || before[0] != '{' && before[0] != '[' {
		return nil, nil, false
	}
	was, ok1 := document(before)
	now, ok2 := document(after)
	return was, now, ok1 && ok2
}

// document keeps numbers digit for digit.
func document(text string) (value any, ok bool) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	return value, d.Decode(&value) == nil
}

// differences visits what differs, in the order of names and indexes.
func differences(path string, was, now any, visit func(path, before, after string)) {
	switch was := was.(type) {
	case map[string]any:
		if now, ok := now.(map[string]any); ok {
			differentMembers(path, was, now, visit)
			return
		}
	case []any:
		if now, ok := now.([]any); ok {
			differentElements(path, was, now, visit)
			return
		}
	}
	if !reflect.DeepEqual(was, now) {
		before, after := differingParts(compact(was), compact(now))
		visit(path, before, after)
	}
}

func differentMembers(path string, was, now map[string]any, visit func(path, before, after string)) {
	names := map[string]bool{}
	for name := range was {
		names[name] = true
	}
	for name := range now {
		names[name] = true
	}
	for _, name := range sortedKeys(names) {
		before, had := was[name]
		after, has := now[name]
		member := path + "." + displayPart(name)
		switch {
		case had && has:
			differences(member, before, after, visit)
		case had:
			visit(member, compact(before), "")
		default:
			visit(member, "", compact(after))
		}
	}
}

// differentElements leaves out what both begin and end with, so that an element that is put in between is one difference.
func differentElements(path string, was, now []any, visit func(path, before, after string)) {
	first := 0
	for first < min(len(was), len(now)) && reflect.DeepEqual(was[first], now[first]) {
		first++
	}
	end := 0
	for end < min(len(was), len(now))-first && reflect.DeepEqual(was[len(was)-1-end], now[len(now)-1-end]) {
		end++
	}
	was, now = was[first:len(was)-end], now[first:len(now)-end]
	for i := range max(len(was), len(now)) {
		element := path + "[" + strconv.Itoa(first+i) + "]"
		switch {
		case i < len(was) && i < len(now):
			differences(element, was[i], now[i], visit)
		case i < len(was):
			visit(element, compact(was[i]), "")
		default:
			visit(element, "", compact(now[i]))
		}
	}
}

func sortedKeys(names map[string]bool) []string {
	var list []string
	for name := range names {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

// compact writes a value that came from JSON.
func compact(value any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(value) != nil {
		return "?"
	}
	return strings.TrimSuffix(b.String(), "\n")
}

const (
	longText = 40 // characters of a text that is shown whole
	around   = 8  // characters around the part that differs
)

// differingParts shortens two long texts, in JSON, to where they differ.
func differingParts(before, after string) (string, string) {
	var was, now string
	if json.Unmarshal([]byte(before), &was) != nil || json.Unmarshal([]byte(after), &now) != nil || before == "null" || after == "null" {
		return before, after
	}
	a, b := []rune(was), []rune(now)
	if max(len(a), len(b)) <= longText {
		return before, after
	}
	first := 0
	for first < min(len(a), len(b)) && a[first] == b[first] {
		first++
	}
	end := 0
	for end < min(len(a), len(b))-first && a[len(a)-1-end] == b[len(b)-1-end] {
		end++
	}
	first, end = max(first-around, 0), max(end-around, 0)
	part := func(text []rune) string {
		quoted := compact(string(text[first : len(text)-end]))
		if first > 0 {
			quoted = `"…` + quoted[1:]
		}
		if end > 0 {
			quoted = quoted[:len(quoted)-1] + `…"`
		}
		return quoted
	}
	return part(a), part(b)
}
