package publish

import (
	"testing"
	"time"
)

// TestLanePause: the rest grows to what fills a large batch at the present rate, and not where that takes long.
func TestLanePause(t *testing.T) {
	const least = 2 * time.Millisecond
	for _, test := range []struct {
		carried int
		apart   time.Duration
		want    time.Duration
	}{
		{0, 0, least}, // the first flight
		{0, time.Hour, least},
		{restBytes, 5 * time.Millisecond, 5 * time.Millisecond},
		{restBytes / 4, 4 * time.Millisecond, 16 * time.Millisecond},
		{restBytes, time.Millisecond, least},
		{restBytes, 21 * time.Millisecond, least},
		{1000, least, least},
	} {
		l := lane{carried: test.carried, apart: test.apart}
		if got := l.pause(least).Round(time.Microsecond); got != test.want {
			t.Errorf("%d bytes in %s: a rest of %s, want %s", test.carried, test.apart, got, test.want)
		}
	}
}
