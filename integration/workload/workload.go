// Package workload changes a database at random: several writers at once, each with transactions of every shape that an
// application makes. What they did is not remembered here; the database's own books tell (package ledger).
package workload

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Tables are the tables that the workload changes (schema.table).
var Tables = []string{"public.account", "public.entry", "public.note", "public.bulk"}

const tablesSQL = `
create table account (id bigint primary key, owner text not null, balance numeric, tags text[], opened timestamptz default now());
create table entry (tenant int, number bigint, amount float8, at date, details jsonb, primary key (tenant, number));
create table note (id uuid primary key default gen_random_uuid(), body text, raw bytea, read bool);
create table bulk (id bigint primary key, word text, n int);
create sequence fresh start 1000000;
insert into account select n, 'owner ' || n, n * 1.5, array['a', null, 'c,"d'] from generate_series(1, 3000) n;
insert into entry select n % 7, n, n / 3.0, date '2026-01-01' + n, jsonb_build_object('n', n) from generate_series(1, 3000) n;
insert into note (body) select repeat(md5(n::text), 1 + n % 200) from generate_series(1, 1000) n;
`

// A Load says how hard to work.
type Load struct {
	Writers int
	Time    time.Duration
	Seed    uint64
	Bulk    int // rows of the one big transaction, made half-way; 0 for none
}

// Create makes the tables and fills them.
func Create(ctx context.Context, c *pgx.Conn) error {
	_, err := c.Exec(ctx, tablesSQL)
	return err
}

// Run works until the time is over, and returns the number of transactions that were committed.
func (l Load) Run(ctx context.Context, url string) (int64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	over := time.Now().Add(l.Time)
	var commits atomic.Int64
	var wg sync.WaitGroup
	for n := range l.Writers {
		wg.Go(func() {
			w := writer{random: rand.New(rand.NewPCG(l.Seed, uint64(n))), commits: &commits}
			if err := w.work(ctx, url, over); err != nil {
				cancel(fmt.Errorf("writer %d (seed %d): %w", n, l.Seed, err))
			}
		})
	}
	if l.Bulk > 0 {
		wg.Go(func() {
			if err := bulk(ctx, url, l.Bulk, l.Time/2); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	return commits.Load(), context.Cause(ctx)
}

// bulk makes one transaction of many rows while the others work.
func bulk(ctx context.Context, url string, rows int, after time.Duration) error {
	select {
	case <-time.After(after):
	case <-ctx.Done():
		return nil
	}
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer c.Close(context.WithoutCancel(ctx))
	_, err = c.Exec(ctx, "insert into bulk select n, 'word ' || n, n % 10 from generate_series(1, $1::int) n", rows)
	return err
}

type writer struct {
	random  *rand.Rand
	commits *atomic.Int64
	conn    *pgx.Conn
}

func (w *writer) work(ctx context.Context, url string, over time.Time) error {
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer c.Close(context.WithoutCancel(ctx))
	w.conn = c
	for time.Now().Before(over) && ctx.Err() == nil {
		err := w.transaction(ctx)
		if err != nil && !expected(err) {
			return err
		}
	}
	return nil
}

// expected tells the errors that writers in each other's way meet: serialization_failure, deadlock_detected,
// unique_violation. The transaction is over; the next one goes on.
func expected(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40001" || pg.Code == "40P01" || pg.Code == "23505")
}

// transaction is one of: a statement by itself, a block, a block with savepoints; one block in ten is rolled back.
func (w *writer) transaction(ctx context.Context) error {
	if w.random.IntN(3) == 0 {
		if err := w.statement(ctx); err != nil {
			return err
		}
		w.commits.Add(1)
		return nil
	}
	tx, err := w.conn.Begin(ctx)
	if err != nil {
		return err
	}
	// A broken connection shows at the next use.
	defer tx.Rollback(context.WithoutCancel(ctx))
	for range 1 + w.random.IntN(12) {
		if w.random.IntN(4) == 0 {
			err = w.savepoint(ctx, tx, 1)
		} else {
			err = w.statement(ctx)
		}
		if err != nil {
			return err
		}
	}
	if w.random.IntN(10) == 0 {
		return tx.Rollback(ctx)
	}
	if err := tx.Commit(ctx); err != nil {
		return err
	}
	w.commits.Add(1)
	return nil
}

// savepoint makes some changes under a savepoint, perhaps under another one in it, and rolls half of them back.
func (w *writer) savepoint(ctx context.Context, outer pgx.Tx, depth int) error {
	inner, err := outer.Begin(ctx)
	if err != nil {
		return err
	}
	for range 1 + w.random.IntN(3) {
		if err := w.statement(ctx); err != nil {
			return err
		}
	}
	if depth < 3 && w.random.IntN(3) == 0 {
		if err := w.savepoint(ctx, inner, depth+1); err != nil {
			return err
		}
	}
	if w.random.IntN(2) == 0 {
		return inner.Rollback(ctx)
	}
	return inner.Commit(ctx)
}

// statement makes one change, or a few.
func (w *writer) statement(ctx context.Context) error {
	s := statements[w.random.IntN(len(statements))]
	args := make([]any, s.args)
	for i := range args {
		args[i] = w.random.IntN(3000) + 1
	}
	_, err := w.conn.Exec(ctx, s.sql, args...)
	return err
}

var statements = []struct {
	sql  string
	args int
}{
	{"insert into account (id, owner, balance) values (nextval('fresh'), 'new ' || $1::int, $1::int / 7.0)", 1},
	{"insert into entry values ($1::int % 7, nextval('fresh'), $1::int * 0.1, null, '{\"a\": [1, {\"b\": \"é\\n\"}]}')", 1},
	{"insert into note (body, raw, read) values (repeat('x', $1::int), decode(md5($1::int::text), 'hex'), $1::int % 2 = 0)", 1},
	{"update account set balance = balance + $2::int where id = $1::int", 2},
	{"update account set tags = tags || $2::int::text where id between $1::int and $1::int + 2", 2},
	{"update entry set amount = -amount, details = details || jsonb_build_object('k', $2::int) where number = $1::int", 2},
	{"update note set read = not coalesce(read, false) where id = (select id from note offset $1::int % 800 limit 1)", 1},
	{"update account set id = nextval('fresh') where id = $1::int and $2::int < 50", 2},
	{"update entry set tenant = tenant + 1, number = nextval('fresh') where number = $1::int and $2::int < 50", 2},
	{"delete from account where id = $1::int and $2::int < 100", 2},
	{"delete from entry where number = (select max(number) from entry where tenant = $1::int % 7)", 1},
	{"delete from note where id = (select id from note offset 800 + $1::int % 200 limit 1)", 1},
	{"insert into account (id, owner) values ($1::int, 'again') on conflict (id) do update set owner = excluded.owner", 1},
	{"with gone as (delete from bulk where id = $1::int returning *) insert into bulk select nextval('fresh'), word, n from gone", 1},
}
