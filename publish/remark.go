package publish

import (
	"context"
	"errors"
	"fmt"

	"github.com/segmentio/kafka-go/protocol"
)

// ErrMarkedAgain ends a run whose offsets are not where they were expected, because a marker of ours stands between.
var ErrMarkedAgain = errors.New("a broker wrote our fence's marker once more; start again")

// displaced finds out why a batch lies further on than where the one before ended. A marker may be written more than
// once: a transaction coordinator that starts anew, or does not hear the leader's answer, has it written again
// (TransactionMarkerChannelManager.scala). That is harmless, but offsets that the control topic is told are counted from
// batch to batch, so the run begins anew. Anything else is not ours. The partition stays busy, so nothing follows the
// batch. The caller holds d.mu.
func (d *delivery) displaced(p *partition, base int64) {
	from, own := p.next, d.producer.id
	strange := fmt.Errorf("%s gave offset %d to a batch that follows offset %d: somebody else writes to the topic, "+
		"or the broker lost records", p, base, from-1)
	if base < from {
		d.fail(strange)
		return
	}
	d.flights.Go(func() {
		ours, err := d.onlyMarkers(p, from, base, own)
		d.mu.Lock()
		defer d.mu.Unlock()
		switch {
		case err != nil:
			d.fail(fmt.Errorf("%w; what lies there could not be read: %w", strange, err))
		case ours:
			d.fail(fmt.Errorf("write to %s: %w", p, ErrMarkedAgain))
		default:
			d.fail(strange)
		}
	})
}

// onlyMarkers reports whether nothing but markers of a producer lies from one offset up to another, exclusively.
func (d *delivery) onlyMarkers(p *partition, from, to, producer int64) (bool, error) {
	ours := true
	cu := &cursor{partition: p, at: from}
	cu.record = func(r *stored) error {
		ours = ours && r.offset >= to
		return nil
	}
	cu.marker = func(b *protocol.ControlBatch) {
		ours = ours && (b.BaseOffset >= to || b.ProducerID == producer)
	}
	err := d.cluster.retry(d.ctx, fmt.Sprintf("read %s from offset %d", p, from), func(ctx context.Context) error {
		for cu.at < to {
			if err := d.cluster.fetch(ctx, []*cursor{cu}); err != nil {
				return err
			}
		}
		return nil
	})
	return ours && !cu.expired, err
}
