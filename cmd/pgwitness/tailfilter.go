package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A tailFilter says which records tail shows. The zero value is all of them.
type tailFilter struct {
	tables []tablePattern
	keys   []field // all of them; a field without a name is the value of any column
	actors [][]glyph
	ops    []string
	since  time.Time // of commits; zero: no bound
	until  time.Time
}

// filter reads the flags. now is what durations count back from.
func (f tailFlags) filter(now time.Time) (tailFilter, error) {
	var t tailFilter
	var err error
	if f.table != "" {
		if t.tables, err = parseTablePatterns(f.table); err != nil {
			return t, usagef("--table: %w", err)
		}
	}
	for _, part := range splitList(f.key) {
		name, value, named := strings.Cut(part, "=")
		if !named {
			name, value = "", part
		}
		t.keys = append(t.keys, field{name, value})
	}
	for _, pattern := range splitList(f.actor) {
		t.actors = append(t.actors, wildcards(pattern))
	}
	t.ops = splitList(f.op)
	for _, bound := range []struct {
		flag, text string
		to         *time.Time
	}{{"--since", f.since, &t.since}, {"--until", f.until, &t.until}} {
		if bound.text == "" {
			continue
		}
		if *bound.to, err = parseMoment(bound.text, now); err != nil {
			return t, usagef("%s: %w", bound.flag, err)
		}
	}
	if !t.since.IsZero() && !t.until.IsZero() && !t.since.Before(t.until) {
		return t, usagef("--since %s is not before --until %s", f.since, f.until)
	}
	return t, nil
}

// parseMoment reads a time, or a duration before now.
func parseMoment(text string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil {
		return now.Add(-d.Abs()), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02"} {
		if t, err := time.Parse(layout, text); err == nil { // without a zone: UTC, as tail shows it
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not allowed; allowed: a duration before now such as 90m, or a time such as 2026-11-25T08:35 (UTC) or 2026-11-25T09:35:00+01:00", text)
}

// wildcards reads a pattern in which * stands for any characters and ? for one.
func wildcards(text string) []glyph {
	var pattern []glyph
	for _, r := range text {
		switch r {
		case '*':
			pattern = append(pattern, glyph{kind: anyMany})
		case '?':
			pattern = append(pattern, glyph{kind: anyOne})
		default:
			pattern = append(pattern, glyph{literal, r})
		}
	}
	return pattern
}

// through shows what the filter lets through.
func (t *tailFilter) through(show func(tailRecord) error) func(tailRecord) error {
	return func(r tailRecord) error {
		if !t.lets(r) {
			return nil
		}
		return show(r)
	}
}

func (t *tailFilter) lets(r tailRecord) bool {
	if !t.since.IsZero() && r.millis < t.since.UnixMilli() || !t.until.IsZero() && r.millis >= t.until.UnixMilli() {
		return false
	}
	if t.tables == nil && t.keys == nil && t.actors == nil && t.ops == nil {
		return true
	}
	var s shownRecord
	if json.Unmarshal(r.value, &s) != nil {
		return false
	}
	return (t.ops == nil || slices.Contains(t.ops, s.Op)) && t.letsTable(s) && t.letsKey(s) && t.letsActor(s.Actor)
}

func (t *tailFilter) letsTable(s shownRecord) bool {
	return t.tables == nil || slices.ContainsFunc(t.tables, func(p tablePattern) bool { return p.matches(s.Schema, s.Table) })
}

// letsKey looks for the key that a row had, or has now.
func (t *tailFilter) letsKey(s shownRecord) bool {
	if t.keys == nil {
		return true
	}
	had := fields(s.Key)
	has := slices.DeleteFunc(fields(s.After), func(f field) bool { return !slices.ContainsFunc(had, func(k field) bool { return k.name == f.name }) })
	return holds(had, t.keys) || holds(has, t.keys)
}

// holds reports whether each wanted value is there. A text is wanted without its quotes.
func holds(key, wanted []field) bool {
	for _, w := range wanted {
		if !slices.ContainsFunc(key, func(k field) bool {
			text := k.value
			if json.Unmarshal([]byte(k.value), &text) != nil {
				text = k.value
			}
			return (w.name == "" || w.name == k.name) && (w.value == text || w.value == k.value)
		}) {
			return false
		}
	}
	return true
}

// letsActor looks at the session's user and at the application's word for whom it acts.
func (t *tailFilter) letsActor(a shownActor) bool {
	if t.actors == nil {
		return true
	}
	names := []string{a.User}
	var word string
	if json.Unmarshal([]byte(valueOf(fields(a.Context), "user_id")), &word) == nil {
		names = append(names, word)
	}
	return slices.ContainsFunc(t.actors, func(pattern []glyph) bool {
		return slices.ContainsFunc(names, func(name string) bool { return name != "" && matchGlyphs(pattern, []rune(name)) })
	})
}
