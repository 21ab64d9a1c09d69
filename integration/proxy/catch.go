package proxy

import (
	"slices"
	"sync"
)

// A Catch waits for one request, or for one answer, and holds it.
type Catch struct {
	key     int16
	side    direction
	caught  chan struct{}
	release chan bool // of one: to forward it, or to lose it and cut its connection

	mu   sync.Mutex // guards skip, which is -1 when the catch is made or taken back
	skip int
}

// CatchRequest holds the next request with that API key, after some that are let through, before the server has it.
func CatchRequest(proxies []*Proxy, key int16, skip int) *Catch { return catch(proxies, key, up, skip) }

// CatchAnswer holds the answer to the next request with that API key, after some that are let through: the server has
// done what was asked, and the client does not know.
func CatchAnswer(proxies []*Proxy, key int16, skip int) *Catch {
	return catch(proxies, key, down, skip)
}

func catch(proxies []*Proxy, key int16, side direction, skip int) *Catch {
	c := &Catch{key: key, side: side, skip: skip, caught: make(chan struct{}), release: make(chan bool, 1)}
	for _, p := range proxies {
		p.mu.Lock()
		p.catches = append(p.catches, c)
		p.mu.Unlock()
	}
	return c
}

// Caught is closed when it is held.
func (c *Catch) Caught() <-chan struct{} { return c.caught }

// Forward lets what is held go on, or what would have been held pass.
func (c *Catch) Forward() { c.decide(true) }

// Lose throws away what is held, now or when it comes, and cuts its connection.
func (c *Catch) Lose() { c.decide(false) }

// Cancel takes the catch back, unless it is made already.
func (c *Catch) Cancel() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.skip = -1
}

func (c *Catch) decide(forward bool) {
	select {
	case c.release <- forward:
	default: // it is decided already
	}
}

// caught waits while a request or an answer is held, and reports whether it is to be forwarded.
func (l *link) caught(d direction, key int16) bool {
	for _, c := range l.proxy.waiting() {
		if c.key != key || c.side != d || !c.take() {
			continue
		}
		select {
		case forward := <-c.release:
			return forward
		case <-l.over:
			return false
		}
	}
	return true
}

// waiting lists the catches that are not made yet.
func (p *Proxy) waiting() []*Catch {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.catches = slices.DeleteFunc(p.catches, (*Catch).made)
	return slices.Clone(p.catches)
}

func (c *Catch) made() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.skip < 0
}

// take counts one that fits, and reports whether it is the one.
func (c *Catch) take() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.skip < 0 {
		return false
	}
	if c.skip--; c.skip >= 0 {
		return false
	}
	close(c.caught)
	return true
}
