//go:build integration

package bench

import (
	"fmt"
	"testing"
	"time"

	"pgwitness/integration/product"
	"pgwitness/integration/proxy"
	"pgwitness/integration/servers"
)

// BenchmarkStart measures a whole run that delivers one row to a topic that is there, by its partitions: from the start of
// the process to its end, and the requests that it makes of the broker. An iteration is a run.
func BenchmarkStart(b *testing.B) {
	s := newStage(b, false)
	r := &report{Name: "start", Columns: []string{"partitions", "s", "requests of the broker", "of them Produce", "Fetch"}}
	proxies, err := proxy.Kafka(s.kafka.Bootstrap())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(proxies[0].Close)
	for _, partitions := range []int{1, 100, 500} {
		b.Run(fmt.Sprint(partitions), func(b *testing.B) {
			l := s.fill(b, workload{shape: inserts, partitions: partitions}, inserts.step)
			slot, prefix := l.copy(b), servers.Unique("p")
			defer l.drop(b, slot)
			names := append(l.names(slot, l.source(b, false), prefix), "PGWITNESS_KAFKA_BROKERS="+proxies[0].Address)
			row := inserts.step
			run := func() float64 {
				row++
				l.Exec(b, fmt.Sprintf("insert into event_1 select (jsonb_populate_record(e, '{\"id\": %d}')).* from event_1 e where id = 1", row))
				end := l.Text(b, "select pg_current_wal_flush_lsn()")
				began := time.Now()
				if r := product.Run(b, time.Minute, names, "run", "--until", end); r.Code != 0 {
					b.Fatalf("run: %d\n%s", r.Code, r.Stderr)
				}
				return time.Since(began).Seconds()
			}
			run()
			var seconds, all, produce, fetch []float64
			for b.Loop() {
				before := proxies[0].Requests()
				seconds = append(seconds, run())
				asked, total := proxies[0].Requests(), 0
				for key, n := range asked {
					total += n - before[key]
				}
				all = append(all, float64(total))
				produce = append(produce, float64(asked[proxy.Produce]-before[proxy.Produce]))
				fetch = append(fetch, float64(asked[proxy.Fetch]-before[proxy.Fetch]))
			}
			r.row(fmt.Sprint(partitions), spread("%.2f", seconds), spread("%.0f", all), spread("%.0f", produce), spread("%.0f", fetch))
		})
	}
	r.publish(b)
}
