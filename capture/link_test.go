package capture

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
)

// overPipe returns a Source that reads from the other end of a pipe.
func overPipe(t *testing.T) (*Source, net.Conn) {
	ours, theirs := net.Pipe()
	l := &link{conn: ours, wake: make(chan struct{}, 1)}
	s := &Source{slot: "s", log: hclog.NewNullLogger(), conn: ours, frames: newFrameReader(ours),
		interrupt: &interrupter{conn: ours}, link: l}
	s.frames.waits, s.frames.filled = l.waits, l.filled
	t.Cleanup(func() {
		s.interrupt.release()
		ours.Close()
		theirs.Close()
	})
	return s, theirs
}

func TestNextIsInterruptedAndGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, server := overPipe(t)
		whole := frame('d', xlogData(7, []byte("hello")))
		go server.Write(whole[:12])
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err := s.Next(ctx); !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v", err)
		}
		if _, err := s.Next(ctx); !errors.Is(err, context.Canceled) {
			t.Fatalf("a cancelled context reads on: %v", err)
		}
		go server.Write(whole[12:])
		m, err := s.Next(t.Context())
		if err != nil || m.LSN != 7 || string(m.Data) != "hello" {
			t.Errorf("after an interruption: %+v, %v", m, err)
		}
		// A context that is no longer the reader's ends: nothing happens to the reader.
		old, end := context.WithCancel(t.Context())
		go server.Write(frame('d', keepalive(9, 1)))
		if m, err = s.Next(old); err != nil || m.End != 9 {
			t.Fatalf("%+v, %v", m, err)
		}
		time.AfterFunc(time.Second, end)
		time.AfterFunc(2*time.Second, func() { server.Write(frame('d', keepalive(10, 0))) })
		if m, err = s.Next(t.Context()); err != nil || m.End != 10 {
			t.Errorf("%+v, %v", m, err)
		}
		if asks, received := s.link.asks.Load(), s.link.received.Load(); asks != 1 || received != 10 {
			t.Errorf("%d asks, received %d", asks, received)
		}
	})
}

func TestNextEnds(t *testing.T) {
	const failure = "SERROR\x00VERROR\x00C55000\x00Mcannot do that\x00DThe slot is lost.\x00\x00"
	const value = "SERROR\x00VERROR\x00C22P02\x00Minvalid input\x00Dsecret of a row\x00\x00"
	for name, test := range map[string]struct {
		send []byte
		want string
	}{
		"error":    {frame('E', []byte(failure)), `read slot "s" after 0/7: server says: cannot do that (The slot is lost.) (SQLSTATE 55000)`},
		"row data": {frame('E', []byte(value)), `read slot "s" after 0/7: server says: invalid input (SQLSTATE 22P02)`},
		"skipping": {frame('N', []byte("SWARNING\x00C55000\x00Mskipped loading publication \"w\"\x00RLoadPublications\x00\x00")),
			`read slot "s" after 0/7: server says: skipped loading publication "w" (SQLSTATE 55000)` + noPublication},
		"goodbye":   {frame('C', []byte("COPY 0\x00")), `read slot "s" after 0/7: the server ended replication (it is shutting down)`},
		"copy done": {frame('c', nil), `read slot "s" after 0/7: the server ended replication (it is shutting down)`},
		"frame":     {frame('T', []byte("ab")), `read slot "s" after 0/7: unexpected frame 'T' of 2 bytes`},
		"data":      {frame('d', []byte("wab")), `read slot "s" after 0/7: XLogData frame of 3 bytes`},
		"nothing":   {nil, `read slot "s" after 0/7: the server closed the connection: EOF`},
		"half":      {[]byte("d\x00\x00"), `read slot "s" after 0/7: the connection broke inside a frame: unexpected EOF`},
	} {
		synctest.Test(t, func(t *testing.T) {
			s, server := overPipe(t)
			go func() {
				server.Write(frame('d', keepalive(7, 0)))
				server.Write(frame('N', []byte("SNOTICE\x00Mhello\x00\x00")))
				server.Write(frame('S', []byte("a\x00b\x00")))
				server.Write(test.send)
				server.Close()
			}()
			if m, err := s.Next(t.Context()); err != nil || m.End != 7 {
				t.Fatalf("%s: %+v, %v", name, m, err)
			}
			if _, err := s.Next(t.Context()); err == nil || err.Error() != test.want {
				t.Errorf("%s: %v\nwant %s", name, err, test.want)
			}
			if !s.ended {
				t.Errorf("%s: not the end", name)
			}
		})
	}
}

func TestNextReportsTheCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, server := overPipe(t)
		cause := errors.New("the first cause")
		time.AfterFunc(time.Second, func() {
			s.link.fail(cause)
			s.link.fail(io.EOF)
		})
		if _, err := s.Next(t.Context()); !errors.Is(err, cause) || errors.Is(err, io.EOF) {
			t.Errorf("got %v", err)
		}
		if _, err := server.Write([]byte{1}); err == nil {
			t.Error("the connection is still open")
		}
	})
}

// endless is a connection on which the same bytes arrive for ever.
type endless struct {
	net.Conn
	stream []byte
	at     int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.stream[e.at:])
	e.at = (e.at + n) % len(e.stream)
	return n, nil
}

func (e *endless) SetReadDeadline(time.Time) error { return nil }

// BenchmarkNext measures what a message costs beside the system call that brings it.
func BenchmarkNext(b *testing.B) {
	conn := &endless{stream: frame('d', xlogData(1, make([]byte, 150)))}
	l := &link{conn: conn, wake: make(chan struct{}, 1)}
	s := &Source{slot: "s", conn: conn, frames: newFrameReader(conn), interrupt: &interrupter{conn: conn}, link: l}
	s.frames.waits, s.frames.filled = l.waits, l.filled
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Next(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
