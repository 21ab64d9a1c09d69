package capture

import (
	"encoding/binary"
	"net"
	"time"
)

// The walsender is the bottleneck, and it pays for each row that it sends by itself. A reader that lags lets the kernel
// put rows together: while we are behind, a sleep before a read makes the walsender faster and costs nothing that anybody
// waits for. Never when we are not behind.
//
// Over TCP rows are put together while they wait in the sender's buffer, which they do once the receiver's window is
// full. So the window of a server nearby is kept small (near), and the sleep is as long as it takes to fill it: catching
// up with 600,000 rows over loopback was 1.3 to 1.6 times as fast as with the window that the kernel grows and a sleep of
// 1 ms, at 0.6 of our processor time and 0.65 of the walsender's. On a unix socket nothing is put together; a short sleep
// saves wake-ups.
type nap struct {
	most      time.Duration // 0: never
	fill      int           // bytes to wait for; only after a read of fewer
	last      int           // bytes of the last read
	sent      int64         // when the server sent the last frame, microseconds of its clock
	committed int64         // when the transaction at hand committed, by the same clock; 0 for none

	began time.Time // the last nap
	since int       // bytes read since
}

// behindBy is how long ago a transaction must have committed when the server sends of it. A nap is no longer than a
// quarter of that, so that whoever is a little behind falls back little.
const behindBy = 10 * time.Millisecond

// napFor knows which connections gain. Under TLS the ordinary path is taken.
func napFor(conn net.Conn) nap {
	if _, ok := conn.(interface{ unpolled() }); !ok {
		return nap{}
	}
	switch {
	case conn.RemoteAddr().Network() == "unix":
		return nap{most: 600 * time.Microsecond, fill: 16 << 10}
	case near(conn):
		return nap{most: 20 * time.Millisecond, fill: nearWindow}
	}
	return nap{most: time.Millisecond, fill: baseBuffer / 2}
}

// rest is called before a read.
func (n *nap) rest() {
	behind := n.behind()
	if n.most == 0 || n.last >= n.fill || behind < behindBy {
		return
	}
	now := time.Now()
	time.Sleep(min(n.length(now.Sub(n.began)), behind/4))
	n.began, n.since = now, 0
}

// length is how long it takes to fill the window when what was read since the last nap took so long. A longer one would
// only hold up the server: of large rows the window is full in no time.
func (n *nap) length(took time.Duration) time.Duration {
	if n.since == 0 {
		return 0
	}
	return time.Duration(min(float64(n.most), float64(took)*float64(n.fill)/float64(n.since)))
}

// read takes note of the bytes of a read.
func (n *nap) read(bytes int) {
	n.last = bytes
	n.since += bytes
}

// behind is how long ago the transaction at hand had committed when the server sent the last frame.
func (n *nap) behind() time.Duration {
	if n.committed == 0 {
		return 0
	}
	return time.Duration(n.sent-n.committed) * time.Microsecond
}

// look takes the server's clock, and a Begin's commit time by the same clock, from a frame. A keepalive comes when there
// is nothing else.
func (n *nap) look(frame []byte) {
	const sendTime, message, commitTime = 17, 25, 25 + 9
	if frame[0] == 'k' {
		n.committed = 0
		return
	}
	n.sent = int64(binary.BigEndian.Uint64(frame[sendTime:]))
	if len(frame) >= commitTime+8 && frame[message] == 'B' {
		n.committed = int64(binary.BigEndian.Uint64(frame[commitTime:]))
	}
}
