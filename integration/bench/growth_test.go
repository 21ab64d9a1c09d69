//go:build integration

package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// A growth is one quantity that grows while the others stay.
type growth struct {
	name   string
	unit   string
	values []int                                 // for each: a backlog
	full   []int                                 // with FULL=1
	make   func(value, rows int) (workload, int) // rows are what is asked for
}

// A point is what pgwitness did at one value.
type point struct {
	Growth string
	Value  int
	Bytes  int64 // of log
	outcome
}

var growths = []growth{
	{name: "columns", values: []int{1, 10, 100, 1000}, full: []int{1, 3, 10, 30, 100, 300, 1000},
		make: func(n, rows int) (workload, int) { return workload{shape: wide(n)}, max(rows*8/(n+8), rows/100) }},
	{name: "tables", values: []int{1, 10, 100, 1000}, full: []int{1, 3, 10, 30, 100, 300, 1000},
		make: func(n, rows int) (workload, int) {
			return workload{shape: shape{columns: eventColumns, tables: n, change: insertEvents, step: 1000}}, rows
		}},
	{name: "partitions", values: []int{1, 10, 100, 500}, full: []int{1, 3, 10, 30, 100, 300, 500},
		make: func(n, rows int) (workload, int) { return workload{shape: inserts, partitions: n}, rows }},
	{name: "row-size", unit: "bytes", values: []int{10, 1_000, 100_000, 10_000_000}, full: []int{10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 50_000_000},
		make: func(n, rows int) (workload, int) {
			return workload{shape: sized(n, min(max(1_000_000/n, 1), 1000))}, min(max(1000*rows/n, 10), rows)
		}},
	{name: "transaction", unit: "rows", values: []int{1, 100, 10_000, 1_000_000}, full: []int{1, 10, 100, 1000, 10_000, 100_000, 1_000_000, 5_000_000},
		make: func(n, rows int) (workload, int) {
			return workload{shape: shape{columns: eventColumns, tables: 1, change: insertEvents, step: n}}, max(rows, n)
		}},
	{name: "backlog", unit: "MB of log", values: []int{50, 200, 800}, full: []int{100, 300, 1000, 3000, 5000},
		make: func(n, _ int) (workload, int) { return workload{shape: inserts}, n * 1_000_000 / bytesARow }},
}

// bytesARow is about what an insert of eight columns takes in the log with its key's index.
const bytesARow = 270

// BenchmarkGrowth measures rate and memory while one quantity grows at a time. GROWTHS chooses which, FULL=1 the whole
// range of each, ROWS (200,000) sizes the backlogs; the largest backlogs take some gigabytes of disk.
func BenchmarkGrowth(b *testing.B) {
	s := newStage(b, false, "message.max.bytes=104857600")
	r := &report{Name: "growth", Columns: []string{"what grows", "to", "rows", "MB of log", "k rows/s", "MB/s", "CPU µs a row", "peak MB"}}
	var points []point
	for _, g := range chosen(b, "GROWTHS", growths, func(g growth) string { return g.name }) {
		values := g.values
		if os.Getenv("FULL") == "1" {
			values = g.full
		}
		for _, value := range values {
			b.Run(fmt.Sprintf("%s-%d", g.name, value), func(b *testing.B) {
				w, rows := g.make(value, number(b, "ROWS", 200_000))
				w.name, w.large = g.name, true
				l := s.fill(b, w, rows)
				for b.Loop() {
					o, err := l.deliver(b, false)
					if err != nil {
						b.Fatal(err)
					}
					points = append(points, point{g.name, value, l.bytes, o})
					megabytes := float64(l.bytes) / 1e6
					b.Logf("%.0f rows/s, %.2f µs and %d MB", o.rate(), o.microseconds(), o.Memory>>20)
					r.row(g.name, fmt.Sprint(value, " ", g.unit), fmt.Sprint(o.Rows), fmt.Sprintf("%.0f", megabytes), fmt.Sprintf("%.2f", o.rate()/1000),
						fmt.Sprintf("%.1f", megabytes/o.Seconds), fmt.Sprintf("%.2f", o.microseconds()), fmt.Sprint(o.Memory>>20))
				}
			})
		}
	}
	r.Runs = points
	r.publish(b)
	if err := os.WriteFile(filepath.Join(output, "growth.svg"), []byte(chart(points)), 0o644); err != nil {
		b.Fatal(err)
	}
}
