//go:build integration

package bench

// A workload is a backlog and how it is delivered.
type workload struct {
	name       string
	shape      shape
	rows       int // of the backlog for each 600,000 that are asked for; 0 for the one great transaction
	partitions int
	codec      string
	tls        bool // on both sides
	large      bool // topics take records of 100 MB
}

var workloads = []workload{
	{name: "inserts", shape: inserts, rows: 600_000},
	{name: "single-updates", shape: singleUpdates, rows: 300_000},
	{name: "updates", shape: updates, rows: 300_000},
	{name: "wide", shape: wide(100), rows: 60_000},
	{name: "jsonb-1k", shape: documents, rows: 150_000},
	{name: "rows-1m", shape: sized(1<<20, 1), rows: 300},
	{name: "one-transaction", shape: oneTransaction},
	{name: "tables-50", shape: fifty, rows: 600_000},
	{name: "partitions-6", shape: inserts, rows: 600_000, partitions: 6},
	{name: "tls", shape: inserts, rows: 600_000, tls: true},
	{name: "none", shape: inserts, rows: 600_000, codec: "none"},
	{name: "gzip", shape: inserts, rows: 600_000, codec: "gzip"},
	{name: "snappy", shape: inserts, rows: 600_000, codec: "snappy"},
	{name: "zstd", shape: inserts, rows: 600_000, codec: "zstd"},
}

var (
	fifty          = shape{columns: eventColumns, tables: 50, change: insertEvents, step: 1000}
	oneTransaction = shape{columns: eventColumns, tables: 1, change: insertEvents}
)
