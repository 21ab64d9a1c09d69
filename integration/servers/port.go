//go:build integration

package servers

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// given holds the ports handed out by this process, so that none is handed out twice before it is used.
var given struct {
	sync.Mutex
	ports map[int]bool
}

// freePort finds a port of 127.0.0.1 that nobody listens on. It stays below the range that Linux takes for outgoing
// connections (ip_local_port_range), so that a server which is killed finds its port free again.
func freePort() (int, error) {
	given.Lock()
	defer given.Unlock()
	if given.ports == nil {
		given.ports = make(map[int]bool)
	}
	for range 1000 {
		port := 15000 + rand.IntN(17000)
		if given.ports[port] {
			continue
		}
		l, err := net.Listen("tcp", loopback(port))
		if err != nil {
			continue
		}
		l.Close()
		given.ports[port] = true
		return port, nil
	}
	return 0, fmt.Errorf("no free port between 15000 and 32000")
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
