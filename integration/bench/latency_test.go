//go:build integration

package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"

	"pgwitness/integration/topics"
)

// latencyWays are those whose latency is measured: how they capture, and where their records come.
var latencyWays = []way{
	{"no-hold", func(c *cost, b *testing.B) func() { return c.run(b) }},
	{"remote_write", func(c *cost, b *testing.B) func() { return c.hold(b, "remote_write") }},
	{"on", func(c *cost, b *testing.B) func() { return c.hold(b, "on") }},
	{debezium, (*cost).debezium},
}

// A delay is what was measured at one rate, from the commit time that the server put into the log.
type delay struct {
	Way, Rate string
	Achieved  float64            // transactions a second
	Visible   map[string]float64 // milliseconds by quantile
	Confirmed map[string]float64
}

var quantiles = []float64{50, 95, 99, 99.9}

// BenchmarkLatency measures single-row updates at a steady rate (pgbench --rate, which spaces them at random): from the
// commit until a consumer that waits on the topic has the record, and until the slot has the commit confirmed (looked at
// every 2 ms; one that was not within a second of the last visible record counts as confirmed then). RATES are in transactions a second; "80%" is of what the clients reach without a limit.
func BenchmarkLatency(b *testing.B) {
	r := &report{Name: "latency", Columns: []string{"way", "tx/s asked", "tx/s reached", "visible, ms: p50", "p95", "p99", "p99.9",
		"confirmed, ms: p50", "p95", "p99", "p99.9"}}
	rates := []string{"200", "2000", "80%"}
	rates = chosen(b, "RATES", rates, func(r string) string { return r })
	c := newCost(b, 8)
	ways := chosen(b, "WAYS", latencyWays, func(w way) string { return w.name })
	c.delays(b, ways[0], []string{"2000"}) // unmeasured: the broker's code is compiled while it runs
	var runs []delay
	for b.Loop() {
		for _, w := range ways {
			runs = append(runs, c.delays(b, w, rates)...)
		}
	}
	for _, d := range runs {
		cells := []string{d.Way, d.Rate, fmt.Sprintf("%.0f", d.Achieved)}
		for _, m := range []map[string]float64{d.Visible, d.Confirmed} {
			for _, q := range quantiles {
				cells = append(cells, fmt.Sprintf("%.2f", m[quantile(q)]))
			}
		}
		r.row(cells...)
	}
	r.Runs = runs
	r.publish(b)
}

func quantile(q float64) string { return fmt.Sprintf("p%v", q) }

// delays measures one way at each rate.
func (c *cost) delays(b *testing.B, w way, rates []string) []delay {
	defer w.begin(c, b)()
	c.load(b) // warms everything, and makes the topic
	most := c.load(b)
	topic, slot := c.slot+".public.account", c.slot
	if w.name == debezium {
		topic, slot = c.other.prefix+".public.account", c.other.slot
	}
	c.settle(b, topic)
	var all []delay
	for _, name := range rates {
		rate := most * 0.8
		if name != "80%" {
			rate, _ = strconv.ParseFloat(name, 64)
		}
		d := c.measure(b, topic, slot, rate)
		d.Way, d.Rate = w.name, name
		all = append(all, d)
		b.Logf("%s at %s: %.0f/s, visible %v, confirmed %v", w.name, name, d.Achieved, d.Visible, d.Confirmed)
		c.settle(b, topic)
	}
	return all
}

// settle waits until nothing more comes.
func (c *cost) settle(b *testing.B, topic string) {
	r := topics.NewReader(c.kafka.Bootstrap())
	defer r.Close()
	last := int64(-1)
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); time.Sleep(2 * time.Second) {
		bounds, err := r.Bounds(b.Context(), topic[:strings.IndexByte(topic, '.')])
		if err != nil {
			b.Fatal(err)
		}
		i := slices.IndexFunc(bounds, func(p topics.Partition) bool { return p.Topic == topic })
		if i >= 0 && bounds[i].End == last {
			return
		}
		if i >= 0 {
			last = bounds[i].End
		}
	}
	b.Fatalf("%s still grows after five minutes", topic)
}

// A seen is a record that a consumer has.
type seen struct {
	commit pglogrepl.LSN
	at     time.Time // of the commit
}

