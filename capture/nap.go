package capture

import (
	"encoding/binary"
	"net"
	"time"
)

// The walsender is the bottleneck, and it pays for each row that it sends by itself. A reader that lags lets the kernel
// put rows together: while we are behind, a short sleep before a read makes the walsender faster and costs nothing that
// anybody waits for. Never when we are not behind. Over TCP the gain is the larger one; on a unix socket a sleep
// after a large read would only lose time.
type nap struct {
	length time.Duration // 0: never
	below  int           // only after a read of fewer bytes
	behind bool
	last   int // bytes of the last read
}

// behindBy is how long ago a transaction must have committed when the server sends it.
const behindBy = 100 * time.Millisecond

// napFor knows which connections gain. Under TLS the ordinary path is taken.
func napFor(conn net.Conn) nap {
	if _, ok := conn.(interface{ unpolled() }); !ok {
		return nap{}
	}
	if conn.RemoteAddr().Network() == "unix" {
		return nap{length: 300 * time.Microsecond, below: 32 << 10}
	}
	return nap{length: time.Millisecond, below: baseBuffer}
}

// rest is called before a read.
func (n *nap) rest() {
	if n.behind && n.length > 0 && n.last < n.below {
		time.Sleep(n.length)
	}
}

// look compares the server's clock with the commit's time, both of the server, in a frame with a Begin. A keepalive
// comes when there is nothing else.
func (n *nap) look(frame []byte) {
	const sendTime, message, commitTime = 17, 25, 25 + 9
	switch {
	case frame[0] == 'k':
		n.behind = false
	case len(frame) >= commitTime+8 && frame[message] == 'B':
		sent := int64(binary.BigEndian.Uint64(frame[sendTime:]))
		committed := int64(binary.BigEndian.Uint64(frame[commitTime:]))
		n.behind = sent-committed > behindBy.Microseconds()
	}
}
