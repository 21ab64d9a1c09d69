//go:build integration

package bench

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgwitness/integration/product"
	"pgwitness/integration/servers"
	"pgwitness/integration/topics"
)

const (
	rows        = 600_000
	transaction = 1_000 // rows
)

const tableSQL = `create table event (id bigint primary key, customer int, status text, amount numeric(12,2), note text,
	at timestamptz, done bool, details jsonb)`

const loadSQL = `insert into event select n, n % 1000, (array['new', 'paid', 'sent'])[n % 3 + 1], n / 100.0,
	'a note of the usual length, number ' || n, timestamptz '2026-01-01 00:00+00' + n * interval '1 second', n % 2 = 0,
	jsonb_build_object('source', 'web', 'n', n)
	from generate_series($1::bigint, $2::bigint) n`

func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }

// A backlog is a database with a slot that holds all rows, and a Kafka to bring them to.
type backlog struct {
	*servers.Database
	kafka *servers.Kafka
	slot  string // never read: each round reads a copy
	end   string // position behind the last row
}

// BenchmarkCatchUp reads the backlog once with each client an iteration, in turn.
func BenchmarkCatchUp(b *testing.B) {
	recvlogical, err := exec.LookPath("pg_recvlogical")
	if err != nil {
		b.Fatal("pg_recvlogical is not installed (Debian: apt-get install postgresql-client)")
	}
	l := fill(b)
	routes := map[string]url.Values{"tcp": {"sslmode": {"disable"}}}
	if l.Server.SockDir != "" {
		routes["socket"] = url.Values{"host": {l.Server.SockDir}, "port": {fmt.Sprint(l.Server.Port)}}
	}
	for name, way := range routes {
		b.Run(name, func(b *testing.B) {
			var theirs, ours, ratios []float64
			for b.Loop() {
				discarded, delivered := l.discard(b, recvlogical, way), l.deliver(b, way)
				theirs, ours = append(theirs, discarded), append(ours, delivered)
				ratios = append(ratios, delivered/discarded)
			}
			b.ReportMetric(median(theirs), "pg_recvlogical-rows/s")
			b.ReportMetric(median(ours), "pgwitness-rows/s")
			b.ReportMetric(median(ratios), "ratio")
			b.Logf("rows/s, each round: pg_recvlogical to nowhere %.0f, pgwitness to Kafka %.0f, ratio %.2f", theirs, ours, ratios)
		})
	}
}

func fill(b *testing.B) *backlog {
	p := servers.StartPostgres(b, 18, "max_wal_size=8GB")
	l := &backlog{Database: p.NewDatabase(b), kafka: servers.StartKafka(b, 1), slot: servers.Unique("w")}
	l.Exec(b, tableSQL)
	r := product.Run(b, time.Minute, l.names(l.slot, l.URL(), "unused"), "setup", "--apply", "--tables", "public.event",
		"--role", l.slot)
	if r.Code != 0 {
		b.Fatalf("setup: %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	c := l.Connect(b)
	for n := 1; n <= rows; n += transaction {
		if _, err := c.Exec(b.Context(), loadSQL, n, n+transaction-1); err != nil {
			b.Fatal(err)
		}
	}
	l.end = l.Text(b, "select pg_current_wal_insert_lsn()")
	l.Exec(b, "checkpoint")
	return l
}

func (l *backlog) names(slot, source, prefix string) []string {
	return []string{
		"PGWITNESS_SOURCE_URL=" + source, "PGWITNESS_SOURCE_SLOT=" + slot, "PGWITNESS_SOURCE_PUBLICATION=" + l.slot,
		"PGWITNESS_KAFKA_BROKERS=" + strings.Join(l.kafka.Bootstrap(), ","), "PGWITNESS_KAFKA_PREFIX=" + prefix,
	}
}

// source is the database's URL by one way of connecting.
func (l *backlog) source(b *testing.B, way url.Values) string {
	u, err := url.Parse(l.URL())
	if err != nil {
		b.Fatal(err)
	}
	if way.Has("host") {
		u.Host = ""
	}
	u.RawQuery = way.Encode()
	return u.String()
}

// copy makes a slot that stands where the backlog begins.
func (l *backlog) copy(b *testing.B) string {
	name := servers.Unique("c")
	l.Exec(b, fmt.Sprintf("select pg_copy_logical_replication_slot('%s', '%s')", l.slot, name))
	return name
}

func (l *backlog) drop(b *testing.B, slot string) {
	l.Exec(b, fmt.Sprintf("select pg_drop_replication_slot('%s')", slot))
}

// discard reads the backlog with pg_recvlogical and returns rows a second.
func (l *backlog) discard(b *testing.B, program string, way url.Values) float64 {
	slot := l.copy(b)
	defer l.drop(b, slot)
	ctx, cancel := context.WithTimeout(b.Context(), 5*time.Minute)
	defer cancel()
	out := filepath.Join(b.TempDir(), "null")
	if err := os.Symlink(os.DevNull, out); err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	text, err := exec.CommandContext(ctx, program, "-d", l.source(b, way), "--slot", slot, "--start", "-f", out,
		"--endpos", l.end, "-o", "proto_version=1", "-o", "publication_names="+l.slot).CombinedOutput()
	if err != nil {
		b.Fatalf("pg_recvlogical: %v\n%s", err, text)
	}
	return rows / time.Since(start).Seconds()
}

// deliver brings the backlog to Kafka with pgwitness and returns rows a second.
func (l *backlog) deliver(b *testing.B, way url.Values) float64 {
	slot, prefix := l.copy(b), servers.Unique("p")
	defer l.drop(b, slot)
	start := time.Now()
	run := product.Start(b, l.names(slot, l.source(b, way), prefix), "run", "--until", l.end)
	memory := peak(run)
	r := run.Wait(b, 5*time.Minute)
	elapsed := time.Since(start)
	if r.Code != 0 {
		b.Fatalf("run: %d\n%s", r.Code, r.Stderr)
	}
	b.Logf("pgwitness took %.2f µs of processor time a row and %d MB", float64(run.Processor().Microseconds())/rows, memory()>>20)
	l.check(b, prefix)
	return rows / elapsed.Seconds()
}

// peak watches a process's memory; the function that it returns tells the most that was seen, after the end.
func peak(run *product.Process) func() int64 {
	most := make(chan int64)
	go func() {
		var seen int64
		for {
			select {
			case <-run.Ended():
				most <- seen
				return
			case <-time.After(50 * time.Millisecond):
				seen = max(seen, run.PeakMemory())
			}
		}
	}()
	return func() int64 { return <-most }
}

// check finds every row exactly once, in order.
func (l *backlog) check(b *testing.B, prefix string) {
	r := topics.NewReader(l.kafka.Bootstrap())
	defer r.Close()
	bounds, err := r.Bounds(b.Context(), prefix)
	if err != nil {
		b.Fatal(err)
	}
	next := 1
	for _, p := range bounds {
		if p.Topic != prefix+".public.event" {
			continue
		}
		err := r.Each(b.Context(), p.Topic, p.ID, p.Start, p.End, func(rec topics.Record) error {
			if want := fmt.Sprintf(`{"id":%d}`, next); string(rec.Key) != want {
				return fmt.Errorf("key %s, want %s", rec.Key, want)
			}
			next++
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	if next != rows+1 {
		b.Fatalf("%d rows arrived of %d", next-1, rows)
	}
	if err := r.Delete(b.Context(), prefix+".public.event"); err != nil {
		b.Fatal(err)
	}
}

func median(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	return x[len(x)/2]
}