// measure follows the topic and the slot while pgbench works at a rate, and until every transaction is visible.
func (c *cost) measure(b *testing.B, topic, slot string, rate float64) delay {
	ctx, cancel := context.WithCancel(b.Context())
	visible, confirmed := newHistogram(), newHistogram()
	records := make(chan seen, 1<<20) // more than a run has: the consumer never waits
	ready := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { defer close(records); follow(ctx, b, c, topic, ready, visible, records) })
	wg.Go(func() { confirm(ctx, b, c, slot, records, confirmed) })
	<-ready
	seconds := number(b, "LATENCY_SECONDS", 15)
	out, err := c.pgbench("-R", fmt.Sprint(rate), "-T", strconv.Itoa(seconds)).CombinedOutput()
	if err != nil {
		b.Fatalf("pgbench: %v\n%s", err, out)
	}
	made := 0
	if found := regexp.MustCompile(`actually processed: (\d+)`).FindSubmatch(out); found != nil {
		made, _ = strconv.Atoi(string(found[1]))
	}
	for deadline := time.Now().Add(2 * time.Minute); len(records) < made && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
	}
	if made == 0 || len(records) < made {
		b.Errorf("%d of %d transactions became visible", len(records), made)
	}
	time.Sleep(time.Second) // for the last confirmation
	cancel()
	wg.Wait()
	return delay{Achieved: float64(made) / float64(seconds), Visible: values(visible), Confirmed: values(confirmed)}
}

// newHistogram holds microseconds up to ten minutes.
func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, 600_000_000, 3) }

func values(h *hdrhistogram.Histogram) map[string]float64 {
	ms := map[string]float64{}
	for _, q := range quantiles {
		ms[quantile(q)] = float64(h.ValueAtPercentile(q)) / 1000
	}
	return ms
}

// follow reads the topic from its end as records become visible.
func follow(ctx context.Context, b *testing.B, c *cost, topic string, ready chan<- struct{}, h *hdrhistogram.Histogram, records chan<- seen) {
	r := topics.NewReader(c.kafka.Bootstrap())
	defer r.Close()
	bounds, err := r.Bounds(ctx, topic[:strings.IndexByte(topic, '.')])
	close(ready)
	i := slices.IndexFunc(bounds, func(p topics.Partition) bool { return p.Topic == topic })
	if err != nil || i < 0 {
		b.Errorf("no topic %s: %v", topic, err)
		return
	}
	err = r.Each(ctx, topic, 0, bounds[i].End, math.MaxInt64, func(rec topics.Record) error {
		now := time.Now()
		s, err := committed(rec.Value)
		if err == nil {
			err = h.RecordValue(max(now.Sub(s.at).Microseconds(), 1))
			records <- s
		}
		return err
	})
	if ctx.Err() == nil {
		b.Error(err)
	}
}

// committed reads when and where a change was committed, from either kind of record.
func committed(value []byte) (seen, error) {
	var rec struct {
		TX struct {
			LSN string    `json:"commit_lsn"`
			At  time.Time `json:"committed_at"`
		} `json:"tx"`
		Source struct {
			Microseconds int64  `json:"ts_us"` // of the commit
			LSN          uint64 `json:"lsn"`
		} `json:"source"`
	}
	if err := json.Unmarshal(value, &rec); err != nil {
		return seen{}, err
	}
	if rec.TX.LSN == "" {
		return seen{pglogrepl.LSN(rec.Source.LSN), time.UnixMicro(rec.Source.Microseconds)}, nil
	}
	at, err := pglogrepl.ParseLSN(rec.TX.LSN)
	return seen{at, rec.TX.At}, err
}

// confirm looks at the slot's confirmed position, and takes each commit that is below it as confirmed by then.
func confirm(ctx context.Context, b *testing.B, c *cost, slot string, records <-chan seen, h *hdrhistogram.Histogram) {
	conn, err := pgx.Connect(ctx, c.URL())
	if err != nil {
		b.Error(err)
		return
	}
	defer conn.Close(context.WithoutCancel(ctx))
	type look struct {
		position pglogrepl.LSN
		at       time.Time
	}
	var looks []look
	for ctx.Err() == nil {
		var text string
		var at time.Time
		err := conn.QueryRow(ctx, "select confirmed_flush_lsn::text, clock_timestamp() from pg_replication_slots where slot_name = $1", slot).Scan(&text, &at)
		if errors.Is(err, context.Canceled) || ctx.Err() != nil {
			break
		}
		position, err2 := pglogrepl.ParseLSN(text)
		if err := errors.Join(err, err2); err != nil {
			b.Error(err)
			return
		}
		if len(looks) == 0 || looks[len(looks)-1].position < position {
			looks = append(looks, look{position, at})
		}
		time.Sleep(2 * time.Millisecond)
	}
	end := look{pglogrepl.LSN(math.MaxUint64), time.Now()} // what is not confirmed by now took at least so long
	looks = append(looks, end)
	for s := range records {
		i, _ := slices.BinarySearchFunc(looks, s.commit+1, func(l look, at pglogrepl.LSN) int {
			if l.position < at {
				return -1
			}
			return 1
		})
		h.RecordValue(max(looks[i].at.Sub(s.at).Microseconds(), 1))
	}
}
