package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// Each line of testdata/tail/records.jsonl as tail shows it: uncut, cut, and in colours.
func TestTailLines(t *testing.T) {
	records, err := os.ReadFile("testdata/tail/records.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		width  int
		colour bool
	}{{"uncut", 0, false}, {"100", 100, false}, {"60", 60, false}, {"20", 20, false}, {"colour", 120, true}} {
		var b strings.Builder
		for record := range bytes.Lines(records) {
			l, ok := renderRecord(bytes.TrimSuffix(record, []byte("\n")), time.Date(2026, 11, 22, 19, 34, 32, 248e6, time.UTC))
			if !ok {
				continue
			}
			text := l.fit(tt.width).text(tt.colour)
			fmt.Fprintln(&b, text)
			if n := columnsOf(l.fit(tt.width).text(false)); tt.width > 0 && n > tt.width {
				t.Errorf("width %d: %d columns: %s", tt.width, n, text)
			}
			if !tt.colour && printable(text) != text {
				t.Errorf("not printable: %q", text)
			}
		}
		golden(t, "tail/"+tt.name+".golden", b.String())
	}
}

// Records of several partitions come in the order of commits, each partition's own order is kept, and nothing is shown
// while a partition may still have something older.
func TestMergeOrder(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var all []tailRecord
	partitions := make([]*tailPartition, 5)
	for i := range partitions {
		partitions[i] = &tailPartition{id: partitionID{"t", i}}
	}
	for n := range 1000 { // in commit order: positions rise, times rise or stay, ordinals count
		p := partitions[random.IntN(len(partitions))]
		all = append(all, tailRecord{
			partition: p.id,
			offset:    p.end,
			millis:    int64(n / 7),
			id:        fmt.Sprintf("1.1.1-%016X-%d", n/3, n%3+9), // ordinals 9, 10, 11: not in the order of text
		})
		p.end++
	}
	var shown []tailRecord
	for len(shown) < len(all) {
		p := partitions[random.IntN(len(partitions))] // a fetch brings some more of one partition
		for range random.IntN(4) {
			i := slices.IndexFunc(all, func(r tailRecord) bool { return r.partition == p.id && r.offset == p.next })
			if i >= 0 {
				p.waiting = append(p.waiting, all[i])
				p.next++
			}
		}
		if err := merge(partitions, func(r tailRecord) error { shown = append(shown, r); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	for i := range all {
		if shown[i].id != all[i].id {
			t.Fatalf("record %d is %s, want %s", i, shown[i].id, all[i].id)
		}
	}
}

func TestMergeStopsOnError(t *testing.T) {
	p := &tailPartition{waiting: []tailRecord{{id: "a"}, {id: "b"}}}
	broken := errors.New("broken pipe")
	if err := merge([]*tailPartition{p}, func(tailRecord) error { return broken }); err != broken {
		t.Errorf("error %v", err)
	}
}

// A change that stands in several partitions is shown once; as JSON it is printed as often as it is there.
func TestTailShowsAChangeOnce(t *testing.T) {
	record := tailRecord{id: "1.1.1-0-1", value: []byte(`{"op":"truncate","schema":"s","table":"t"}`)}
	var lines, raw bytes.Buffer
	show, showAll := showLines(&lines), showRaw(&raw)
	for range 3 {
		if err := errors.Join(show(record), showAll(record)); err != nil {
			t.Fatal(err)
		}
	}
	if n := bytes.Count(lines.Bytes(), []byte("\n")); n != 1 {
		t.Errorf("%d lines", n)
	}
	if n := bytes.Count(raw.Bytes(), []byte("\n")); n != 3 {
		t.Errorf("%d raw lines", n)
	}
}

func TestCut(t *testing.T) {
	for _, tt := range []struct {
		text    string
		columns int
		want    string
	}{
		{"short", 5, "short"},
		{"longer", 5, "long…"},
		{"漢字漢字", 8, "漢字漢字"},
		{"漢字漢字", 7, "漢字漢…"},
		{"漢字漢字", 6, "漢字…"},
		{"e\u0301e\u0301e\u0301", 3, "e\u0301e\u0301e\u0301"},
		{"ab", 1, "…"},
		{"ab", 0, ""},
	} {
		if got := cut(tt.text, tt.columns); got != tt.want {
			t.Errorf("cut %q to %d: %q, want %q", tt.text, tt.columns, got, tt.want)
		}
	}
}
