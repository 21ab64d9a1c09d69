package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// shop is what stands before pgwitness comes: three tables, twenty products, and the people and programs that use them.
const shop = `
create table orders (
	id bigint generated always as identity primary key,
	customer text not null,
	items text[] not null,
	total numeric(10,2) not null,
	status text not null default 'pending'
);
create table payments (
	id bigint generated always as identity primary key,
	order_id bigint not null references orders,
	amount numeric(10,2) not null,
	method text not null
);
create table products (sku text primary key, title text not null, price numeric(10,2) not null);
insert into products select format('TEA-%s', to_char(n, 'FM00')), format('Tea no. %s', n), 4.00 + n * 0.25
	from generate_series(1, 20) n;

create role shop_app login password 'demo';
create role nightly login password 'demo';
create role alice login password 'demo';
grant select, insert, update on orders, payments to shop_app;
grant select, update on products to nightly;
grant select, insert, update, delete on all tables in schema public to alice;
`

// An act is what one session does. Each of its transactions is a list of statements.
type act struct {
	title        string
	words        string
	role         string
	application  string
	transactions [][]string
}

const rollback = "rollback" // as a transaction's last statement, instead of the commit

var story = []act{
	{
		title:       "The shop is open",
		words:       "shop-web takes two orders and their payments, and says on whose behalf: pgwitness.set_actor. A third\ncustomer's card is declined: that transaction is rolled back, so it never happened, and nothing of it arrives.\nThe second column is who did it. shop_app does not wait for pgwitness: it names its users itself.",
		role:        "shop_app",
		application: "shop-web",
		transactions: [][]string{
			{`select pgwitness.set_actor('ada', reason => 'checkout')`,
				`insert into orders (customer, items, total) values ('Ada', '{TEA-03,TEA-07}', 10.50)`},
			{`select pgwitness.set_actor('ada', reason => 'card accepted', request_id => 'r-9')`,
				`insert into payments (order_id, amount, method) values (1, 10.50, 'card')`,
				`update orders set status = 'paid' where id = 1`},
			{`select pgwitness.set_actor('grace', reason => 'checkout')`,
				`insert into orders (customer, items, total) values ('Grace', '{TEA-12}', 7.00)`},
			{`select pgwitness.set_actor('clerk_7', reason => 'invoice', ticket => 'OPS-1')`,
				`insert into payments (order_id, amount, method) values (2, 70.00, 'invoice')`,
				`update orders set status = 'paid' where id = 2`},
			{`insert into orders (customer, items, total) values ('Mallory', '{TEA-20}', 9.00)`,
				rollback},
		},
	},
	{
		title:       "At night, a batch job",
		words:       "nightly-prices raises the price of every product in one statement: one transaction, one record a row. It\nsays nothing of itself, and needs not: its commit waits a moment while pgwitness asks the server whose it is.",
		role:        "nightly",
		application: "nightly-prices",
		transactions: [][]string{
			{`update products set price = round(price * 1.03, 2)`},
		},
	},
	{
		title:       "In the morning, a repair by hand",
		words:       "Grace paid 7.00, but the payment says 70.00. Alice, a DBA, opens psql and mends the row. No application\ncode ran and no trigger fired; the trail has the row as it was and as it is, and who did it: her login, her\nprogram, her address.",
		role:        "alice",
		application: "psql",
		transactions: [][]string{
			{`update payments set amount = 7.00 where id = 2`},
		},
	},
}

// A change is what must be in the trail, as often as the ledger says.
type change struct {
	xid uint64
	op  string // insert, update, delete
}

type ledger map[change]int

func (l ledger) total() (n int) {
	for _, times := range l {
		n += times
	}
	return n
}

// play runs the act against url and enters what PostgreSQL says it committed.
func (a act) play(ctx context.Context, url string, done ledger) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	for _, statements := range a.transactions {
		if err = commit(ctx, conn, statements, done); err != nil {
			err = fmt.Errorf("%s: %w", a.application, err)
			break
		}
		pause(ctx, 300*time.Millisecond)
	}
	return errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
}

func commit(ctx context.Context, conn *pgx.Conn, statements []string, done ledger) error {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) // does nothing after a commit
	var xid uint64
	if err := tx.QueryRow(ctx, "select pg_current_xact_id()::text::bigint").Scan(&xid); err != nil {
		return err
	}
	rows := ledger{}
	for _, sql := range statements {
		if sql == rollback {
			return tx.Rollback(ctx)
		}
		tag, err := tx.Exec(ctx, sql)
		if err != nil {
			return err
		}
		verb, _, _ := strings.Cut(tag.String(), " ")
		if verb == "SELECT" {
			continue
		}
		rows[change{xid, strings.ToLower(verb)}] += int(tag.RowsAffected())
	}
	if err := tx.Commit(ctx); err != nil {
		return err
	}
	for c, n := range rows {
		done[c] += n
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
