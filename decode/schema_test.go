package decode_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgwitness/decode"
)

// TestRecordsSatisfySchema holds every record of the recorded streams, whole and trimmed, against the schema that
// subscribers code against. Here it is closed: a field that it does not name is an error.
func TestRecordsSatisfySchema(t *testing.T) {
	s := readSchema(t)
	for _, version := range versions {
		d := decode.NewDecoder(origin, readCatalogue(t, fmt.Sprintf("catalogue-%d", version)))
		for _, m := range readStream(t, fmt.Sprintf("stream-%d", version)) {
			if _, err := d.Decode(t.Context(), m, func(r *decode.Record) error {
				for _, value := range [][]byte{r.Value, r.NewValue} {
					if value != nil {
						s.holds(t, value)
						s.holds(t, r.AppendTrimmed(nil, value))
					}
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
	refuted := []string{
		`{}`, `{"id":"1.1.1-0000000000000001-1","op":"insert"}`, `[]`,
		`{"id":"1.1.1-0000000000000001-1","op":"delete","schema":"a","table":"b","identity":"full","key":null,"after":{},"before":{},"actor":{"evidence":"none"},"tx":{"ordinal":1,"commit_lsn":"0/1"},"source":{"system":"1","timeline":1,"database":"a","slot":"b"}}`,
	}
	for _, member := range []string{`"evidence":"guess"`, `"pid":0`, `"pid":"4711"`, `"session_start":"2026-11-22"`, `"committer":{"name":"x"}`, `"conflict":1`, `"context":[]`, `"words":{}`} {
		refuted = append(refuted, attributedRecord(t, member))
	}
	for _, text := range refuted {
		if s.fault(t, []byte(text)) == "" {
			t.Errorf("the schema takes %s", text)
		}
	}
	s.holds(t, []byte(attributedRecord(t, `"pid":4711`)))
}

// attributedRecord gives a record with another member of its actor.
func attributedRecord(t *testing.T, member string) string {
	t.Helper()
	messages := []decode.Message{{Data: begin(0x1000), Actor: held}, {Data: logical(1, 1, "a", "")}, {Data: commit(0x1000)}}
	record := string(decodeAll(t, decode.NewDecoder(origin, &catalogue{}), messages)[0].Value)
	return strings.Replace(record, `},"tx":{`, `,`+member+`},"tx":{`, 1)
}

// A schema checks values by the keywords that ours uses. Another keyword is a panic: then it has to learn it.
type schema struct{ root map[string]any }

func readSchema(t *testing.T) *schema {
	t.Helper()
	text, err := os.ReadFile("../docs/record.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	s := new(schema)
	if err := json.Unmarshal(text, &s.root); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *schema) holds(t *testing.T, value []byte) {
	t.Helper()
	if fault := s.fault(t, value); fault != "" {
		t.Errorf("%s: %.500s", fault, value)
	}
}

// fault returns what is wrong with a record, "" if nothing is.
func (s *schema) fault(t *testing.T, value []byte) string {
	t.Helper()
	var v any
	dec := json.NewDecoder(bytes.NewReader(value))
	dec.UseNumber() // jsonb may hold numbers beyond float64
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%v: %s", err, value)
	}
	return s.check(s.root, v, "")
}

// check returns the first fault of v, "" without one.
func (s *schema) check(by any, v any, path string) string {
	if by == false {
		return path + " must be absent"
	}
	rules := by.(map[string]any)
	for keyword, rule := range rules {
		if fault := s.keyword(keyword, rule, v, path); fault != "" {
			return fault
		}
	}
	return ""
}

func (s *schema) keyword(keyword string, rule, v any, path string) string {
	switch keyword {
	case "$schema", "title", "description", "$defs":
	case "$ref":
		return s.check(s.root["$defs"].(map[string]any)[strings.TrimPrefix(rule.(string), "#/$defs/")], v, path)
	case "type":
		if !slices.ContainsFunc(listOf(rule), func(name any) bool { return isType(name.(string), v) }) {
			return fmt.Sprintf("%s is no %v", path, rule)
		}
	case "enum":
		if !slices.Contains(rule.([]any), v) {
			return fmt.Sprintf("%s is %v", path, v)
		}
	case "const":
		if rule != v {
			return fmt.Sprintf("%s is %v, not %v", path, v, rule)
		}
	case "pattern":
		if text, ok := v.(string); ok && !regexp.MustCompile(rule.(string)).MatchString(text) {
			return fmt.Sprintf("%s is %q", path, text)
		}
	case "minimum":
		if n, ok := v.(json.Number); ok {
			if f, err := n.Float64(); err != nil || f < rule.(float64) {
				return fmt.Sprintf("%s is %v", path, n)
			}
		}
	case "items":
		for i, item := range v.([]any) {
			if fault := s.check(rule, item, fmt.Sprintf("%s[%d]", path, i)); fault != "" {
				return fault
			}
		}
	case "uniqueItems":
		for i, item := range v.([]any) {
			if slices.Contains(v.([]any)[:i], item) {
				return path + " repeats " + fmt.Sprint(item)
			}
		}
	case "required":
		for _, name := range rule.([]any) {
			if object, ok := v.(map[string]any); ok {
				if _, ok := object[name.(string)]; !ok {
					return fmt.Sprintf("%s lacks %s", path, name)
				}
			}
		}
	case "additionalProperties": // ours have it without properties beside it
		object, _ := v.(map[string]any)
		for name, value := range object {
			if fault := s.check(rule, value, path+"."+name); fault != "" {
				return fault
			}
		}
	case "properties":
		return s.properties(rule.(map[string]any), v, path)
	case "oneOf", "anyOf":
		return s.some(rule.([]any), v, path, keyword == "oneOf")
	default:
		panic("keyword " + keyword)
	}
	return ""
}

func (s *schema) properties(rule map[string]any, v any, path string) string {
	object, ok := v.(map[string]any)
	if !ok {
		return ""
	}
	op, _ := rule["op"].(map[string]any)
	_, branch := op["const"] // a branch of oneOf names but some
	for name, value := range object {
		switch by, ok := rule[name]; {
		case ok:
			if fault := s.check(by, value, path+"."+name); fault != "" {
				return fault
			}
		case !branch:
			return path + "." + name + " is not in the schema"
		}
	}
	return ""
}

func (s *schema) some(rules []any, v any, path string, one bool) string {
	var faults []string
	for _, rule := range rules {
		if fault := s.check(rule, v, path); fault != "" {
			faults = append(faults, fault)
		}
	}
	if fits := len(rules) - len(faults); fits == 0 || one && fits > 1 {
		return fmt.Sprintf("%d of %d alternatives fit: %s", fits, len(rules), strings.Join(faults, "; "))
	}
	return ""
}

func listOf(rule any) []any {
	if list, ok := rule.([]any); ok {
		return list
	}
	return []any{rule}
}

func isType(name string, v any) bool {
	switch v := v.(type) {
	case nil:
		return name == "null"
	case bool:
		return name == "boolean"
	case string:
		return name == "string"
	case json.Number:
		return name == "number" || name == "integer" && !strings.ContainsAny(string(v), ".eE")
	case []any:
		return name == "array"
	}
	return name == "object"
}
