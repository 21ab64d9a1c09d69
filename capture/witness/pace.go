package witness

import "time"

// A pace decides by which of two queries sessions are looked up: the one that has been faster lately. Which that is
// depends on the number of sessions, of clients that are busy, and on max_connections.
type pace struct {
	mean  [2]time.Duration // of a look-up without locks, and by them; 0: not tried yet
	tried time.Time        // when the slower one was tried last
}

const (
	tryEvery = 5 * time.Second
	weight   = 8 // of the past in the mean, against 1
)

// byLocks chooses. The one that is slower is tried again once in a while: the number of sessions changes.
func (p *pace) byLocks(now time.Time) bool {
	switch {
	case p.mean[0] == 0:
		return false
	case p.mean[1] == 0:
		return true
	}
	faster := p.mean[1] < p.mean[0]
	if now.Sub(p.tried) > tryEvery {
		p.tried = now
		return !faster
	}
	return faster
}

// took learns what a look-up has cost.
func (p *pace) took(byLocks bool, d time.Duration) {
	i := 0
	if byLocks {
		i = 1
	}
	if p.mean[i] == 0 {
		p.mean[i] = max(d, 1)
		return
	}
	p.mean[i] = (weight*p.mean[i] + d) / (weight + 1)
}
