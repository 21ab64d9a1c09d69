package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/jackc/pgx/v5"

	"pgwitness/capture/witness"
	"pgwitness/publish"
)

// A keeper sees to it that commits do not wait for a witness that cannot answer. When a commit has waited for hold.max_wait,
// it gives hold up: it takes our name out of synchronous_standby_names, which lets every session go, and says so in the
// trail. When the witness answers at once again, it takes hold up again.
type keeper struct {
	cfg  *config
	name string // of the witness
	log  hclog.Logger
	born time.Time

	witness atomic.Pointer[witness.Witness] // nil until it has started
	force   atomic.Bool                     // our name is in the list
	news    chan struct{}                   // of one: there is something to tell

	mu     sync.Mutex // guards the rest
	state  holdMemory
	events []publish.Observation
	looked bool // force is known
	ending bool // the run ends: what is given up is not taken up again
	conn   *pgx.Conn

	cancel context.CancelFunc
	done   chan struct{}

	// Of the goroutine.
	asked time.Time            // when the list was read last
	stuck map[waiter]time.Time // sessions that wait for a standby, since when we know of it
	well  time.Time            // since when the witness answers at once; zero when it does not
	pause time.Duration        // before hold is taken up again
}

// A holdMemory is what the next run must know of hold.
type holdMemory struct {
	GivenUp string `json:"given_up,omitempty"` // why, until it is taken up again
}

// A waiter is a session in a commit.
type waiter struct {
	pid int32
	xid string
}

// A holdEvent is what the control topic says when hold changes.
type holdEvent struct {
	Change string `json:"change"` // given_up, taken_up; on, off when somebody else did it
	Reason string `json:"reason,omitempty"`
	Name   string `json:"name"`
}

const (
	keepTick   = 200 * time.Millisecond
	namesEvery = 5 * time.Second
	wellFor    = 2 * time.Second                 // before hold is taken up again, the first time
	longestOut = 5 * time.Minute                 // and at the most
	keepTime   = setStandbysTime + 5*time.Second // for one question, or one change of the list
)

func startKeeper(ctx context.Context, cfg *config, name string, log hclog.Logger) *keeper {
	k := &keeper{
		cfg: cfg, name: name, log: log, born: time.Now(), news: make(chan struct{}, 1),
		done: make(chan struct{}), stuck: map[waiter]time.Time{}, pause: wellFor,
	}
	ctx, k.cancel = context.WithCancel(ctx)
	go k.run(ctx)
	return k
}

// close ends the keeping; hold stays as it is.
func (k *keeper) close(ctx context.Context) {
	k.cancel()
	<-k.done
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.conn != nil {
		k.conn.Close(ctx)
	}
}

func (k *keeper) run(ctx context.Context) {
	defer close(k.done)
	ticker := time.NewTicker(keepTick)
	defer ticker.Stop()
	failing := false
	for {
		err := k.keep(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil && !failing {
			k.log.Warn("cannot see whether commits are waiting; trying again", "error", err)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// keep looks once.
func (k *keeper) keep(ctx context.Context) error {
	if time.Since(k.asked) >= namesEvery {
		if err := k.look(ctx); err != nil {
			return err
		}
		k.asked = time.Now()
	}
	behind := k.behind()
	k.mu.Lock()
	given := k.state.GivenUp != ""
	k.mu.Unlock()
	switch limit := k.cfg.Hold.MaxWait; {
	case given:
		return k.recover(ctx, behind)
	case k.force.Load() && k.cfg.Hold.OnStop == "off" && limit > 0 && behind > limit/2:
		return k.judge(ctx, limit)
	}
	clear(k.stuck)
	return nil
}

// behind is how long the witness has owed an answer.
func (k *keeper) behind() time.Duration {
	if w := k.witness.Load(); w != nil {
		return w.Stats().Behind
	}
	return time.Since(k.born)
}

// look reads whether our name is in the list.
func (k *keeper) look(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	now, err := k.listed(ctx)
	if err != nil {
		return err
	}
	was, looked := k.force.Load(), k.looked
	k.force.Store(now)
	k.looked = true
	switch {
	case now == was && looked:
	case now && k.state.GivenUp != "": // somebody was quicker
		k.state.GivenUp = ""
		k.tell(holdEvent{Change: "on"})
	case !looked && now:
		k.log.Info("hold is in force: commits wait for the witness", "name", k.name)
	case !looked:
		k.log.Warn("hold is not in force: no commit waits for the witness; run pgwitness setup --hold --apply", "name", k.name)
	case now:
		k.tell(holdEvent{Change: "on"})
	case k.state.GivenUp == "":
		k.tell(holdEvent{Change: "off"})
	}
	return nil
}

// listed reads whether commits wait for the witness. The caller holds k.mu.
func (k *keeper) listed(ctx context.Context) (bool, error) {
	var names string
	err := k.query(ctx, func(ctx context.Context, conn *pgx.Conn) (err error) {
		names, _, err = readStandbys(ctx, conn)
		return err
	})
	if err != nil {
		return false, err
	}
	list, err := parseStandbys(names)
	return list.has(k.name), err
}

// tell has the trail told. The caller holds k.mu.
func (k *keeper) tell(e holdEvent) {
	e.Name = k.name
	k.log.Warn("hold has changed", "change", e.Change, "reason", e.Reason)
	detail, err := json.Marshal(e)
	if err != nil {
		return // strings cannot fail
	}
	k.events = append(k.events, publish.Observation{Op: "hold", Detail: detail})
	select {
	case k.news <- struct{}{}:
	default:
	}
}

// take returns what the trail has not been told yet, and the state.
func (k *keeper) take() ([]publish.Observation, holdMemory) {
	k.mu.Lock()
	defer k.mu.Unlock()
	events := k.events
	k.events = nil
	return events, k.state
}

// giveBack returns what the trail could not be told.
func (k *keeper) giveBack(events []publish.Observation) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.events = append(events, k.events...)
}

// recall takes up the state of the run before.
func (k *keeper) recall(state holdMemory) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.state.GivenUp == "" && !k.force.Load() {
		k.state = state
	}
}

// judge gives hold up when a session has waited for too long. Only one that is seen to wait twice in the same commit
// counts: with synchronous_commit = remote_write nobody waits for Kafka.
func (k *keeper) judge(ctx context.Context, limit time.Duration) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	seen := map[waiter]time.Time{}
	err := k.query(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `select pid, coalesce(backend_xid::text, '') from pg_catalog.pg_stat_activity where wait_event = 'SyncRep'`)
		if err != nil {
			return err
		}
		var one waiter
		_, err = pgx.ForEachRow(rows, []any{&one.pid, &one.xid}, func() error {
			since, known := k.stuck[one]
			if !known {
				since = now
			}
			seen[one] = since
			return nil
		})
		return err
	})
	if err != nil {
		return err
	}
	k.stuck = seen
	for _, since := range seen {
		if now.Sub(since) >= limit/2 {
			return k.giveUp(ctx, fmt.Sprintf("commits have waited for %s", limit))
		}
	}
	return nil
}

