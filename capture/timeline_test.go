package capture

import (
	"strings"
	"testing"

	"github.com/jackc/pglogrepl"
)

func TestTimelineOf(t *testing.T) {
	const file = "1\t0/5000000\tno recovery target specified\n\n# a comment\n" +
		"2\t0/7000028\tbefore 2026-01-01 00:00:00+00\n4\t1/0\tanother reason"
	h, err := parseHistory(5, file)
	if err != nil {
		t.Fatal(err)
	}
	for pos, want := range map[string]uint32{
		"0/0": 1, "0/4FFFFFF": 1, "0/5000000": 2, "0/7000027": 2, "0/7000028": 4, "0/FFFFFFFF": 4, "1/0": 5,
		"FFFFFFFF/FFFFFFFF": 5,
	} {
		lsn, err := pglogrepl.ParseLSN(pos)
		if err != nil {
			t.Fatal(err)
		}
		if got := h.timelineOf(lsn); got != want {
			t.Errorf("%s belongs to timeline %d, not %d", pos, want, got)
		}
	}
	first, err := parseHistory(1, "")
	if err != nil || first.timelineOf(0) != 1 || first.timelineOf(1<<63) != 1 {
		t.Errorf("a first timeline: %v, %v", first, err)
	}
}

func TestParseHistoryRefuses(t *testing.T) {
	for file, want := range map[string]string{
		"1\n":                       "line 1: no switch point",
		"\nx\t0/1\n":                "line 2: timeline",
		"1\t0-1\n":                  "line 1: switch point",
		"2\t0/1\n1\t0/2\n":          "line 2: timelines out of order",
		"1\t0/2\n2\t0/1\n":          "line 2: timelines out of order",
		"1\t0/1\n2\t0/2\n3\t0/3\n":  "ends with timeline 3",
		"4294967296\t0/1\treason\n": "line 1: timeline",
	} {
		if h, err := parseHistory(3, file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v; want %q", file, h, err, want)
		}
	}
}
