package publish

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"pgwitness/decode"
)

// ErrFenced says that another instance has taken over our transactional id.
var ErrFenced = errors.New("another pgwitness took over this prefix; this one must stop")

// errClosed is what calls end with that close meets.
var errClosed = errors.New("publish: closed")

// A delivery brings records to partitions under one transactional id: it opens topics, fences them, sends batches,
// repeats them and takes the answers. What is sent, and what an acknowledgement means, is its owner's: a Sink's or a
// Journal's.
//
// The owner's goroutine opens topics and adds records; flights and renewals run beside it and end with close. All of
// them share mu, and the owner guards by it what flights and other goroutines see of its own. Nothing is awaited while
// mu is held but in wait, which gives it up meanwhile.
type delivery struct {
	cfg             Config
	transactionalID string
	log             hclog.Logger
	cluster         *cluster
	codec           codec
	rest            time.Duration // between two small flights, 0 for none
	memory          memory
	ctx             context.Context // of the flights: ended by close
	cancel          context.CancelFunc
	flights         sync.WaitGroup

	// acknowledged is called after answers were taken, by a flight that holds mu. It must not block. An error ends the
	// delivery.
	acknowledged func() error

	mu       sync.Mutex   // guards everything below, and the partitions
	fenced   []*partition // of all topics, in the order of opening
	lanes    []*lane
	active   []*partition // with a queue
	buffered int          // bytes in queues
	free     []*batch     // for reuse
	progress progress
	producer producer      // written while nothing is under way, so that a flight may read it without mu
	holding  bool          // no batch may be begun: the producer id is being renewed
	grounded bool          // no flight may start: topics are being opened
	change   chan struct{} // closed and replaced whenever something of the above advances
	err      error         // why delivery ended
}

// newDelivery makes a delivery that has not spoken to a broker yet. The context's end does not end it.
func newDelivery(ctx context.Context, cfg Config, transactionalID string, log hclog.Logger) (*delivery, error) {
	codec, err := newCodec(cfg.Compression)
	if err != nil {
		return nil, err
	}
	d := &delivery{
		cfg:             cfg,
		transactionalID: transactionalID,
		log:             log,
		cluster:         newCluster(cfg, log),
		codec:           codec,
		change:          make(chan struct{}),
	}
	d.ctx, d.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return d, nil
}

// takeOver makes us the producer of the transactional id.
func (d *delivery) takeOver(ctx context.Context) error {
	var err error
	if d.producer, err = d.cluster.takeOver(ctx, d.transactionalID, anybody, d.cfg.Held); err != nil {
		return err
	}
	d.memory = d.cluster.expirations(ctx)
	return nil
}

// close ends the flights without waiting for acknowledgements.
func (d *delivery) close() {
	d.mu.Lock()
	if d.err == nil {
		d.err = errClosed
		d.changed()
	}
	d.mu.Unlock()
	d.cancel()
	d.flights.Wait()
	d.cluster.close()
}

// room waits until the buffer takes size bytes more, or is empty. The caller holds d.mu.
func (d *delivery) room(ctx context.Context, size int) error {
	return d.wait(ctx, func() bool { return d.buffered == 0 || d.buffered+size <= d.cfg.BufferBytes })
}

// drain waits until everything sent is acknowledged. The caller holds d.mu.
func (d *delivery) drain(ctx context.Context) error {
	if err := d.wait(ctx, func() bool { return len(d.active) == 0 }); err != nil {
		return fmt.Errorf("wait for Kafka's last acknowledgements: %w", err)
	}
	return nil
}

// enqueue adds a record to the partition's open batch. The caller holds d.mu.
func (d *delivery) enqueue(p *partition, op decode.Op, millis int64, key, value, id []byte) {
	size := len(key) + len(value) + recordOverhead
	b := p.open(size, min(d.cfg.BatchBytes, p.topic.limit-headerSize))
	if b == nil {
		b = d.fresh()
		p.queue = append(p.queue, b)
		if len(p.queue) == 1 {
			d.activate(p)
			d.list(p)
		}
	}
	held := b.size()
	b.add(d.progress.next, millis, key, value, id)
	d.progress.next++
	d.buffered += b.size() - held
	b.tally.add(op, millis, b.size()-held)
}

func (d *delivery) fresh() *batch {
	if n := len(d.free); n > 0 {
		b := d.free[n-1]
		d.free = d.free[:n-1]
		return b
	}
	return new(batch)
}

func (d *delivery) recycle(b *batch) {
	if len(d.free) >= 8 { // what a steady stream to a few partitions turns over
		return
	}
	b.reset()
	d.free = append(d.free, b)
}

// oldest is the number of the oldest record that is not acknowledged. The caller holds d.mu.
func (d *delivery) oldest() uint64 {
	oldest := d.progress.next
	for _, p := range d.active {
		oldest = min(oldest, p.queue[0].from)
	}
	return oldest
}

func (d *delivery) activate(p *partition) {
	p.active = len(d.active)
	d.active = append(d.active, p)
}

func (d *delivery) deactivate(p *partition) {
	last := d.active[len(d.active)-1]
	d.active[p.active] = last
	last.active = p.active
	d.active = d.active[:len(d.active)-1]
	p.active = -1
}

// wait blocks until ok or an error, or until ctx ends. The caller holds d.mu, and holds it again afterwards.
func (d *delivery) wait(ctx context.Context, ok func() bool) error {
	for d.err == nil && !ok() {
		change := d.change
		d.mu.Unlock()
		select {
		case <-change:
		case <-ctx.Done():
			d.mu.Lock()
			return context.Cause(ctx)
		}
		d.mu.Lock()
	}
	return d.err
}

// changed wakes everybody in wait. The caller holds d.mu.
func (d *delivery) changed() {
	close(d.change)
	d.change = make(chan struct{})
}

// fail ends the delivery. The caller holds d.mu.
func (d *delivery) fail(err error) {
	if d.err != nil {
		return
	}
	d.err = err
	d.changed()
	if d.cfg.Failed != nil {
		d.cfg.Failed(err)
	}
}

// counted is what the delivery can say of Stats.
func (d *delivery) counted() Stats {
	st := Stats{Buffered: d.buffered, Published: d.progress.durable}
	var oldest *batch
	for _, p := range d.active {
		if p.failures > 0 {
			st.Failing++
		}
		if b := p.queue[0]; oldest == nil || b.from < oldest.from {
			oldest = b
		}
	}
	if oldest != nil {
		st.Oldest = time.UnixMilli(oldest.first)
	}
	return st
}
