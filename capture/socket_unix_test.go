//go:build unix

package capture

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// pair connects an unpolled client with an ordinary server over loopback.
func pair(t *testing.T) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialled, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	if client, err = unpolled(dialled); err != nil {
		t.Fatal(err)
	}
	if _, ok := client.(*net.TCPConn); ok {
		t.Fatal("still in the poller")
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

func TestSocketCarriesBytes(t *testing.T) {
	client, server := pair(t)
	go func() {
		server.Write([]byte("hello"))
		io.Copy(server, server)
	}()
	buf := make([]byte, 5)
	if _, err := io.ReadFull(client, buf); err != nil || string(buf) != "hello" {
		t.Fatalf("%q, %v", buf, err)
	}
	large := make([]byte, 8<<20) // more than the buffers of both sides: writes are cut
	for i := range large {
		large[i] = byte(i * 7)
	}
	go client.Write(large)
	back := make([]byte, len(large))
	if _, err := io.ReadFull(client, back); err != nil || string(back) != string(large) {
		t.Fatalf("%v", err)
	}
	server.Close()
	if _, err := client.Read(buf); !errors.Is(err, io.EOF) {
		t.Errorf("after the peer's end: %v", err)
	}
}

// TestSocketInterrupted ends a blocked read by a deadline, and by closing.
func TestSocketInterrupted(t *testing.T) {
	client, _ := pair(t)
	time.AfterFunc(50*time.Millisecond, func() { client.SetReadDeadline(longAgo) })
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || !isTimeout(err) {
		t.Errorf("after the deadline: %v", err)
	}
	client.SetReadDeadline(time.Time{})
	time.AfterFunc(50*time.Millisecond, func() { client.Close() })
	if _, err := client.Read(make([]byte, 1)); err == nil {
		t.Error("a read of a closed connection succeeded")
	}
}

// TestSocketWriteDeadline gives up on a peer that takes nothing.
func TestSocketWriteDeadline(t *testing.T) {
	client, _ := pair(t)
	client.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
	if _, err := client.Write(make([]byte, 64<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v", err)
	}
}
