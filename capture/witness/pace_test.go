package witness

import (
	"testing"
	"time"
)

// The faster query is taken, one that has become slow is left, and one that was slow gets another chance.
func TestPace(t *testing.T) {
	var p pace
	now := time.Now()
	cost := [2]time.Duration{100 * time.Microsecond, 300 * time.Microsecond}
	play := func(seconds int) (byLocks int) {
		for range 100 * seconds {
			now = now.Add(10 * time.Millisecond)
			by := p.byLocks(now)
			if by {
				byLocks++
				p.took(true, cost[1])
			} else {
				p.took(false, cost[0])
			}
		}
		return byLocks
	}
	if n := play(20); n < 4 || n > 6 {
		t.Errorf("with few sessions %d of 2000 look-ups go by locks", n)
	}
	cost[0] = time.Millisecond // many sessions
	if n := play(20); n < 1900 {
		t.Errorf("with many sessions %d of 2000 look-ups go by locks", n)
	}
	cost[0] = 100 * time.Microsecond
	play(10 * weight) // a try every five seconds moves the mean slowly
	if n := play(20); n > 10 {
		t.Errorf("with few sessions again %d of 2000 look-ups go by locks", n)
	}
}
