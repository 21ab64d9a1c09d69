package main

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/jackc/pglogrepl"

	"pgwitness/capture"
	"pgwitness/publish"
)

// A backlog is what the server had for the slot when a session began, and how far it has been worked off.
type backlog struct {
	from, to pglogrepl.LSN
	began    time.Time
	records  uint64 // that the run had delivered by then

	last mark // at the last line
}

// A mark is how far it had come at a time.
type mark struct {
	at      time.Time
	pos     pglogrepl.LSN
	records uint64
}

const (
	leastBacklog = 64 << 20 // bytes of WAL: some seconds' work
	firstLine    = 10 * time.Second
	mostQuiet    = time.Minute
	barEvery     = time.Second
)

// watchBacklog tells how a session works off its backlog, until that is done or ctx ends. The channel that it returns is
// closed then.
func (r *runner) watchBacklog(ctx context.Context, slot *capture.Source, kafka *publish.Sink) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		seen := r.monitor.lookout.look(ctx)
		if seen == nil {
			return
		}
		end := seen.now
		if until := r.what.until; until != 0 {
			end = min(end, until)
		}
		if end < slot.Start()+leastBacklog {
			return
		}
		b := backlog{from: slot.Start(), to: end, began: time.Now(), records: r.meter.records()}
		b.last = mark{b.began, b.from, b.records}
		r.log.Info("there is a backlog", "from", b.from.String(), "to", b.to.String(), "wal", bytesText(int64(b.to-b.from)))
		b.follow(ctx, r, kafka)
	}()
	return done
}

func (b *backlog) follow(ctx context.Context, r *runner, kafka *publish.Sink) {
	defer r.console.show("")
	ticker := time.NewTicker(barEvery)
	defer ticker.Stop()
	pause := firstLine
	for over := false; !over; {
		select {
		case <-ctx.Done():
			over = true // perhaps because it is worked off: a run with --until
		case <-ticker.C:
		}
		now := mark{time.Now(), kafka.Stats().Published, r.meter.records()}
		if now.pos >= b.to {
			took := now.at.Sub(b.began)
			r.log.Info("the backlog is worked off", "took", took.Round(time.Second), "records", now.records-b.records,
				"wal_per_second", bytesText(int64(float64(b.to-b.from)/took.Seconds())))
			return
		}
		p := b.progress(now)
		if over || r.console.show(p.bar()) {
			continue
		}
		if now.at.Sub(b.last.at) >= pause {
			p.tell(r.log)
			b.last = now
			pause = min(pause+firstLine, mostQuiet)
		}
	}
}

// A progress is one line's worth.
type progress struct {
	share   float64       // of the WAL
	wal     float64       // bytes a second since the last line
	records float64       // a second, as well
	left    time.Duration // at the rate of the whole; negative where nothing has moved
}

func (b *backlog) progress(now mark) progress {
	seconds := now.at.Sub(b.last.at).Seconds()
	p := progress{
		share:   float64(now.pos-b.from) / float64(b.to-b.from),
		wal:     float64(now.pos-b.last.pos) / seconds,
		records: float64(now.records-b.last.records) / seconds,
		left:    -1,
	}
	if p.share > 0 {
		took := now.at.Sub(b.began)
		p.left = time.Duration(float64(took) * (1 - p.share) / p.share)
	}
	return p
}

func (p progress) tell(log hclog.Logger) {
	log.Info("backlog", "percent", fmt.Sprintf("%.1f", 100*p.share), "wal_per_second", bytesText(int64(p.wal)),
		"records_per_second", int64(p.records), "left", p.leftText())
}

func (p progress) bar() string {
	return fmt.Sprintf("%s %5.1f %%  %s/s  %d records/s  %s left", bar(p.share), 100*p.share, bytesText(int64(p.wal)), int64(p.records), p.leftText())
}

func (p progress) leftText() string {
	if p.left < 0 {
		return "unknown time"
	}
	return p.left.Round(time.Second).String()
}
