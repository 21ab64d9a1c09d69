//go:build !unix

package capture

import "net"

// unpolled leaves the connection as it is: this system has no blocking sockets that Go can use.
func unpolled(conn net.Conn) (net.Conn, error) { return conn, nil }
