//go:build integration

package bench

import (
	"fmt"
	"slices"
	"testing"
)

// BenchmarkCatchUp reads each workload's backlog with every contestant in turn, an iteration a round. WORKLOADS and
// CONTESTANTS choose among them, ROWS (600,000) and BIG (5,000,000, the one great transaction) size the backlogs.
func BenchmarkCatchUp(b *testing.B) {
	stages := map[bool]*stage{}
	r := &report{Name: "catchup", Columns: []string{"workload", "contestant", "rows", "k rows/s", "CPU µs a row", "peak MB",
		"of pg_recvlogical", "of Debezium's rate"}}
	var runs []outcome
	racers := chosen(b, "CONTESTANTS", contestants, func(c contestant) string { return c.name })
	for _, w := range chosen(b, "WORKLOADS", workloads, func(w workload) string { return w.name }) {
		rows := w.rows * number(b, "ROWS", 600_000) / 600_000
		if w.rows == 0 {
			rows = number(b, "BIG", 5_000_000)
		}
		if stages[w.tls] == nil {
			stages[w.tls] = newStage(b, w.tls)
		}
		b.Run(w.name, func(b *testing.B) {
			l := stages[w.tls].fill(b, w, rows)
			l.warm(b)
			var done []outcome
			round := 0
			for b.Loop() {
				round++
				done = append(done, l.race(b, round, racers)...)
			}
			r.workload(w.name, racers, done)
			runs = append(runs, done...)
			r.Runs = runs
			r.save(b)
		})
	}
	r.publish(b)
}

// race is one round.
func (l *backlog) race(b *testing.B, round int, racers []contestant) []outcome {
	var done []outcome
	for _, c := range racers {
		if c.plain && l.secure != nil {
			continue
		}
		o, err := c.run(b, l)
		o.Workload, o.Contestant, o.Round = l.workload.name, c.name, round
		if err != nil {
			o.Error = err.Error()
			b.Errorf("%s: %v", c.name, err)
		} else {
			b.Logf("%d %s: %.0f rows/s, %.2f µs and %d MB", round, c.name, o.rate(), o.microseconds(), o.Memory>>20)
		}
		done = append(done, o)
	}
	return done
}

// workload adds a workload's rows to the table.
func (r *report) workload(name string, racers []contestant, done []outcome) {
	for _, c := range racers {
		ours := pick(done, c.name)
		if len(ours) == 0 {
			continue
		}
		if i := slices.IndexFunc(ours, func(o outcome) bool { return o.Error != "" }); i >= 0 {
			r.row(name, c.name, fmt.Sprint(ours[0].Rows), "failed", "", "", "", "")
			continue
		}
		of := func(other string) string {
			if other == c.name {
				return ""
			}
			return spread("%.2f", ratios(ours, pick(done, other)))
		}
		limit := map[string]string{ourTCP: theirTCP, ourSocket: theirSocket, debezium: theirTCP}[c.name]
		cells := []string{name, c.name, fmt.Sprint(ours[0].Rows),
			spread("%.1f", each(ours, func(o outcome) float64 { return o.rate() / 1000 })),
			spread("%.2f", each(ours, func(o outcome) float64 { return o.microseconds() })),
			fmt.Sprint(slices.MaxFunc(ours, func(x, y outcome) int { return int(x.Memory - y.Memory) }).Memory >> 20), "", ""}
		if limit != "" {
			cells[6], cells[7] = of(limit), of(debezium)
		}
		r.row(cells...)
	}
}

func pick(all []outcome, contestant string) []outcome {
	return slices.Collect(func(yield func(outcome) bool) {
		for _, o := range all {
			if o.Contestant == contestant && !yield(o) {
				return
			}
		}
	})
}

func each(all []outcome, value func(outcome) float64) []float64 {
	values := make([]float64, len(all))
	for i, o := range all {
		values[i] = value(o)
	}
	return values
}

// ratios are those of the rates within each round.
func ratios(ours, theirs []outcome) []float64 {
	var list []float64
	for i := range min(len(ours), len(theirs)) {
		if theirs[i].Error == "" {
			list = append(list, ours[i].rate()/theirs[i].rate())
		}
	}
	return list
}
