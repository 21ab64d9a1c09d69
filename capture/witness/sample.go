package witness

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// A Sampler looks at the activity again and again, where no commit waits for us. A transaction that it sees with its
// id is that session's; most short ones it does not see.
type Sampler struct {
	cfg    Config
	log    hclog.Logger
	every  time.Duration
	needed func() bool
	cancel context.CancelFunc
	done   chan struct{}

	mu    sync.Mutex // guards the rest
	turn  int        // how often it was begun anew
	seen  map[uint32]sampled
	order []uint32 // of seen, the oldest first; order[first:] counts
	first int
}

type sampled struct {
	session *Session
	last    time.Time
}

const (
	mostSampled = 200_000          // transactions that are kept until capture comes to them
	sampleRests = 30 * time.Second // a connection of that age is closed: a smart shutdown waits for ordinary sessions
	sampleHolds = 24 * time.Hour   // far less than 2^31 transactions take, after which an id comes again
)

// The lock on its own id, which each transaction holds, ties the id to the process: the view reads a process's facts first
// and its transaction id a moment later (pgstat_read_current_status in backend_status.c).
const sampleQuery = `
select clock_timestamp(), s.pid, s.backend_xid, pg_catalog.pg_get_userbyid(s.usesysid)::text, s.backend_start,
  s.application_name, host(s.client_addr), s.client_port, s.backend_type,
  (select d.datname::text from pg_catalog.pg_database d where d.oid = s.datid), null::text, null::timestamptz
from pg_catalog.pg_stat_get_activity(null) s
where s.backend_xid is not null and s.leader_pid is null and exists (select from pg_catalog.pg_locks l
  where l.locktype = 'transactionid' and l.pid = s.pid and l.transactionid = s.backend_xid and l.granted)`

// StartSampler looks every so often, as long as needed says so.
func StartSampler(ctx context.Context, cfg Config, every time.Duration, needed func() bool, log hclog.Logger) *Sampler {
	s := &Sampler{cfg: cfg, log: log, every: every, needed: needed, done: make(chan struct{}), seen: make(map[uint32]sampled)}
	ctx, s.cancel = context.WithCancel(ctx)
	go s.run(ctx)
	return s
}

// Close ends the looking and waits for it.
func (s *Sampler) Close() {
	s.cancel()
	<-s.done
}

func (s *Sampler) run(ctx context.Context) {
	defer close(s.done)
	var a *activity
	failing := false
	for ; ctx.Err() == nil; pause(ctx, s.every) {
		if !s.needed() {
			continue
		}
		err := s.sample(ctx, &a)
		if err != nil && !failing && ctx.Err() == nil {
			s.log.Warn("cannot see who is connected; trying again", "error", err)
		}
		if failing = err != nil; failing {
			pause(ctx, mostPause)
		}
	}
	if a != nil {
		a.close(ctx)
	}
}

func (s *Sampler) sample(ctx context.Context, a **activity) (err error) {
	if *a == nil {
		if *a, err = openActivity(ctx, &s.cfg); err != nil {
			return err
		}
	}
	if (*a).reopen(ctx, &s.cfg) {
		s.Forget()
	}
	turn := s.current()
	if time.Since((*a).made) > sampleRests {
		(*a).close(ctx)
		*a = nil
		return nil
	}
	snap, err := (*a).snapshot(ctx, "sample", sampleQuery, nil)
	if err != nil {
		return fmt.Errorf("look who is active: %w", err)
	}
	s.note(snap, turn)
	return nil
}

func (s *Sampler) current() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.turn
}

// note keeps what was seen, up to a bound, unless all was forgotten after it had been asked for.
func (s *Sampler) note(snap *snapshot, turn int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if turn != s.turn {
		return
	}
	for xid, session := range snap.sessions {
		if _, again := s.seen[xid]; !again {
			s.order = append(s.order, xid)
		}
		s.seen[xid] = sampled{session, snap.at}
	}
	for len(s.order)-s.first > mostSampled {
		delete(s.seen, s.order[s.first])
		s.first++
	}
	if s.first > mostSampled { // amortised
		s.order = append(s.order[:0], s.order[s.first:]...)
		s.first = 0
	}
}

// Forget begins anew. When the server has crashed, ids of transactions that had not reached the disk are given again, to
// others. All connections end with it, but which of them is back first nobody knows: it is called with each new session at
// the slot, too, before that asks for a transaction.
func (s *Sampler) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn++
	clear(s.seen)
	s.order, s.first = nil, 0
}

// Of returns the session that was seen with the transaction, nil if none was.
func (s *Sampler) Of(xid uint32, committed time.Time) *Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.seen[xid]
	if !ok || committed.Sub(found.last).Abs() > sampleHolds {
		return nil
	}
	return found.session
}
