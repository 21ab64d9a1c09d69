//go:build integration

package integration

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"pgwitness/integration/product"
	"pgwitness/integration/servers"
)

// held prepares a server of its own, whose every commit waits for the witness from now on.
func held(t *testing.T, version int, settings ...string) (*trail, *product.Process) {
	t.Helper()
	return heldOn(t, servers.StartPostgres(t, version, settings...), servers.SharedKafka(t))
}

func heldOn(t *testing.T, p *servers.Postgres, k *servers.Kafka, args ...string) (*trail, *product.Process) {
	t.Helper()
	tr := newTrailOn(t, p, k)
	tr.Exec(t, logins()...)
	tr.setup(t, "public.*", "--hold") // the slots; nobody streams yet
	run := tr.run(t, append([]string{"--hold"}, args...)...)
	tr.hold(t)
	return tr, run
}

// hold puts hold in force: that takes a witness that streams.
func (tr *trail) hold(t *testing.T) {
	t.Helper()
	tr.await(t, "the witness streams", "select exists (select from pg_stat_replication where application_name = $1 and state = 'streaming')", tr.slot+"_witness")
	tr.setup(t, "public.*", "--hold")
	tr.await(t, "the witness is synchronous", "select exists (select from pg_stat_replication where application_name = $1 and sync_state = 'sync')", tr.slot+"_witness")
}

func (tr *trail) await(t *testing.T, what, question string, args ...any) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if tr.Text(t, "select ("+question+")::text", args...) == "true" {
			return
		}
	}
	t.Fatalf("not within a minute: %s", what)
}

const loginPassword = "login-secret"

// logins are the roles of the load, and a table whose rows say who wrote them.
func logins() []string {
	list := []string{`create table held (id bigserial primary key, role text, pid int, application text, n int default 0)`}
	for _, role := range loadRoles {
		list = append(list, "create role "+role+" login password '"+loginPassword+"'", "grant all on held, held_id_seq to "+role)
	}
	return list
}

var loadRoles = []string{"alice", "bob", "carol"}

// A crowd is clients that write at once, each under one of the roles and a name of its own.
type crowd struct {
	clients int
	time    time.Duration
	level   string // synchronous_commit
	seed    uint64
}

const writes = `session_user, pg_backend_pid(), current_setting('application_name')`

// work makes transactions of every shape that names nobody but the client itself, and returns how many.
func (c crowd) work(t *testing.T, tr *trail) int {
	t.Helper()
	t.Logf("seed %d", c.seed)
	ctx, cancel := context.WithTimeout(t.Context(), c.time)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	commits := 0
	for n := range c.clients {
		wg.Go(func() {
			done, err := c.client(ctx, tr, n)
			if err != nil && ctx.Err() == nil {
				t.Errorf("client %d: %v", n, err)
			}
			mu.Lock()
			defer mu.Unlock()
			commits += done
		})
	}
	wg.Wait()
	return commits
}

func (c crowd) client(ctx context.Context, tr *trail, n int) (int, error) {
	config, err := pgx.ParseConfig(tr.URLAs(loadRoles[n%len(loadRoles)], loginPassword))
	if err != nil {
		return 0, err
	}
	config.RuntimeParams["application_name"] = fmt.Sprintf("client %d", n)
	config.RuntimeParams["synchronous_commit"] = cmp.Or(c.level, "on")
	random := rand.New(rand.NewPCG(c.seed, uint64(n)))
	var conn *pgx.Conn
	done := 0
	for ctx.Err() == nil {
		if conn == nil || conn.IsClosed() || random.IntN(50) == 0 { // sessions come and go
			if conn != nil {
				conn.Close(context.WithoutCancel(ctx))
			}
			if conn, err = pgx.ConnectConfig(context.WithoutCancel(ctx), config); err != nil {
				return done, err
			}
		}
		// What is begun is ended: a statement that is cancelled in its wait is committed all the same.
		if err := heldTransaction(context.WithoutCancel(ctx), conn, random, fmt.Sprintf("g%d-%d-%d", c.seed, n, done)); err != nil {
			return done, err
		}
		done++
	}
	return done, conn.Close(context.WithoutCancel(ctx))
}

