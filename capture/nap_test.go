package capture

import (
	"encoding/binary"
	"testing"
	"time"
)

// TestNapLook knows from a Begin, and from how long its transaction takes, how far the server is behind, and from a
// keepalive that it is not.
func TestNapLook(t *testing.T) {
	const committed = 800_000_000_000_000
	frame := func(after time.Duration, message string) []byte {
		f := make([]byte, 25, 64)
		f[0] = 'w'
		binary.BigEndian.PutUint64(f[17:], uint64(committed+after.Microseconds()))
		return append(f, message...)
	}
	begin := func(after time.Duration) []byte {
		f := binary.BigEndian.AppendUint64(frame(after, "B"), 0x1000)
		f = binary.BigEndian.AppendUint64(f, committed)
		return binary.BigEndian.AppendUint32(f, 7)
	}
	insert := "I\x00\x00\x00\x01N\x00\x00...................."
	keepalive := make([]byte, 18)
	keepalive[0] = 'k'
	var n nap
	for i, step := range []struct {
		frame []byte
		want  bool
	}{
		{frame(time.Hour, insert), false}, // no Begin seen yet
		{begin(0), false},
		{frame(9*time.Millisecond, insert), false},
		{frame(time.Second, insert), true}, // a transaction that takes long to send
		{begin(9 * time.Millisecond), false},
		{begin(time.Second), true},
		{frame(time.Second, insert), true},
		{frame(time.Second, ""), true},
		{begin(-time.Second), false}, // a clock that was set back
		{begin(time.Hour), true},
		{keepalive, false},
		{frame(time.Hour, insert), false},
	} {
		if n.look(step.frame); n.behind() >= behindBy != step.want {
			t.Errorf("step %d: behind %s, want %v", i, n.behind(), step.want)
		}
	}
}

// TestNapLength: as long as it takes to fill the window, which is not long for large rows, and never longer than allowed.
func TestNapLength(t *testing.T) {
	for _, test := range []struct {
		since int // bytes
		took  time.Duration
		want  time.Duration
	}{
		{0, time.Hour, 0}, // the first one finds out the rate
		{100_000, 10 * time.Millisecond, 20 * time.Millisecond},
		{400_000, 10 * time.Millisecond, 5 * time.Millisecond},
		{10_000_000, 20 * time.Millisecond, 400 * time.Microsecond},
		{1000, time.Second, 20 * time.Millisecond},
	} {
		n := nap{most: 20 * time.Millisecond, fill: 200_000}
		n.read(test.since)
		if got := n.length(test.took); got != test.want {
			t.Errorf("%d bytes in %s: %s, want %s", test.since, test.took, got, test.want)
		}
	}
}
