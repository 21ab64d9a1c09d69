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
// full. So the window of a server nearby is kept small (near), and the sleep is long enough to fill it: catching up with
// 600,000 rows over loopback was 1.3 to 1.6 times as fast as with the window that the kernel grows and a sleep of 1 ms,
// at 0.6 of our processor time and 0.65 of the walsender's. On a unix socket nothing is put together; a short sleep
// saves wake-ups.
type nap struct {
	length    time.Duration // 0: never
	below     int           // only after a read of fewer bytes
	last      int           // bytes of the last read
	sent      int64         // when the server sent the last frame, microseconds of its clock
	committed int64         // when the transaction at hand committed, by the same clock; 0 for none
}

// behindBy is how long ago a transaction must have committed when the server sends of it.
const behindBy = 100 * time.Millisecond

// napFor knows which connections gain. Under TLS the ordinary path is taken.
func napFor(conn net.Conn) nap {
	if _, ok := conn.(interface{ unpolled() }); !ok {
		return nap{}
	}
	switch {
	case conn.RemoteAddr().Network() == "unix":
		return nap{length: 600 * time.Microsecond, below: 16 << 10}
	case near(conn):
		return nap{length: 20 * time.Millisecond, below: nearWindow}
	}
	return nap{length: time.Millisecond, below: baseBuffer / 2}
}

// rest is called before a read.
func (n *nap) rest() {
	if n.length > 0 && n.last < n.below && n.behind() {
		time.Sleep(n.length)
	}
}

func (n *nap) behind() bool {
	return n.committed != 0 && n.sent-n.committed > behindBy.Microseconds()
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
