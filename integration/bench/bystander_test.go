//go:build integration

package bench

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// BenchmarkBystander measures commits in another database of the cluster under hold while a transaction of two million
// rows is made and committed in the witnessed one: before, during and after it.
func BenchmarkBystander(b *testing.B) {
	c := newCost(b, 8)
	other := c.Server.NewDatabase(b)
	other.Exec(b, "create table account (id int primary key, balance int not null default 0)", "insert into account select n from generate_series(1, 8) n")
	c.Exec(b, "create table bulk (id bigint, note text)", "alter table bulk replica identity full", "alter publication "+c.slot+" add table bulk")
	end := c.hold(b, "on")
	defer end()
	for b.Loop() {
		ctx, cancel := context.WithCancel(b.Context())
		var mu sync.Mutex
		var wg sync.WaitGroup
		var took []time.Duration
		for n := range 8 {
			wg.Go(func() { commitAgain(ctx, b, other.URL(), n+1, &mu, &took) })
		}
		phase := func(name string, work func()) {
			mu.Lock()
			took = took[:0]
			mu.Unlock()
			began := time.Now()
			work()
			mu.Lock()
			list := slices.Sorted(slices.Values(took))
			mu.Unlock()
			if len(list) == 0 {
				b.Fatalf("%s: no commit at all", name)
			}
			seconds := time.Since(began).Seconds()
			b.ReportMetric(float64(len(list))/seconds, name+"-tps")
			b.ReportMetric(milliseconds(list[len(list)*99/100]), name+"-p99-ms")
			b.ReportMetric(milliseconds(list[len(list)-1]), name+"-longest-ms")
			b.Logf("%s: %.1f s, %d commits, p50 %.1f ms, p99 %.1f ms, longest %.1f ms", name, seconds, len(list),
				milliseconds(list[len(list)/2]), milliseconds(list[len(list)*99/100]), milliseconds(list[len(list)-1]))
		}
		rest := func() { time.Sleep(5 * time.Second) }
		phase("before", rest)
		phase("during", func() {
			c.Exec(b, "set synchronous_commit = on", "insert into bulk select n, 'a note of some length ' || n from generate_series(1, 2000000) n")
		})
		phase("after", rest) // the walsender decodes it
		cancel()
		wg.Wait()
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// commitAgain commits single-row updates one after the other, and notes how long each took.
func commitAgain(ctx context.Context, b *testing.B, url string, id int, mu *sync.Mutex, took *[]time.Duration) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		b.Error(err)
		return
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for ctx.Err() == nil {
		began := time.Now()
		if _, err := conn.Exec(context.WithoutCancel(ctx), "update account set balance = balance + 1 where id = $1", id); err != nil {
			b.Error(err)
			return
		}
		d := time.Since(began)
		mu.Lock()
		*took = append(*took, d)
		mu.Unlock()
	}
}
