package proxy

import (
	"net"
	"sync"
	"time"
)

// A direction is one of a connection's two.
type direction int

const (
	up   direction = iota // what the client says
	down                  // what the server says
)

// A link is one client's connection and the one to the server that belongs to it.
type link struct {
	proxy  *Proxy
	client net.Conn
	server net.Conn // nil until it is dialled; guarded by proxy.mu
	once   sync.Once
	over   chan struct{} // closed by cut

	// Guarded by proxy.mu.
	lossy    bool // bytes were lost
	stranded bool // the server's side is closed, the client is not told
	orphaned bool // the client's side is closed, the server is not told
	asked    map[uint32]int16
}

// carry forwards in both directions until the connection is over.
func (l *link) carry() {
	defer func() {
		l.cut()
		l.proxy.mu.Lock()
		delete(l.proxy.links, l)
		l.proxy.mu.Unlock()
	}()
	if !l.await(notSilent) {
		return
	}
	server, err := net.DialTimeout("tcp", l.proxy.target, 5*time.Second)
	if err != nil {
		return
	}
	l.proxy.mu.Lock()
	l.server = server
	l.proxy.mu.Unlock()
	var pumps sync.WaitGroup
	pumps.Go(func() { l.pump(down, server, l.client) })
	pumps.Go(func() { l.pump(up, l.client, server) })
	done := make(chan struct{})
	go func() { pumps.Wait(); close(done) }()
	select {
	case <-l.over:
		server.Close()
	case <-done:
	}
	<-done
}

func notSilent(f Fault) bool { return f != Silent }

// pump carries one direction.
func (l *link) pump(d direction, from, to net.Conn) {
	next := l.pieces(from)
	for {
		piece, err := next()
		if err != nil {
			l.end(d)
			return
		}
		forward, alive := l.gate(d, piece)
		if !alive {
			return
		}
		if !forward {
			continue
		}
		if _, err := to.Write(piece); err != nil && !l.left(d) {
			l.end(d)
			return
		}
	}
}

// pieces reads what one direction is carried by: requests and answers of Kafka, or whatever arrives.
func (l *link) pieces(from net.Conn) func() ([]byte, error) {
	if l.proxy.kafka != nil {
		return frames(from)
	}
	buf := make([]byte, 16<<10)
	return func() ([]byte, error) {
		n, err := from.Read(buf)
		if n > 0 {
			return buf[:n], nil
		}
		return nil, err
	}
}

// gate holds a piece back as the faults want it. It tells whether the piece is to be forwarded, and whether the
// connection goes on.
func (l *link) gate(d direction, piece []byte) (forward, alive bool) {
	if l.proxy.kafka != nil && !l.inspect(d, piece) {
		l.cut()
		return false, false
	}
	if !l.await(notSilent) {
		return false, false
	}
	p := l.proxy
	p.mu.Lock()
	if l.stranded || l.orphaned {
		p.mu.Unlock()
		return false, true
	}
	if l.lossy || p.fault == Deaf && d == down || p.fault == Mute && d == up {
		l.lossy = true
		p.mu.Unlock()
		return false, true
	}
	if p.fault == Unconfirmed && d == up && allStatus(piece) {
		p.mu.Unlock()
		return false, true
	}
	delay := p.delay
	p.mu.Unlock()
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-l.over:
			return false, false
		}
	}
	return true, true
}

// await waits until the fault is one that ok allows, and reports whether the connection goes on.
func (l *link) await(ok func(Fault) bool) bool {
	for {
		l.proxy.mu.Lock()
		fault, changed := l.proxy.fault, l.proxy.changed
		l.proxy.mu.Unlock()
		select {
		case <-l.over:
			return false
		default:
		}
		if ok(fault) {
			return true
		}
		select {
		case <-changed:
		case <-l.over:
			return false
		}
	}
}

// allStatus tells whether a piece is nothing but standby status updates: each is a CopyData of 34 bytes that begins with
// an r (protocol-replication in PostgreSQL's manual), and a client writes it at once.
func allStatus(piece []byte) bool {
	const size = 1 + 4 + 34
	for ; len(piece) >= size && piece[0] == 'd' && piece[5] == 'r' && piece[4] == size-1; piece = piece[size:] {
	}
	return len(piece) == 0
}

// left tells whether we have closed the side that this direction leads to.
func (l *link) left(d direction) bool {
	l.proxy.mu.Lock()
	defer l.proxy.mu.Unlock()
	return l.stranded && d == up || l.orphaned && d == down
}

// end is called when one side has closed its connection or cannot be written to. The other side learns of it, unless
// a fault keeps it from that.
func (l *link) end(d direction) {
	if !l.left(1-d) && l.await(func(f Fault) bool { return f == Through }) {
		l.cut()
	}
}

// leave closes the side that a direction leads to and keeps the other.
func (l *link) leave(d direction) {
	l.proxy.mu.Lock()
	defer l.proxy.mu.Unlock()
	switch {
	case l.server == nil:
	case d == up:
		l.stranded = true
		l.server.Close()
	default:
		l.orphaned = true
		l.client.Close()
	}
}

// cut resets both sides.
func (l *link) cut() {
	l.once.Do(func() { close(l.over) })
	l.proxy.mu.Lock()
	server := l.server
	l.proxy.mu.Unlock()
	for _, c := range []net.Conn{l.client, server} {
		if tcp, ok := c.(*net.TCPConn); ok && tcp != nil {
			tcp.SetLinger(0)
			tcp.Close()
		}
	}
}
