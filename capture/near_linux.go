package capture

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// A server is near when it answers within nearRound: then a window of nearWindow bytes lets it send more than 400 MB/s,
// which is more than a walsender has. The kernel doubles what SO_RCVBUF asks for (socket(7)), and gives no more than
// net.core.rmem_max, which is 212,992 where nobody changed it.
const (
	nearRound  = 500 * time.Microsecond
	nearWindow = 200_000
)

// near keeps the window of a server nearby small, and tells whether it is one. With a proxy between, the proxy's window
// is the one that counts.
func near(conn net.Conn) bool {
	s, ok := conn.(*socket)
	if !ok || s.remote.Network() == "unix" {
		return false
	}
	info, err := unix.GetsockoptTCPInfo(s.fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil || info.Min_rtt == 0 || time.Duration(info.Min_rtt)*time.Microsecond > nearRound {
		return false
	}
	return unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, nearWindow) == nil
}