// heldTransaction makes one transaction. Whoever changes a row writes into it who that was.
func heldTransaction(ctx context.Context, conn *pgx.Conn, random *rand.Rand, gid string) error {
	const insert = `insert into held (role, pid, application) values (` + writes + `)`
	const update = `update held set n = n + 1, (role, pid, application) = (` + writes + `) where pid = pg_backend_pid()
		and id = (select max(id) from held where pid = pg_backend_pid())`
	var statements []string
	switch random.IntN(10) {
	case 0:
		statements = []string{"begin", insert, "savepoint s", insert, "rollback to s", update, "savepoint s", insert, "commit"}
	case 1:
		statements = []string{"begin", "savepoint s", insert, "release s", "commit"}
	case 2:
		statements = []string{"begin", insert, "prepare transaction '" + gid + "'", "commit prepared '" + gid + "'"}
	case 3:
		statements = []string{"begin", insert, "prepare transaction '" + gid + "'", "rollback prepared '" + gid + "'"}
	case 4:
		statements = []string{"begin", insert, "rollback"}
	case 5:
		statements = []string{"do $$ begin " + insert + "; " + update + "; end $$"}
	case 6:
		statements = []string{"insert into held (role, pid, application) select " + writes + " from generate_series(1, 50)"}
	default:
		statements = []string{insert, update}
	}
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// An attributed record is what a test needs to see of who.
type attributed struct {
	Actor struct {
		Evidence, Reason, User, Application, Client string
		PID                                         int
		BackendType                                 string `json:"backend_type"`
		SessionStart                                string `json:"session_start"`
		GID                                         string
		Committer                                   *struct{ User string }
		Context                                     json.RawMessage
		Conflict                                    json.RawMessage
	}
	Op    string
	Table string
	After struct {
		Role, Application string
		PID               int
	}
}

// attributed reads the records of the topics of tables.
func (tr *trail) attributed(t *testing.T) []attributed {
	t.Helper()
	var all []attributed
	for _, p := range tr.topics(t) {
		if !strings.Contains(strings.TrimPrefix(p.Topic, tr.prefix+"."), ".") {
			continue
		}
		for _, raw := range p.Records {
			var r attributed
			if err := json.Unmarshal(raw.Value, &r); err != nil {
				t.Fatal(err)
			}
			all = append(all, r)
		}
	}
	return all
}

// judgeWho holds every record against what its row says of its writer. It returns how many are not attributed, by reason.
func (tr *trail) judgeWho(t *testing.T) (named int, reasons map[string]int) {
	t.Helper()
	reasons = map[string]int{}
	wrong := 0
	for _, r := range tr.attributed(t) {
		a := r.Actor
		switch {
		case a.Evidence == "none":
			reasons[a.Reason]++
		case a.Evidence != "hold" || a.User != r.After.Role || a.PID != r.After.PID || a.Application != r.After.Application:
			if wrong++; wrong < 10 {
				t.Errorf("wrong: %+v", r)
			}
		case a.SessionStart == "" || a.Client == "" || a.BackendType != "client backend":
			t.Fatalf("incomplete: %+v", r)
		default:
			named++
		}
	}
	t.Logf("%d changes are attributed, %d wrong, not: %v", named, wrong, reasons)
	return named, reasons
}

// crowdTime is how long a crowd works; PGWITNESS_TEST_CROWD sets it, such as 20s.
func crowdTime(t *testing.T, otherwise time.Duration) time.Duration {
	t.Helper()
	if text := os.Getenv("PGWITNESS_TEST_CROWD"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	return otherwise
}

// TestHoldNamesEveryChange: under hold every change of a crowd is attributed, and rightly, on every version.
func TestHoldNamesEveryChange(t *testing.T) {
	t.Parallel()
	for _, version := range servers.Versions {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			tr, run := held(t, version)
			clients := []int{8}
			if version == 18 {
				clients = []int{1, 8, 32}
			}
			for _, n := range clients {
				commits := crowd{clients: n, time: crowdTime(t, 3*time.Second), seed: uint64(time.Now().UnixNano())}.work(t, tr)
				t.Logf("%d clients: %d transactions", n, commits)
			}
			tr.end(t, run)
			if named, reasons := tr.judgeWho(t); named == 0 || len(reasons) > 0 {
				t.Errorf("%d are attributed, %v not", named, reasons)
			}
		})
	}
}

