//go:build integration

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgwitness/integration/proxy"
	"pgwitness/integration/servers"
)

// newTrailAlone is a trail on servers of its own, which it may stop. Kafka forgets idle producers within seconds, and
// PostgreSQL gives a silent client up after five.
func newTrailAlone(t *testing.T, properties ...string) *trail {
	t.Helper()
	return newTrailOn(t, servers.StartPostgres(t, 18, "wal_sender_timeout=5s"), servers.StartKafka(t, 1, properties...))
}

// TestKafkaAway: reading stops when the buffer is full, keepalives go on, memory stays flat; when Kafka is back the
// rest is delivered, by the same process.
func TestKafkaAway(t *testing.T) {
	t.Parallel()
	tr := newTrailAlone(t)
	tr.settings = []string{"PGWITNESS_KAFKA_BUFFER_BYTES=2000000"}
	tr.Exec(t, "create table t (id int primary key, word text)", "create table other (id int primary key)")
	tr.setup(t, "public.*")
	tr.audited(t, "public.t")
	run := tr.run(t, "--listen", "127.0.0.1:0")
	tr.Exec(t, "insert into t values (0, 'first')")
	tr.awaitConfirmed(t, time.Minute)
	healthy := metricsOf(t, run)
	broker := tr.kafka.Brokers[0]
	broker.Pause(t)
	pid := tr.Text(t, "select active_pid from pg_replication_slots where slot_name = $1", tr.slot)
	const rows = 40_000 // each of 300 bytes: ten times the buffer, and more than sockets hold
	for from := 1; from < rows; from += 1000 {
		tr.Exec(t, fmt.Sprintf("insert into t select i, repeat('x', 300) from generate_series(%d, %d) i", from, from+999))
	}
	before := memoryOf(t, run.PID(), "VmRSS")
	until := time.Now().Add(20 * time.Second) // four times wal_sender_timeout
	for time.Now().Before(until) {
		time.Sleep(time.Second)
		if !run.Running() {
			t.Fatalf("it ended: %s", run.Stderr())
		}
		if now := tr.Text(t, "select active_pid from pg_replication_slots where slot_name = $1", tr.slot); now != pid {
			t.Fatalf("the walsender was %s and is %q: keepalives do not go on", pid, now)
		}
	}
	if after := memoryOf(t, run.PID(), "VmRSS"); after > before+16<<20 {
		t.Errorf("resident memory grew from %d to %d bytes while Kafka was away", before, after)
	}
	away := metricsOf(t, run)
	if away["oldest_undelivered_seconds"] < 20 || away["buffered_bytes"] < 1_000_000 || away["session_up"] != 1 ||
		away["retained_wal_bytes"] < healthy["retained_wal_bytes"]+10_000_000 || away["unconfirmed_wal_bytes"] < 10_000_000 {
		t.Errorf("Kafka is away, and the metrics went from\n%v to\n%v", healthy, away)
	}
	broker.Resume(t)
	tr.awaitConfirmed(t, 2*time.Minute)
	back := metricsOf(t, run)
	if back["oldest_undelivered_seconds"] != 0 || back["buffered_bytes"] != 0 || back["records_total"] < rows || back["confirmed_lsn"] <= away["confirmed_lsn"] {
		t.Errorf("Kafka is back, and the metrics went from\n%v to\n%v", away, back)
	}
	if r := run.Stop(t, 10*time.Second); r.Code != 0 {
		t.Errorf("SIGTERM: exit code %d\n%s", r.Code, r.Stderr)
	}
	tr.judge(t)
}

