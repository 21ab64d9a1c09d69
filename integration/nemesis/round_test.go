//go:build integration

package nemesis

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/segmentio/kafka-go"

	"pgwitness/integration/process"
	"pgwitness/integration/product"
	"pgwitness/integration/servers"
	"pgwitness/integration/topics"
)

// A round is one play: a database, a workload, a pgwitness, a plan.
type round struct {
	*world
	seed       uint64
	version    int
	partitions int
	wait       bool // pgwitness runs with --wait
	hold       bool // and with --hold
	early      bool // the workload does not wait until the witness is there
	plan       []disturbance

	source       *source
	database     *servers.Database
	admin        *pgx.Conn // past the proxy; nil when it must be opened again
	prefix, slot string
	dir          string // for logs
	began        time.Time
	workload     *workload
	supervisor   *supervisor
	sampler      *sampler
	ends         []ending     // of disturbances that last
	restarting   atomic.Int32 // PostgreSQL
	restarts     sync.WaitGroup
	changes      int            // that were judged
	actors       map[string]int // transactions by verdict

	mu    sync.Mutex // guards story, and began while it may change
	story []string
}

// tell notes what happens, with the time.
func (r *round) tell(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.story = append(r.story, fmt.Sprintf("%6.2fs ", time.Since(r.began).Seconds())+fmt.Sprintf(format, args...))
}

// newRound draws a round from its seed. PostgreSQL's versions take turns.
func newRound(w *world, seed uint64) *round {
	random := rand.New(rand.NewPCG(seed, 0))
	r := &round{world: w, seed: seed, version: []int{18, 15}[seed%2]}
	r.partitions = []int{1, 1, 3}[random.IntN(3)]
	r.wait = random.IntN(2) == 0
	r.hold, r.early = drawHold(seed)
	r.plan = newPlan(random, r.hold)
	return r
}

// play plays the round and returns what is wrong.
func (r *round) play(t *testing.T) (faults []string) {
	r.prepare(t)
	defer r.cleanUp(t, &faults)
	if r.hold && !r.early {
		if err := r.awaitWitness(t.Context()); err != nil {
			return []string{err.Error()}
		}
	}
	working := r.work(t)
	for len(r.plan) > 0 || len(r.ends) > 0 {
		r.next(t)
	}
	<-working
	r.restarts.Wait()
	if err := r.settle(t); err != nil {
		return append(r.supervisor.faults, err.Error())
	}
	code, err := r.supervisor.stop(30 * time.Second)
	faults = append(faults, r.supervisor.faults...)
	if err != nil {
		return append(faults, err.Error())
	}
	if code != 0 {
		faults = append(faults, fmt.Sprintf("SIGTERM after all was confirmed: exit code %d", code))
	}
	for _, err := range r.workload.failures {
		faults = append(faults, "the workload: "+err.Error())
	}
	return append(faults, r.judge(t)...)
}

// prepare makes the database, its slots and the names.
func (r *round) prepare(t *testing.T) {
	t.Helper()
	r.began = time.Now()
	r.source = r.sources[r.version]
	r.prefix, r.slot = servers.Unique("p"), servers.Unique("w")
	r.database = r.source.NewDatabaseWith(t, "template "+template)
	dir, err := os.MkdirTemp("", fmt.Sprintf("pgwitness-nemesis-%d-", r.seed))
	if err != nil {
		t.Fatal(err)
	}
	r.dir = dir
	var urls []string
	for _, name := range logins {
		urls = append(urls, r.database.URLAs(name, loginPassword))
	}
	r.workload = newWorkload(urls, r.hold, r.seed, rand.New(rand.NewPCG(r.seed, 1)))
	if err := r.exec(t.Context(), r.workload.publish()); err != nil {
		t.Fatal(err)
	}
	for _, slot := range []string{r.slot, r.slot + "_audit"} {
		if err := r.exec(t.Context(), "select pg_create_logical_replication_slot($1, 'pgoutput')", slot); err != nil {
			t.Fatal(err)
		}
	}
	if r.hold {
		r.holdOn(t)
	}
	r.began = time.Now()
	r.tell("seed %d: PostgreSQL %d, %d partitions, %d tables, --wait %t, --hold %t", r.seed, r.version, r.partitions, len(r.workload.active), r.wait, r.hold)
	r.supervisor = supervise(r.command(t), r.tell)
}

// command is how pgwitness runs.
func (r *round) command(t *testing.T) process.Command {
	var brokers []string
	for _, p := range r.brokers {
		brokers = append(brokers, p.Address)
	}
	args := []string{"run"}
	if r.wait {
		args = append(args, "--wait")
	}
	if r.hold {
		args = append(args, "--hold")
	}
	return process.Command{
		Path: product.Binary(t), Args: args, Dir: r.dir,
		Env: []string{
			"PGWITNESS_SOURCE_SLOT=" + r.slot, "PGWITNESS_SOURCE_PUBLICATION=" + publication,
			"PGWITNESS_SOURCE_URL=" + r.source.through.URLAs(role, rolePassword, r.database.Name),
			"PGWITNESS_KAFKA_BROKERS=" + strings.Join(brokers, ","), "PGWITNESS_KAFKA_PREFIX=" + r.prefix,
			fmt.Sprintf("PGWITNESS_TOPICS_PARTITIONS=%d", r.partitions),
			"PGWITNESS_HOLD_MAX_WAIT=0", "PGWITNESS_HOLD_ON_STOP=keep", // commits wait through everything
		},
	}
}

