//go:build unix

package capture

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A socket is a connection outside Go's poller. The walsender sends each row by itself, and a descriptor in the poller
// wakes a thread for each of them, also when nobody is reading; a blocking one does not. With a nap of 1 ms, catching up
// with 600,000 rows over TCP took about half the CPU (4.6 s against 10.1 s, medians of three interleaved pairs on two busy
// cores). Deadlines are looked at four times a second.
type socket struct {
	file          *os.File
	fd            int
	local, remote net.Addr
	readBy        atomic.Int64 // UnixNano, 0 for never
	writeBy       atomic.Int64
}

// oneCall is how long one system call may block.
var oneCall = unix.Timeval{Usec: 250_000}

// unpolled takes a plain connection out of the poller. Any other, such as TLS, stays as it is.
func unpolled(conn net.Conn) (net.Conn, error) {
	switch conn.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		return conn, nil
	}
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("take the replication connection out of the poller: %w", err)
	}
	fd := -1
	var failed error
	if err := raw.Control(func(polled uintptr) {
		fd, failed = unix.FcntlInt(polled, unix.F_DUPFD_CLOEXEC, 0)
	}); err != nil {
		failed = err
	}
	if failed == nil {
		failed = errors.Join(
			unix.SetNonblock(fd, false),
			unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &oneCall),
			unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &oneCall))
		if failed != nil {
			unix.Close(fd)
		}
	}
	if failed != nil {
		return nil, fmt.Errorf("take the replication connection out of the poller: %w", failed)
	}
	s := &socket{
		file: os.NewFile(uintptr(fd), "replication connection"), // a blocking descriptor, so it stays out
		fd:   fd, local: conn.LocalAddr(), remote: conn.RemoteAddr(),
	}
	return s, conn.Close()
}

// unpolled marks the connections that napFor looks for.
func (s *socket) unpolled() {}

func passed(by *atomic.Int64) bool {
	at := by.Load()
	return at != 0 && time.Now().UnixNano() >= at
}

func (s *socket) Read(p []byte) (int, error) {
	for {
		if passed(&s.readBy) {
			return 0, os.ErrDeadlineExceeded
		}
		n, err := s.file.Read(p)
		if !errors.Is(err, unix.EAGAIN) {
			return n, err
		}
	}
}

func (s *socket) Write(p []byte) (int, error) {
	written := 0
	for {
		if passed(&s.writeBy) {
			return written, os.ErrDeadlineExceeded
		}
		n, err := s.file.Write(p[written:])
		written += n
		if !errors.Is(err, unix.EAGAIN) {
			return written, err
		}
	}
}

// Close ends a read or write that is blocked, too.
func (s *socket) Close() error {
	unix.Shutdown(s.fd, unix.SHUT_RDWR)
	return s.file.Close()
}

func (s *socket) LocalAddr() net.Addr  { return s.local }
func (s *socket) RemoteAddr() net.Addr { return s.remote }

func (s *socket) SetDeadline(t time.Time) error {
	return errors.Join(s.SetReadDeadline(t), s.SetWriteDeadline(t))
}

func (s *socket) SetReadDeadline(t time.Time) error  { return set(&s.readBy, t) }
func (s *socket) SetWriteDeadline(t time.Time) error { return set(&s.writeBy, t) }

func set(by *atomic.Int64, t time.Time) error {
	if t.IsZero() {
		by.Store(0)
	} else {
		by.Store(t.UnixNano())
	}
	return nil
}
