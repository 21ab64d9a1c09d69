package capture

import (
	"encoding/binary"
	"testing"
	"time"
)

// TestNapLook knows from a Begin how far the server is behind, and from a keepalive that it is not.
func TestNapLook(t *testing.T) {
	begin := func(behind time.Duration) []byte {
		const sent = 800_000_000_000_000
		f := make([]byte, 25, 64)
		f[0] = 'w'
		binary.BigEndian.PutUint64(f[17:], sent)
		f = append(f, 'B')
		f = binary.BigEndian.AppendUint64(f, 0x1000)
		f = binary.BigEndian.AppendUint64(f, uint64(sent-behind.Microseconds()))
		return binary.BigEndian.AppendUint32(f, 7)
	}
	keepalive := make([]byte, 18)
	keepalive[0] = 'k'
	insert := append(make([]byte, 25), "I\x00\x00\x00\x01N\x00\x00...................."...)
	insert[0] = 'w'
	var n nap
	for i, step := range []struct {
		frame []byte
		want  bool
	}{
		{begin(0), false},
		{begin(99 * time.Millisecond), false},
		{begin(time.Second), true},
		{insert, true},
		{insert[:25], true},
		{begin(-time.Second), false}, // a clock that was set back
		{begin(time.Hour), true},
		{keepalive, false},
	} {
		if n.look(step.frame); n.behind != step.want {
			t.Errorf("step %d: behind %v, want %v", i, n.behind, step.want)
		}
	}
}
