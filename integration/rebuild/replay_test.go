package rebuild

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestRowKeepsItsBytes(t *testing.T) {
	for _, text := range []string{
		`{}`, `{"a":1}`, `{"a":null,"b\n\"c\u0001":"x,\"y}"}`, `{"j": {"a" : [1 , "]"], "a":2} ,"k":[[1,2],{"x":"}"}]}`, `{"é":-0,"漢":1.10}`,
	} {
		row, err := ParseRow(text)
		if err != nil || row.String() != text {
			t.Errorf("%s: %s %v", text, row, err)
		}
	}
	for _, text := range []string{``, `[]`, `{"a"}`, `{a:1}`} {
		if row, err := ParseRow(text); err == nil {
			t.Errorf("%q is %v", text, row)
		}
	}
}

// stream makes records, one of each line, in the order of the lines.
func stream(t *testing.T, lines ...string) []Record {
	t.Helper()
	var records []Record
	for i, line := range lines {
		if !strings.Contains(line, `"identity"`) {
			line = `"identity":"full",` + line
		}
		r, err := ParseRecord([]byte(fmt.Sprintf(`{"id":"%d","schema":"s","table":"t",%s,"tx":{"ordinal":%d,"commit_lsn":"0/1"}}`, i, line, i)))
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, r)
	}
	return Sort(records)
}

func TestReplay(t *testing.T) {
	for _, c := range []struct {
		name   string
		by     Teller
		lines  []string
		want   string
		faults int
	}{
		{"full", ByWorkload, []string{`"op":"insert","after":{"a":1}`, `"op":"insert","after":{"a":1}`, `"op":"update","before":{"a":1},"after":{"a":2}`}, `{"a":1} {"a":2}`, 0},
		{"before is not the previous after", ByWorkload, []string{`"op":"insert","after":{"a":1}`, `"op":"update","before":{"a":1.0},"after":{"a":2}`, `"op":"delete","before":{"a":3}`}, `{"a":1}`, 2},
		{"truncate", ByWorkload, []string{`"op":"insert","after":{"a":1}`, `"op":"truncate"`, `"op":"insert","after":{"a":2}`}, `{"a":2}`, 0},
		{"by key", ByWorkload, []string{
			`"identity":"default","op":"insert","key":{"id":1},"after":{"id":1,"v":"long","n":1}`,
			`"identity":"default","op":"update","key":{"id":1},"before":{"id":1},"after":{"id":2,"n":3},"missing":["v","n"]`,
		}, `{"id":2,"v":"long","n":3}`, 0},
		{"by the new key", ByWorkload, []string{
			`"identity":"default","op":"insert","key":{"id":1},"after":{"id":1,"n":1}`,
			`"identity":"default","op":"update","key":{"id":2},"before":{"id":1},"after":{"id":2,"n":3},"missing":["n"]`,
			`"identity":"default","op":"delete","key":{"id":1},"before":{"id":1},"missing":["n"]`,
		}, `{"id":2,"n":3}`, 1},
		{"told by the workload", ByWorkload, []string{`"op":"insert","after":{"a":1,"b":2}`, tells(`{"do":"drop column","column":"a"}`), tells(`{"do":"add column","column":"c","value":[1, 2]}`), tells(`{"do":"rename column","column":"b","to":"d"}`)},
			`{"d":2,"c":[1, 2]}`, 0},
		{"told by the trail", ByTrail, []string{`"op":"insert","after":{"a":1,"b":2}`, tells(`{"do":"drop"}`),
			`"op":"baseline_broken","reason":"columns","columns":{"added":["c"],"dropped":["a"],"renamed":[{"was":"b","now":"d"}]}`}, `{"d":2,"c":null}`, 0},
		{"unknown", ByTrail, []string{`"op":"insert","after":{"a":1}`, `"op":"baseline_broken","reason":"rewrite"`, `"op":"update","before":{"a":7},"after":{"a":8}`}, `{"a":1} {"a":8}`, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			state, faults := Replay(stream(t, c.lines...), c.by)
			if len(faults) != c.faults {
				t.Errorf("faults: %v", faults)
			}
			if got := strings.ReplaceAll(state.tables[Name{"s", "t"}].String(), "\n", " "); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func tells(definition string) string {
	return fmt.Sprintf(`"op":"message","message":{"prefix":"ddl","content":%s}`, quote(`{"schema":"s","table":"t",`+definition[1:]))
}

func TestSort(t *testing.T) {
	records := stream(t, `"op":"insert"`, `"op":"delete"`)
	records = Sort([]Record{records[1], records[0], records[1]})
	if got := []string{records[0].Op, records[1].Op}; len(records) != 2 || !slices.Equal(got, []string{"insert", "delete"}) {
		t.Errorf("%d records: %v", len(records), got)
	}
}

func TestAnnouncesIn(t *testing.T) {
	for value, want := range map[string]bool{
		`{"op":"publication","schema":"s","table":"t","publication":{"change":"left"},"tx":{"commit_lsn":"0/1"}}`: true,
		`{"op":"publication","publication":{"change":"changed"},"tx":{"commit_lsn":"0/1"}}`:                       false,
		`{"op":"publication","observed":{"change":"left","schema":"s","table":"t"}}`:                              false,
		`{"op":"publication","schema":"s","table":"t","observed":{"change":"left"}}`:                              false,
		`{"op":"started"}`: false,
	} {
		if announcesIn([]byte(value)) != want {
			t.Errorf("%s: want %t", value, want)
		}
	}
}
