//go:build integration

package nemesis

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"

	"pgwitness/integration/topics"
)

// A sample is what the slot had been told, and where the topics ended afterwards: everything that committed up to there
// must lie before those ends.
type sample struct {
	at        time.Duration // since the round began
	confirmed pglogrepl.LSN
	ends      map[place]int64
}

type place struct {
	topic     string
	partition int
}

// A sampler takes samples while the round goes on, whenever both servers answer.
type sampler struct {
	url, slot, prefix string
	reader            *topics.Reader
	began             time.Time

	mu      sync.Mutex // guards the rest
	samples []sample
}

func (s *sampler) run(ctx context.Context) {
	var conn *pgx.Conn
	var last pglogrepl.LSN
	for ctx.Err() == nil {
		var err error
		if conn == nil {
			conn, err = s.connect(ctx)
		}
		if err == nil {
			last, err = s.take(ctx, conn, last)
		}
		if err != nil && conn != nil && conn.IsClosed() {
			conn = nil
		}
		rest(ctx, 250*time.Millisecond)
	}
	s.reader.Close()
	if conn != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		conn.Close(ctx)
	}
}

func (s *sampler) connect(ctx context.Context) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return pgx.Connect(ctx, s.url)
}

// take takes a sample if the slot has been told something new since the last one.
func (s *sampler) take(ctx context.Context, conn *pgx.Conn, last pglogrepl.LSN) (pglogrepl.LSN, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	confirmed, err := confirmedBy(ctx, conn, s.slot)
	if err != nil || confirmed == last {
		return last, err
	}
	bounds, err := s.reader.Bounds(ctx, s.prefix)
	if err != nil {
		return last, err
	}
	taken := sample{at: time.Since(s.began), confirmed: confirmed, ends: make(map[place]int64)}
	for _, b := range bounds {
		taken.ends[place{b.Topic, b.ID}] = b.End
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.samples = append(s.samples, taken)
	return confirmed, nil
}

func confirmedBy(ctx context.Context, conn *pgx.Conn, slot string) (pglogrepl.LSN, error) {
	var text string
	err := conn.QueryRow(ctx, "select confirmed_flush_lsn::text from pg_replication_slots where slot_name = $1", slot).Scan(&text)
	if err != nil {
		return 0, fmt.Errorf("read the slot %s: %w", slot, err)
	}
	return pglogrepl.ParseLSN(text)
}