// memoryOf reads a line of /proc/PID/status, in bytes.
func memoryOf(t *testing.T, pid int, line string) int {
	t.Helper()
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(line + `:\s+(\d+) kB`).FindSubmatch(status)
	if found == nil {
		t.Fatalf("no %s in %s", line, status)
	}
	kb, err := strconv.Atoi(string(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kb << 10
}

// TestShutdownWithKafkaAway: PostgreSQL waits for our confirmation before it ends (walsender.c), but not for ever; what
// was not confirmed comes after the restart.
func TestShutdownWithKafkaAway(t *testing.T) {
	t.Parallel()
	tr := newTrailAlone(t)
	tr.Exec(t, "create table t (id int primary key)")
	tr.setup(t, "public.*")
	run := tr.run(t)
	tr.insert(t, 1, 3)
	tr.awaitConfirmed(t, time.Minute)
	tr.kafka.Brokers[0].Kill(t)
	tr.insert(t, 4, 6)
	start := time.Now()
	tr.Server.Stop(t, servers.Fast) // fails after a minute
	t.Logf("PostgreSQL ended after %s", time.Since(start).Round(time.Second))
	tr.Server.Start(t)
	tr.kafka.Brokers[0].Start(t)
	tr.awaitConfirmedBy(t, run.Running, time.Minute)
	tr.expectOnce(t, inserts(1, 2, 3, 4, 5, 6))
}

// TestProducerExpires: the brokers forget a producer that is idle for long; the trail goes on in the same process, also
// with a table that is new, and in the next one.
func TestProducerExpires(t *testing.T) {
	t.Parallel() // it mostly waits
	tr := newTrailAlone(t, "transactional.id.expiration.ms=6000", "transaction.remove.expired.transaction.cleanup.interval.ms=500",
		"producer.id.expiration.ms=3000", "producer.id.expiration.check.interval.ms=500")
	tr.Exec(t, "create table t (id int primary key)", "create table late (id int primary key)")
	tr.setup(t, "public.*")
	run := tr.run(t)
	want := inserts(1)
	tr.insert(t, 1, 1)
	tr.awaitConfirmed(t, time.Minute)
	for n := 2; n <= 3; n++ {
		time.Sleep(15 * time.Second)
		tr.insert(t, n, n)
		want = append(want, inserts(n)...)
		tr.Exec(t, fmt.Sprintf("insert into late values (%d)", n))
		want = append(want, fmt.Sprintf(`insert public.late - -> {"id":%d}`, n))
		tr.awaitConfirmedBy(t, run.Running, 30*time.Second)
		tr.expectOnce(t, want)
	}
	if !run.Running() {
		t.Errorf("it ended:\n%s", run.Stderr())
	}
	run.Kill(t)
	tr.awaitFree(t)
	time.Sleep(10 * time.Second)
	tr.insert(t, 4, 4)
	tr.catchUp(t, time.Minute)
	tr.expectOnce(t, append(want, inserts(4)...))
}

// awaitConfirmedBy is awaitConfirmed while something holds.
func (tr *trail) awaitConfirmedBy(t *testing.T, holds func() bool, limit time.Duration) {
	t.Helper()
	target := tr.position(t)
	for deadline := time.Now().Add(limit); tr.confirmed(t) < target; time.Sleep(50 * time.Millisecond) {
		if !holds() || time.Now().After(deadline) {
			t.Fatalf("the slot stands at %s, the server at %s", tr.confirmed(t), target)
		}
	}
}

// TestLargeTransaction: a transaction that is larger than memory may be. PGWITNESS_TEST_ROWS is its size.
func TestLargeTransaction(t *testing.T) {
	rows := 200_000
	if text := os.Getenv("PGWITNESS_TEST_ROWS"); text != "" {
		var err error
		if rows, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	tr := newTrail(t, 18)
	tr.Exec(t, "create table t (id bigint primary key, word text, at timestamptz default now())")
	tr.setup(t, "public.*")
	run := tr.run(t)
	tr.awaitConfirmed(t, time.Minute)
	tr.Exec(t, fmt.Sprintf("insert into t select i, md5(i::text) from generate_series(1, %d) i", rows))
	start := time.Now()
	tr.awaitConfirmed(t, time.Minute+time.Duration(rows)*200*time.Microsecond)
	most := memoryOf(t, run.PID(), "VmHWM")
	t.Logf("%d rows in %s, at most %d MiB", rows, time.Since(start).Round(time.Second), most>>20)
	if most > 128<<20 {
		t.Errorf("resident memory was up to %d MiB", most>>20)
	}
	bounds, err := tr.reader.Bounds(t.Context(), tr.prefix)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range bounds {
		if !strings.HasSuffix(b.Topic, ".public.t") {
			continue
		}
		if n := b.End - b.Start; n < int64(rows) || n > int64(rows)+10 { // and markers
			t.Errorf("%s ends at %d", b.Topic, b.End)
		}
	}
	if r := run.Stop(t, 10*time.Second); r.Code != 0 {
		t.Errorf("SIGTERM: exit code %d\n%s", r.Code, r.Stderr)
	}
}

// TestHalfOpen: a connection whose other end is gone without a word is noticed, whichever server's it is; nobody has to
// restart anything.
func TestHalfOpen(t *testing.T) {
	t.Parallel()
	tr := proxied(t, newTrailAlone(t))
	tr.Exec(t, "create table t (id int primary key)")
	tr.setup(t, "public.*")
	run := tr.run(t)
	tr.insert(t, 1, 1)
	tr.awaitConfirmed(t, time.Minute)

	for _, b := range tr.brokers {
		b.Strand()
	}
	tr.insert(t, 2, 2)
	tr.awaitConfirmedBy(t, run.Running, time.Minute) // by the same process

	tr.source.Strand()
	tr.insert(t, 3, 3)
	start := time.Now()
	tr.awaitConfirmedBy(t, run.Running, 2*time.Minute)
	t.Logf("noticed and mended after %s", time.Since(start).Round(time.Second))
	tr.expectOnce(t, inserts(1, 2, 3))
}

// TestReasonOfAnEnd: PostgreSQL's connection breaks while Kafka is being waited for. What is told is what broke.
func TestReasonOfAnEnd(t *testing.T) {
	t.Parallel()
	postgres := servers.StartPostgres(t, 18, "wal_sender_timeout=5s") // a status every 1.7 seconds: the break shows soon
	tr := proxied(t, newTrailOn(t, postgres, servers.SharedKafka(t)))
	tr.Exec(t, "create table t (id int primary key)")
	tr.setup(t, "public.*")
	for _, b := range tr.brokers {
		b.Set(proxy.Silent)
	}
	run := tr.run(t)
	awaitLog(t, run, holds)
	tr.source.Cut()
	awaitLog(t, run, isAway)
	if says := after(run.Stderr(), isAway); !strings.Contains(says, "replication connection") || strings.Contains(says, "kafka.brokers") {
		t.Errorf("it says: %s", says)
	}
	for _, b := range tr.brokers {
		b.Set(proxy.Through)
	}
	tr.insert(t, 1, 1)
	tr.awaitConfirmedBy(t, run.Running, time.Minute)
	tr.expectOnce(t, inserts(1))
}
