package main

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
)

// An unwitnessed collects how many tables nobody witnesses: a table that is made later is in no publication by name,
// and nothing but this number tells of it.
type unwitnessed struct {
	cfg   *config
	log   hclog.Logger
	bound func() (context.Context, context.CancelFunc) // of one look: Collect is given no context

	mu    sync.Mutex // guards what follows
	count int        // -1: not known
	asked time.Time
}

// tablesInterval bounds how often the server is asked to look through its tables, however often metrics are.
const tablesInterval = time.Minute

var descUnwitnessed = prometheus.NewDesc("pgwitness_unwitnessed_tables", "Tables of the database that are not in the trail.", nil, nil)

// Describe implements prometheus.Collector.
func (u *unwitnessed) Describe(out chan<- *prometheus.Desc) { out <- descUnwitnessed }

// Collect implements prometheus.Collector. What is not known is left out.
func (u *unwitnessed) Collect(out chan<- prometheus.Metric) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if time.Since(u.asked) >= tablesInterval {
		u.asked = time.Now()
		ctx, cancel := u.bound()
		defer cancel()
		var err error
		if u.count, err = u.look(ctx); err != nil {
			u.count = -1
			u.log.Warn("metrics: no look at the tables", "error", err)
		}
	}
	if u.count >= 0 {
		out <- prometheus.MustNewConstMetric(descUnwitnessed, prometheus.GaugeValue, float64(u.count))
	}
}

func (u *unwitnessed) look(ctx context.Context) (int, error) {
	conn, err := connect(ctx, u.cfg, "metrics", io.Discard)
	if err != nil {
		return -1, err
	}
	defer conn.Close(ctx)
	return countUnwitnessed(ctx, conn, u.cfg.Source.Publication)
}

// countUnwitnessed counts ordinary tables in the log that are not published. Those of extensions are theirs.
func countUnwitnessed(ctx context.Context, conn *pgx.Conn, publication string) (count int, err error) {
	err = conn.QueryRow(ctx, `
		select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace
		 where c.relkind = 'r' and c.relpersistence = 'p' and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', $2)
		   and c.oid not in (select relid from pg_get_publication_tables($1::text))
		   and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')`,
		publication, ownSchema).Scan(&count)
	return count, err
}