// work starts the workload, which ends by itself, and the sampler.
func (r *round) work(t *testing.T) (done chan struct{}) {
	r.mu.Lock()
	r.began = time.Now()
	r.mu.Unlock()
	r.sampler = &sampler{url: r.database.URL(), slot: r.slot, prefix: r.prefix, reader: topics.NewReader(r.kafka.Bootstrap()), began: r.began}
	r.sampler.reader.Patience = 0 // the sooner the ends are known, the more a sample tells
	ctx, cancel := context.WithDeadline(t.Context(), r.began.Add(workingTime))
	done = make(chan struct{})
	go func() {
		defer close(done)
		r.workload.run(ctx)
	}()
	sampling, over := context.WithCancel(t.Context())
	sampled := make(chan struct{})
	go func() {
		defer close(sampled)
		r.sampler.run(sampling)
	}()
	t.Cleanup(func() { cancel(); over(); <-done; <-sampled })
	return done
}

// settle waits until everything is confirmed.
func (r *round) settle(t *testing.T) error {
	var target, confirmed pglogrepl.LSN
	err := r.ask(t.Context(), func(c *pgx.Conn) error {
		var text string
		err := c.QueryRow(t.Context(), "select pg_current_wal_insert_lsn()::text").Scan(&text)
		if err == nil {
			target, err = pglogrepl.ParseLSN(text)
		}
		return err
	})
	if err != nil {
		return err
	}
	r.tell("the workload has ended at %s after %d transactions", target, r.workload.commits)
	const limit = 5 * time.Minute
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); rest(t.Context(), 50*time.Millisecond) {
		err := r.ask(t.Context(), func(c *pgx.Conn) (err error) {
			confirmed, err = confirmedBy(t.Context(), c, r.slot)
			return err
		})
		if err != nil {
			return err
		}
		if confirmed >= target {
			r.tell("everything is confirmed")
			return nil
		}
		r.supervisor.mu.Lock()
		wrong := len(r.supervisor.faults) > 0
		r.supervisor.mu.Unlock()
		if wrong {
			return fmt.Errorf("given up at %s of %s", confirmed, target)
		}
	}
	return fmt.Errorf("the slot stands at %s, the server at %s, %s after everything was mended", confirmed, target, limit)
}

// ask does something on a connection past the proxy, on another one when a crash has ended it.
func (r *round) ask(ctx context.Context, question func(*pgx.Conn) error) error {
	for try := 0; ; try++ {
		c, err := r.session(ctx)
		if err == nil {
			err = question(c)
		}
		if err == nil || try == 5 {
			return err
		}
		rest(ctx, 200*time.Millisecond)
	}
}

// session is a connection past the proxy, perhaps one that a crash has ended.
func (r *round) session(ctx context.Context) (*pgx.Conn, error) {
	if r.admin != nil && !r.admin.IsClosed() {
		return r.admin, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var err error
	r.admin, err = pgx.Connect(ctx, r.database.URL())
	return r.admin, err
}

// exec runs a statement past the proxy.
func (r *round) exec(ctx context.Context, statement string, args ...any) error {
	c, err := r.session(ctx)
	if err == nil {
		_, err = c.Exec(ctx, statement, args...)
	}
	return err
}

// cleanUp mends everything, ends what still runs, and keeps what a failure needs.
func (r *round) cleanUp(t *testing.T, faults *[]string) {
	r.restarts.Wait()
	for _, p := range append(r.brokers, r.source.proxy) {
		p.Heal()
	}
	r.supervisor.bury()
	if r.hold {
		if err := r.holdOff(); err != nil {
			t.Errorf("let the commits go: %v", err)
		}
	}
	if r.admin != nil {
		defer r.admin.Close(context.WithoutCancel(t.Context()))
	}
	if len(*faults) == 0 && !t.Failed() {
		os.RemoveAll(r.dir)
		r.forget(t)
		return
	}
	file := filepath.Join(r.dir, "story")
	text := strings.Join(r.story, "\n") + "\n\n" + strings.Join(*faults, "\n") + "\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Error(err)
	}
	if err := r.dump(); err != nil {
		t.Logf("dump: %v", err)
	}
}

// forget deletes the round's topics, so that the brokers stay as quick as they were.
func (r *round) forget(t *testing.T) {
	names, err := r.reader.List(t.Context(), r.prefix)
	if err == nil && len(names) > 0 {
		c := &kafka.Client{Addr: kafka.TCP(r.kafka.Bootstrap()...), Timeout: 20 * time.Second, Transport: &kafka.Transport{}}
		defer c.Transport.(*kafka.Transport).CloseIdleConnections()
		_, err = c.DeleteTopics(t.Context(), &kafka.DeleteTopicsRequest{Topics: names})
	}
	if err != nil {
		t.Logf("delete the topics: %v", err)
	}
}
