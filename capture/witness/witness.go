package witness

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Config says whom to witness.
type Config struct {
	Name       string                                        // of the physical slot and of our session, as in synchronous_standby_names
	System     uint64                                        // the server's identifier
	TimelineOf func(pglogrepl.LSN) uint32                    // its history
	Connect    func(context.Context) (*pgx.Conn, error)      // an ordinary session in the database's own encoding
	Replicate  func(context.Context) (*pgconn.PgConn, error) // a session in physical replication mode, under Name
	// Text makes UTF-8 of a name in the encoding of Connect's sessions.
	Text func(context.Context, []byte) (string, error)

	// Wait makes Start wait for a slot that somebody else holds, as long as it takes.
	Wait bool
	// TakeoverAfter, if not 0, lets Start end a session that holds the slot and does not go for so long. Whoever sets it
	// must hold the logical slot.
	TakeoverAfter time.Duration

	// Waited, if set, is called with how long commits, and as many of them, have waited for us from when we received them:
	// until their sessions were known (synchronous_commit = remote_write waits for that), and until that was durable in
	// the journal (on, remote_apply). It must not block, nor call the Witness.
	Waited func(level Level, wait time.Duration, commits int)

	// Failed is called once, when the witness ends by itself: only a new start can help. It must not block.
	Failed func(error)
}

// A Witness reads a cluster's log as its synchronous standby.
type Witness struct {
	cfg     Config
	log     hclog.Logger
	journal Journal
	memory  *memory
	cancel  context.CancelFunc
	done    chan struct{}

	// Of the goroutine that reads.
	book     book
	state    state
	former   uint32        // the walsender of the last session
	resumed  bool          // there was a witness before this one
	joined   pglogrepl.LSN // the server's position when this one began
	answered atomic.Uint64 // end of the last whole record before which everything is answered
	appended atomic.Uint64 // end of the newest record of the journal
	durable  atomic.Uint64 // end of the newest one that is durable

	mu       sync.Mutex // guards the rest
	reporter *reporter  // of the present session, nil between two
	pending  []arrival  // in order
	lost     time.Time  // since when there is no session
	stats    Stats
}

// An arrival is when commits were received that are not durable in the journal yet.
type arrival struct {
	end     pglogrepl.LSN
	at      time.Time
	commits int
}

// A Level is what a commit waits for.
type Level string

const (
	Known   Level = "known"   // its session
	Durable Level = "durable" // and that it is written down
)

func (w *Witness) waited(level Level, a arrival) {
	if w.cfg.Waited != nil {
		w.cfg.Waited(level, time.Since(a.at), a.commits)
	}
}

// New makes a witness that does nothing yet: the journal, which it needs, needs its Durable.
func New(cfg Config, log hclog.Logger) *Witness {
	return &Witness{cfg: cfg, log: log, done: make(chan struct{})}
}

// Durable takes the position up to which the journal is durable. It does not block.
func (w *Witness) Durable(pos pglogrepl.LSN) {
	w.durable.Store(uint64(pos))
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.pending) > 0 && w.pending[0].end <= pos {
		w.waited(Durable, w.pending[0])
		w.pending = w.pending[1:]
	}
	if w.reporter != nil {
		w.reporter.poke()
	}
}

// flushed is what the server may be told as flushed: where nothing is under way to the journal, the log without commits
// after it counts, too.
func (w *Witness) flushed() pglogrepl.LSN {
	answered := w.answered.Load()
	if durable := w.durable.Load(); durable < w.appended.Load() {
		return pglogrepl.LSN(durable)
	}
	return pglogrepl.LSN(answered)
}

// Start takes up where the journal ends, and reads until Close. ctx bounds the beginning only. Its error says what is
// wrong and how to mend it.
func (w *Witness) Start(ctx context.Context, journal Journal) error {
	w.journal = journal
	s, err := w.firstSession(ctx)
	if err != nil {
		return err
	}
	ctx, w.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go w.run(ctx, s)
	return nil
}

// Close ends the witness and waits for it. What it has not answered waits for the next one.
func (w *Witness) Close() {
	if w.cancel != nil {
		w.cancel()
		<-w.done
	}
}

// release is how long the slot may be in use that is free in truth: a walsender notices late that its client has gone.
const release = 2 * time.Second

// looks is how often that is looked at.
const looks = 20

// firstSession waits for a predecessor to go.
func (w *Witness) firstSession(ctx context.Context) (*session, error) {
	limit := max(release, w.cfg.TakeoverAfter)
	rivals := 0
	for began := time.Now(); ; {
		s, err := w.open(ctx)
		switch {
		case err == nil:
			return s, nil
		case errors.Is(err, errRival) && rivals < looks && ctx.Err() == nil:
			// A walsender that ends lets go of its slot a moment before it leaves the list of standbys (ReplicationSlotInitialize
			// in slot.c runs before_shmem_exit, InitWalSenderSlot in walsender.c on_shmem_exit): it may be the predecessor's.
			if rivals++; rivals == 1 {
				w.log.Info("waiting for another standby to go", "reason", err)
			}
		case !errors.Is(err, errInUse) || ctx.Err() != nil:
			return nil, err
		case time.Since(began) <= limit:
		case w.cfg.TakeoverAfter > 0:
			if err := w.endHolder(ctx, 0); err != nil {
				return nil, err
			}
			began = time.Now()
		case !w.cfg.Wait:
			return nil, err
		}
		pause(ctx, release/looks)
	}
}

// run keeps a session up.
func (w *Witness) run(ctx context.Context, s *session) {
	defer close(w.done)
	wait := leastPause
	for {
		var err error
		if s != nil {
			wait = leastPause
			err = s.serve(ctx)
			w.leave(ctx, s)
		}
		for ; ctx.Err() == nil && !final(err); wait = min(2*wait, mostPause) {
			if err != nil {
				w.log.Warn("the witness is away; commits may be waiting", "error", err)
			}
			pause(ctx, wait)
			if s, err = w.open(ctx); err == nil {
				w.log.Info("the witness is back")
				break
			}
			if errors.Is(err, errInUse) { // by our own last session, perhaps, whose end the server has not noticed
				if err := w.endHolder(ctx, w.former); err != nil {
					w.log.Debug("the witness's last session cannot be ended", "error", err)
				}
			}
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			w.cfg.Failed(fmt.Errorf("the witness: %w", err))
			return
		}
	}
}

const (
	leastPause = 50 * time.Millisecond
	mostPause  = 2 * time.Second
)

// final tells what another session would meet again from what passes.
func final(err error) bool {
	var broken *brokenError
	return errors.Is(err, ErrHistory) || errors.As(err, &broken)
}

// A brokenError is one of the log itself or of the journal.
type brokenError struct{ error }

func (e *brokenError) Unwrap() error { return e.error }

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// Stats is what a witness says of itself. The counts are of its whole life.
type Stats struct {
	LookUps, Failures uint64
	Commits, Named    uint64        // commit records, and those whose session is known
	Streaming         bool          // it has a session
	Behind            time.Duration // how long the oldest commit has waited that is not durable in the journal, or how long there is no session
}

// Stats may be called by any goroutine.
func (w *Witness) Stats() Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	st := w.stats
	st.Streaming = w.reporter != nil
	if len(w.pending) > 0 {
		st.Behind = time.Since(w.pending[0].at)
	}
	if !st.Streaming && !w.lost.IsZero() {
		st.Behind = max(st.Behind, time.Since(w.lost))
	}
	return st
}
