// Package proxy stands between clients and a server and does to their connections what networks and crashes do: cuts
// them, delays them, stops carrying them without telling anybody, loses answers to requests that were carried out.
//
// A Kafka cluster has one proxy a broker. Brokers tell their clients each other's addresses; the proxies write their own
// in place of them, so that clients stay with the proxies wherever the brokers run.
package proxy

import (
	"fmt"
	"maps"
	"net"
	"sync"
	"time"
)

// A Fault is what happens to all bytes of a proxy's connections, also of those that are opened meanwhile.
type Fault int

// The faults. None of them is told to anybody: connections stay open.
const (
	Through     Fault = iota // none
	Silent                   // nothing is carried in either direction; it is later, unless the connection is cut
	Deaf                     // what the server says is lost
	Mute                     // what the client says is lost
	Unconfirmed              // of what the client says, PostgreSQL's standby status updates are lost
)

// A Proxy forwards connections to one server.
type Proxy struct {
	Address string // where it listens

	target   string
	listener net.Listener
	kafka    *dialect // nil: bytes are carried as they come

	mu      sync.Mutex // guards the rest
	fault   Fault
	delay   time.Duration
	changed chan struct{} // closed and replaced when fault changes
	links   map[*link]bool
	catches []*Catch
	counts  map[int16]int // requests by API key
	closed  bool
	serving sync.WaitGroup
}

// Listen starts a proxy to a server (host:port) that carries bytes as they come.
func Listen(target string) (*Proxy, error) {
	p, err := listen(target)
	if err == nil {
		p.serve()
	}
	return p, err
}

func listen(target string) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for %s: %w", target, err)
	}
	return &Proxy{
		Address: l.Addr().String(), target: target, listener: l,
		changed: make(chan struct{}), links: make(map[*link]bool), counts: make(map[int16]int),
	}, nil
}

// serve accepts connections until Close.
func (p *Proxy) serve() {
	p.serving.Go(func() {
		for {
			c, err := p.listener.Accept()
			if err != nil {
				return
			}
			l := &link{proxy: p, client: c, over: make(chan struct{}), asked: make(map[uint32]int16)}
			p.mu.Lock()
			if p.closed {
				p.mu.Unlock()
				c.Close()
				return
			}
			p.links[l] = true
			p.serving.Go(l.carry)
			p.mu.Unlock()
		}
	})
}

// Close cuts all connections and stops listening.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.listener.Close()
	p.Cut()
	p.serving.Wait()
}

// Requests counts what a broker's clients have asked for so far, by API key.
func (p *Proxy) Requests() map[int16]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.counts)
}

// Set makes a fault begin or, with Through, end. A connection that has lost bytes does not go on: it is cut at the end.
func (p *Proxy) Set(f Fault) {
	p.mu.Lock()
	p.fault = f
	close(p.changed)
	p.changed = make(chan struct{})
	var lossy []*link
	for l := range p.links {
		if f == Through && l.lossy {
			lossy = append(lossy, l)
		}
	}
	p.mu.Unlock()
	for _, l := range lossy {
		l.cut()
	}
}

// Slow delays everything that is carried, piece by piece, in each direction; 0 ends it.
func (p *Proxy) Slow(delay time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = delay
}

// Heal ends every fault, delay and catch. Connections that have lost bytes are cut.
func (p *Proxy) Heal() {
	p.Slow(0)
	p.mu.Lock()
	catches := p.catches
	p.catches = nil
	p.mu.Unlock()
	for _, c := range catches {
		c.Cancel()
		c.Forward()
	}
	p.Set(Through)
}

// Cut resets every connection, on both sides.
func (p *Proxy) Cut() {
	for _, l := range p.all() {
		l.cut()
	}
}

// Strand closes the server's side of every connection and does not tell the client, as when a host dies.
func (p *Proxy) Strand() {
	for _, l := range p.all() {
		l.leave(up)
	}
}

// Orphan closes the client's side of every connection and does not tell the server.
func (p *Proxy) Orphan() {
	for _, l := range p.all() {
		l.leave(down)
	}
}

func (p *Proxy) all() []*link {
	p.mu.Lock()
	defer p.mu.Unlock()
	var links []*link
	for l := range p.links {
		links = append(links, l)
	}
	return links
}