// end waits for all that is committed and stops the run, which gives hold up. On 14 its role has no right to that.
func (tr *trail) end(t *testing.T, run *product.Process) {
	t.Helper()
	tr.awaitConfirmed(t, time.Minute)
	if r := run.Stop(t, 10*time.Second); r.Code != 0 {
		t.Errorf("SIGTERM: exit code %d", r.Code)
	}
	if tr.Server.Version < 15 {
		if r := product.Run(t, time.Minute, append(tr.names(), "PGWITNESS_SOURCE_URL="+tr.URL()), "hold", "off"); r.Code != 0 {
			t.Errorf("hold off: exit code %d\n%s", r.Code, r.Stderr)
		}
	}
	if names := tr.Text(t, "select current_setting('synchronous_standby_names')"); names != "" {
		t.Errorf("after the end synchronous_standby_names is %q", names)
	}
}

// TestHoldSurvivesKills: with synchronous_commit = on nothing stays without a name, however often pgwitness and Kafka are
// killed: who waits goes on waiting.
func TestHoldSurvivesKills(t *testing.T) {
	t.Parallel()
	for _, version := range []int{14, 18} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			kafka := servers.StartKafka(t, 1)
			tr, run := heldOn(t, servers.StartPostgres(t, version), kafka)
			tr.settings = append(tr.settings, "PGWITNESS_HOLD_MAX_WAIT=0")
			run.Kill(t) // it had another bound
			run = tr.run(t, "--hold", "--wait")
			done := make(chan int)
			go func() {
				done <- crowd{clients: 8, time: crowdTime(t, 12*time.Second), seed: uint64(time.Now().UnixNano())}.work(t, tr)
			}()
			for commits, round := -1, 0; commits < 0; round++ {
				select {
				case commits = <-done:
					t.Logf("%d transactions, %d kills", commits, round)
				case <-time.After(1500 * time.Millisecond):
					awaitLog(t, run, holds)
					if round == 2 {
						kafka.Brokers[0].Kill(t)
						time.Sleep(time.Second)
						kafka.Brokers[0].Start(t)
						continue
					}
					run.Kill(t)
					run = tr.run(t, "--hold", "--wait")
				}
			}
			tr.end(t, run)
			if named, reasons := tr.judgeWho(t); named == 0 || len(reasons) > 0 {
				t.Errorf("%d are attributed, %v not", named, reasons)
			}
		})
	}
}

// TestHoldRemoteWrite: with synchronous_commit = remote_write nobody waits for Kafka. What a kill costs are names, and
// each that is missing says so.
func TestHoldRemoteWrite(t *testing.T) {
	t.Parallel()
	tr, run := held(t, 18)
	crowd{clients: 8, time: crowdTime(t, 3*time.Second), level: "remote_write", seed: uint64(time.Now().UnixNano())}.work(t, tr)
	tr.awaitConfirmed(t, time.Minute)
	if named, reasons := tr.judgeWho(t); named == 0 || len(reasons) > 0 {
		t.Errorf("without kills %d are attributed, %v not", named, reasons)
	}
	for range 3 {
		done := make(chan int)
		go func() {
			done <- crowd{clients: 8, time: 2 * time.Second, level: "remote_write", seed: uint64(time.Now().UnixNano())}.work(t, tr)
		}()
		time.Sleep(time.Second)
		run.Kill(t)
		run = tr.run(t, "--hold", "--wait")
		<-done
	}
	tr.end(t, run)
	_, reasons := tr.judgeWho(t)
	delete(reasons, "released before a restart")
	if len(reasons) > 0 {
		t.Errorf("not attributed for another reason: %v", reasons)
	}
}

