package capture

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
)

const (
	watchEvery = 10 * time.Second
	restAfter  = 30 * time.Second // the catalogue connection is closed
	patience   = 20 * time.Second // with a server that shuts down and waits for us, or that cannot be reached
	manyAsks   = 5                // in watchEvery; our status comes more often than a healthy server asks
)

// A watcher asks the server over the catalogue connection what the stream cannot tell: whether a silent server is busy
// or gone, and whether a server that waits for us is shutting down. Both are asked only on suspicion.
type watcher struct {
	probe  *probe
	cancel context.CancelFunc
	done   chan struct{}
}

func startWatcher(ctx context.Context, l *link, p *probe, log hclog.Logger) *watcher {
	ctx, cancel := context.WithCancel(ctx)
	w := &watcher{probe: p, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		ticker := time.NewTicker(watchEvery)
		defer ticker.Stop()
		suspicion := suspicion{link: l}
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			p.catalogue.rest(ctx, restAfter)
			if !suspicion.rises() && !p.standby {
				continue
			}
			held, err := p.ask(ctx)
			if ctx.Err() != nil {
				return
			}
			if cause := suspicion.judge(held, err, time.Now()); cause != nil {
				l.fail(cause)
				return
			}
			if err != nil {
				log.Warn("the replication connection is quiet and the server does not answer", "error", err)
			}
		}
	}()
	return w
}

func (w *watcher) stop() {
	w.cancel()
	<-w.done
}

// A probe is the question whether the server still serves our session.
type probe struct {
	catalogue *catalogue
	slot      string
	pid       uint32
	standby   bool // when the session began
}

var errPromoted = errors.New("the standby has been promoted: a new timeline begins")

func (p *probe) ask(ctx context.Context) (held bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, watchEvery)
	defer cancel()
	var standby bool
	err = p.catalogue.query(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `select pg_is_in_recovery(),
			exists (select from pg_catalog.pg_replication_slots where slot_name = $1 and active_pid = $2)`,
			p.slot, int64(p.pid)).Scan(&standby, &held)
	})
	if err == nil && p.standby && !standby {
		return held, errPromoted
	}
	return held, err
}

// Held returns an error when our session does not hold the slot any more: whoever was stopped for a while asks before
// pushing a successor aside. Where there is none it is an AwayError.
func (s *Source) Held(ctx context.Context) error {
	held, err := s.watcher.probe.ask(ctx)
	if err != nil || held {
		return Away(err)
	}
	if successor := s.catalogue.successor(ctx, s.slot, s.pid); successor != nil {
		return fmt.Errorf("our session was ended, and slot %q %w", s.slot, successor)
	}
	return &AwayError{fmt.Errorf("slot %q is not held by our session any more", s.slot)}
}

// A suspicion follows the connection from one look to the next.
type suspicion struct {
	link        *link
	reads, asks uint64
	quiet       bool // nothing has been read since the last look

	confirmed pglogrepl.LSN // at the time since
	since     time.Time     // the answers have been bad without progress
	unheld    int           // looks in a row that found our session gone
}

// rises looks at the connection; nothing read means that the server is silent or that nobody reads.
func (s *suspicion) rises() bool {
	reads, asks := s.link.reads.Load(), s.link.asks.Load()
	s.quiet = reads == s.reads
	rises := s.quiet || asks-s.asks >= manyAsks
	s.reads, s.asks = reads, asks
	if !rises {
		s.since, s.unheld = time.Time{}, 0
	}
	return rises
}

// judge returns why the connection is to be given up, or nil.
func (s *suspicion) judge(held bool, err error, now time.Time) error {
	if errors.Is(err, errPromoted) {
		return err
	}
	if err == nil && held {
		s.since, s.unheld = time.Time{}, 0
		return nil
	}
	if confirmed := s.link.durable(); s.since.IsZero() || confirmed != s.confirmed {
		s.since, s.confirmed = now, confirmed
	}
	if err == nil {
		// What the server sent before it ended the session, its error first of all, may still be unread.
		if s.unheld++; s.unheld > 1 && s.link.waiting.Load() && s.quiet {
			return errors.New("the server has ended the session, and the connection did not tell")
		}
		return nil
	}
	if now.Sub(s.since) < patience {
		return nil
	}
	if shuttingDown(err) {
		return fmt.Errorf("the server is shutting down and waits for confirmation beyond %s, which does not come; "+
			"given up so that it can stop: %w", s.confirmed, err)
	}
	if s.quiet && s.link.waiting.Load() && !answered(err) {
		return fmt.Errorf("the server has been silent for %s and cannot be reached: %w", now.Sub(s.since).Round(time.Second), err)
	}
	return nil
}
