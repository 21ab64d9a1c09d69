package proxy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// echo is a server that says what it hears, and tells how many connections it has lost.
func echo(t *testing.T) (address string, ended chan struct{}) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	ended = make(chan struct{}, 10)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				io.Copy(c, c)
				c.Close()
				ended <- struct{}{}
			}()
		}
	}()
	return l.Addr().String(), ended
}

func start(t *testing.T) (*Proxy, chan struct{}) {
	address, ended := echo(t)
	p, err := Listen(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p, ended
}

func dial(t *testing.T, p *Proxy) net.Conn {
	c, err := net.Dial("tcp", p.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func say(t *testing.T, c net.Conn, word string) {
	t.Helper()
	if _, err := c.Write([]byte(word)); err != nil {
		t.Fatal(err)
	}
}

func hear(t *testing.T, c net.Conn, word string) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	buf := make([]byte, len(word))
	if _, err := io.ReadFull(c, buf); err != nil || string(buf) != word {
		t.Fatalf("heard %q, %v; want %q", buf, err, word)
	}
}

func hearNothing(t *testing.T, c net.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("heard %d bytes, %v", n, err)
	}
}

func hearEnd(t *testing.T, c net.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("heard %d bytes, %v; want an end", n, err)
	}
}

func TestThrough(t *testing.T) {
	p, ended := start(t)
	c := dial(t, p)
	say(t, c, "one")
	hear(t, c, "one")
	c.Close()
	<-ended
}

func TestSilentIsLate(t *testing.T) {
	p, _ := start(t)
	c := dial(t, p)
	say(t, c, "one")
	hear(t, c, "one")
	p.Set(Silent)
	say(t, c, "two")
	hearNothing(t, c)
	other := dial(t, p)
	say(t, other, "new")
	hearNothing(t, other)
	p.Set(Through)
	hear(t, c, "two")
	hear(t, other, "new")
}

func TestLostBytesEndTheConnection(t *testing.T) {
	for _, f := range []Fault{Deaf, Mute} {
		p, ended := start(t)
		c := dial(t, p)
		say(t, c, "one")
		hear(t, c, "one")
		p.Set(f)
		say(t, c, "two")
		hearNothing(t, c)
		p.Set(Through)
		hearEnd(t, c)
		<-ended
	}
}

func TestCut(t *testing.T) {
	p, ended := start(t)
	c := dial(t, p)
	say(t, c, "one")
	hear(t, c, "one")
	p.Cut()
	hearEnd(t, c)
	<-ended
}

func TestHalfOpen(t *testing.T) {
	p, ended := start(t)
	c := dial(t, p)
	say(t, c, "one")
	hear(t, c, "one")
	p.Strand()
	<-ended
	for range 3 {
		say(t, c, "two")
		hearNothing(t, c)
	}
	c = dial(t, p)
	say(t, c, "one")
	hear(t, c, "one")
	p.Orphan()
	hearEnd(t, c)
	select {
	case <-ended:
		t.Error("the server was told")
	case <-time.After(50 * time.Millisecond):
	}
	p.Cut()
	<-ended
}

func TestSlow(t *testing.T) {
	p, _ := start(t)
	c := dial(t, p)
	p.Slow(30 * time.Millisecond)
	before := time.Now()
	say(t, c, "one")
	hear(t, c, "one")
	if took := time.Since(before); took < 60*time.Millisecond {
		t.Errorf("it took %s", took)
	}
}

// request is a frame as a Kafka client sends it; the echo makes an answer of it whose number is in another place.
func request(key int16, number uint32, body string) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(key))
	b = binary.BigEndian.AppendUint32(append(b, 0, 1), number)
	b = append(b, body...)
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
}

// broker answers each request with its number and its body.
func broker(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for next := frames(c); ; {
					f, err := next()
					if err != nil {
						return
					}
					body := f[8:] // number and body
					c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...))
				}
			}()
		}
	}()
	return l.Addr().String()
}

func TestKafka(t *testing.T) {
	address := broker(t)
	all, err := Kafka([]string{address})
	if err != nil {
		t.Fatal(err)
	}
	p := all[0]
	t.Cleanup(p.Close)
	theirs, err1 := spelled(address)
	ours, err2 := spelled(p.Address)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	c := dial(t, p)
	ask := func(key int16, number uint32, body string) {
		t.Helper()
		if _, err := c.Write(request(key, number, body)); err != nil {
			t.Fatal(err)
		}
	}
	answered := func(number uint32, body string) {
		t.Helper()
		c.SetReadDeadline(time.Now().Add(10 * time.Second))
		f, err := frames(c)()
		if err != nil || binary.BigEndian.Uint32(f[4:]) != number || string(f[8:]) != body {
			t.Fatalf("answer %q, %v; want %d %q", f, err, number, body)
		}
	}
	ask(Metadata, 7, "x"+string(theirs)+"y"+string(theirs))
	answered(7, "x"+string(ours)+"y"+string(ours))
	ask(Produce, 8, string(theirs))
	answered(8, string(theirs))

	held := CatchAnswer(all, Produce, 1)
	ask(Produce, 9, "passes")
	answered(9, "passes")
	ask(Produce, 10, "held")
	<-held.Caught()
	hearNothing(t, c)
	held.Forward()
	answered(10, "held")

	lost := CatchRequest(all, EndTxn, 0)
	lost.Lose()
	ask(EndTxn, 11, "")
	hearEnd(t, c)
	<-lost.Caught()
}

func TestFramesInPieces(t *testing.T) {
	a, b := net.Pipe()
	whole := request(Produce, 1, string(bytes.Repeat([]byte("x"), 1000)))
	go func() {
		for _, c := range whole {
			a.Write([]byte{c})
		}
		a.Close()
	}()
	next := frames(b)
	f, err := next()
	if err != nil || !bytes.Equal(f, whole) {
		t.Fatal(len(f), err)
	}
	if _, err := next(); err != io.EOF {
		t.Fatal(err)
	}
}

func TestUnconfirmed(t *testing.T) {
	p, _ := start(t)
	c := dial(t, p)
	p.Set(Unconfirmed)
	status := append([]byte{'d', 0, 0, 0, 38, 'r'}, make([]byte, 33)...)
	say(t, c, string(status)+string(status))
	hearNothing(t, c)
	other := []byte("Q\x00\x00\x00\x08one")
	say(t, c, string(other))
	hear(t, c, string(other))
	p.Set(Through)
	say(t, c, string(status))
	hear(t, c, string(status))
}