// TestHoldGivesUp: when Kafka is away for longer than hold.max_wait, hold is given up, and commits go on. When it is back
// hold is taken up again, and the trail says both.
func TestHoldGivesUp(t *testing.T) {
	t.Parallel()
	kafka := servers.StartKafka(t, 1)
	tr := newTrailOn(t, servers.StartPostgres(t, 15), kafka)
	tr.settings = []string{"PGWITNESS_HOLD_MAX_WAIT=3s"}
	tr.Exec(t, logins()...)
	tr.setup(t, "public.*", "--hold")
	run := tr.run(t, "--hold")
	tr.hold(t)
	tr.Exec(t, "insert into held default values")
	kafka.Brokers[0].Stop(t)
	began := time.Now()
	tr.Exec(t, "insert into held default values")
	waited := time.Since(began)
	t.Logf("waited for %s", waited.Round(time.Millisecond))
	if waited < time.Second || waited > 10*time.Second {
		t.Errorf("the commit waited for %s", waited)
	}
	began = time.Now()
	tr.Exec(t, "insert into held default values")
	if time.Since(began) > time.Second {
		t.Errorf("the next commit waited for %s", time.Since(began))
	}
	kafka.Brokers[0].Start(t)
	tr.await(t, "hold is taken up again", "select current_setting('synchronous_standby_names') <> ''")
	tr.Exec(t, "insert into held default values")
	tr.awaitConfirmed(t, time.Minute)
	tr.awaitObservations(t,
		`hold {"change":"given_up","reason":"commits have waited for 3s","name":"`+tr.slot+`_witness"}`,
		`hold {"change":"taken_up","name":"`+tr.slot+`_witness"}`)
	tr.end(t, run)
	all := tr.attributed(t)
	if len(all) != 4 {
		t.Fatalf("%d records", len(all))
	}
	for i, r := range all { // the third one did not wait: it may have been seen all the same
		if r.Actor.Evidence != "hold" && (i != 2 || r.Actor.Reason != "not waiting when looked up") {
			t.Errorf("the change %d: %+v", i+1, r.Actor)
		}
	}
}

// TestHoldEndsForGood: what a run gives up at its end it does not take up again, however long the end takes.
func TestHoldEndsForGood(t *testing.T) {
	t.Parallel()
	tr := proxied(t, newTrailOn(t, servers.StartPostgres(t, 17), servers.SharedKafka(t)))
	tr.settings = append(tr.settings, "PGWITNESS_RUN_DRAIN=30s")
	tr.Exec(t, logins()...)
	tr.setup(t, "public.*", "--hold")
	run := tr.run(t, "--hold")
	tr.hold(t)
	tr.Exec(t, "insert into held default values")
	tr.awaitConfirmed(t, time.Minute)
	for _, broker := range tr.brokers {
		broker.Slow(1500 * time.Millisecond)
	}
	if r := run.Stop(t, time.Minute); r.Code != 0 {
		t.Errorf("SIGTERM: exit code %d", r.Code)
	}
	if names := tr.Text(t, "select current_setting('synchronous_standby_names')"); names != "" || strings.Contains(run.Stderr(), "taken_up") {
		t.Errorf("after the end synchronous_standby_names is %q\n%s", names, run.Stderr())
	}
}

// TestHoldTakeover: the standby takes over both slots, and who waited meanwhile goes on, with a name.
func TestHoldTakeover(t *testing.T) {
	t.Parallel()
	tr, first := held(t, 18)
	second := tr.run(t, "--hold", "--wait")
	awaitLog(t, second, standsBy)
	for range 3 {
		done := make(chan int)
		go func() {
			done <- crowd{clients: 8, time: 3 * time.Second, seed: uint64(time.Now().UnixNano())}.work(t, tr)
		}()
		time.Sleep(time.Second)
		first.Kill(t)
		awaitLog(t, second, holds)
		first, second = second, tr.run(t, "--hold", "--wait")
		<-done
	}
	second.Stop(t, 10*time.Second)
	tr.end(t, first)
	if named, reasons := tr.judgeWho(t); named == 0 || len(reasons) > 0 {
		t.Errorf("%d are attributed, %v not", named, reasons)
	}
}
