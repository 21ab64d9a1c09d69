package publish

import "time"

// Nobody waits for a row, and every request costs the broker and us far more than a row does: at thousands of small
// transactions a second, and a broker that answers in a fraction of a millisecond, a request carries a handful. So a
// lane rests between two small flights. That leaves more of the machine to the database: with 32 clients under hold
// (remote_write) the rate rose from 0.75 to 0.84 of that beside pg_receivewal --synchronous, medians of two rounds on
// two cores. After a pause the first record leaves at once, as ever: what is rare waits for nothing.
//
// Where records come so fast that they soon fill a large batch, as in a catch-up, the rest is as long as that takes: of
// 600,000 rows over TCP the broker then took 2.2 µs of processor time each instead of 3.0, and we 4.7 instead of 5.1.
const (
	sinkRest  = 2 * time.Millisecond
	mostRest  = 20 * time.Millisecond
	restBytes = 256 << 10 // with so much at hand the next flight is not small
)

// rests reports whether the lane's next flight is not due yet, and sees to it that it leaves when it is. The caller holds
// d.mu.
func (d *delivery) rests(l *lane) bool {
	if d.rest == 0 || d.buffered >= restBytes {
		return false
	}
	if l.resting {
		return true
	}
	due := l.pause(d.rest) - time.Since(l.left)
	if due <= 0 {
		return false
	}
	l.resting = true
	d.flights.Go(func() {
		sleep(d.ctx, due)
		d.mu.Lock()
		defer d.mu.Unlock()
		l.resting = false
		d.dispatch()
	})
	return true
}

// pause is how long the lane rests: as long as restBytes take at the rate of its last flight if that is not long, and
// least otherwise.
func (l *lane) pause(least time.Duration) time.Duration {
	if fill := l.apart.Seconds() * restBytes / float64(max(l.carried, 1)); fill <= mostRest.Seconds() {
		return max(least, time.Duration(fill*float64(time.Second)))
	}
	return least
}