// giveUp takes our name out of the list. The caller holds k.mu.
func (k *keeper) giveUp(ctx context.Context, reason string) error {
	err := k.query(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		_, err := holdOff(ctx, conn, k.name)
		return err
	})
	if err != nil { // it may have been done all the same
		if still, failed := k.listed(ctx); still || failed != nil {
			return fmt.Errorf("give up hold, because %s: %w; run pgwitness hold off", reason, err)
		}
	}
	k.state.GivenUp = reason
	k.force.Store(false)
	k.well = time.Time{}
	k.tell(holdEvent{Change: "given_up", Reason: reason})
	return nil
}

// recover takes hold up again when the witness has answered at once for a while, a longer one each time.
func (k *keeper) recover(ctx context.Context, behind time.Duration) error {
	w := k.witness.Load()
	if w == nil || !w.Stats().Streaming || behind > time.Second {
		k.well = time.Time{}
		return nil
	}
	if k.well.IsZero() {
		k.well = time.Now()
	}
	if time.Since(k.well) < k.pause {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ending {
		return nil
	}
	if err := k.query(ctx, func(ctx context.Context, conn *pgx.Conn) error { return holdOn(ctx, conn, k.name) }); err != nil {
		return fmt.Errorf("take up hold again: %w", err)
	}
	k.pause = min(2*k.pause, longestOut)
	k.state.GivenUp = ""
	k.force.Store(true)
	k.tell(holdEvent{Change: "taken_up"})
	return nil
}

// stop applies hold.on_stop at the end of a run, unless another session than its own, former, is at the slot by now.
func (k *keeper) stop(ctx context.Context, former int, reason string) error {
	if k.cfg.Hold.OnStop != "off" {
		return nil
	}
	if err := k.look(ctx); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ending = true
	if !k.force.Load() {
		return nil
	}
	succeeded := false
	err := k.query(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `select exists (select from pg_catalog.pg_replication_slots where slot_name = $1 and active_pid <> $2)`,
			k.cfg.Source.Slot, former).Scan(&succeeded)
	})
	if err != nil || succeeded {
		return err
	}
	return k.giveUp(ctx, reason)
}

// query asks on the keeper's own connection, which is there before anything goes wrong. The caller holds k.mu.
func (k *keeper) query(ctx context.Context, ask func(context.Context, *pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, keepTime)
	defer cancel()
	for fresh := false; ; {
		if k.conn == nil || k.conn.IsClosed() {
			conn, err := connect(ctx, k.cfg, "keeper", io.Discard)
			if err != nil {
				return err
			}
			k.conn, fresh = conn, true
		}
		err := ask(ctx, k.conn)
		if err == nil || fresh || ctx.Err() != nil || !k.conn.IsClosed() {
			return err
		}
	}
}

// inForce reports whether commits wait for a witness that is there.
func (k *keeper) inForce() bool {
	w := k.witness.Load()
	return k.force.Load() && w != nil && w.Stats().Streaming
}
