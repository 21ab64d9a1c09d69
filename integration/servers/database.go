//go:build integration

package servers

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// A Database is one test's own.
type Database struct {
	Server *Postgres
	Name   string
}

// NewDatabase makes a database that is dropped with its slots when the test ends.
func (p *Postgres) NewDatabase(t testing.TB) *Database {
	t.Helper()
	return p.NewDatabaseWith(t, "")
}

// NewDatabaseWith makes a database with further words of CREATE DATABASE, for example "encoding 'LATIN1' template
// template0".
func (p *Postgres) NewDatabaseWith(t testing.TB, words string) *Database {
	t.Helper()
	d := &Database{Server: p, Name: Unique("d")}
	d.onServer(t, fmt.Sprintf("create database %s %s", d.Name, words))
	t.Cleanup(func() { d.drop(t) })
	return d
}

// Unique makes a name that is a word to PostgreSQL and to Kafka, and that no other test has.
func Unique(prefix string) string { return fmt.Sprintf("%s%012x", prefix, rand.Uint64()>>16) }

// URL is the database's, for the superuser.
func (d *Database) URL() string { return d.Server.URL(d.Name) }

// URLAs is the database's, for another user.
func (d *Database) URLAs(user, password string) string { return d.Server.URLAs(user, password, d.Name) }

// Connect opens a connection that is closed when the test ends.
func (d *Database) Connect(t testing.TB) *pgx.Conn {
	t.Helper()
	return Connect(t, d.URL())
}

// Connect opens a connection that is closed when the test ends.
func Connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		c.Close(ctx)
	})
	return c
}

// Exec runs statements, each on its own, on a connection of their own.
func (d *Database) Exec(t testing.TB, statements ...string) {
	t.Helper()
	ctx := t.Context()
	c, err := pgx.Connect(ctx, d.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	for _, s := range statements {
		if _, err := c.Exec(ctx, s); err != nil {
			t.Fatalf("%v\nin %s", err, s)
		}
	}
}

// Text runs a query for one value and returns it as text, empty for null.
func (d *Database) Text(t testing.TB, query string, args ...any) string {
	t.Helper()
	ctx := t.Context()
	c, err := pgx.Connect(ctx, d.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	var value *string
	if err := c.QueryRow(ctx, "select ("+query+")::text", args...).Scan(&value); err != nil {
		t.Fatalf("%v\nin %s", err, query)
	}
	if value == nil {
		return ""
	}
	return *value
}

// onServer runs a statement in the database postgres.
func (d *Database) onServer(t testing.TB, statement string) {
	t.Helper()
	(&Database{Server: d.Server, Name: "postgres"}).Exec(t, statement)
}

// drop ends what still uses the database, and removes its slots and itself. A server that the test left stopped has
// nothing to clean.
func (d *Database) drop(t testing.TB) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute) // a checkpoint may take long
	defer cancel()
	c, err := pgx.Connect(ctx, d.Server.URL("postgres"))
	if err != nil {
		return
	}
	defer c.Close(ctx)
	err = until(10*time.Second, func() error {
		_, err := c.Exec(ctx, `select pg_terminate_backend(active_pid) from pg_replication_slots
			where database = $1 and active`, d.Name)
		if err != nil {
			return err
		}
		_, err = c.Exec(ctx, "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = $1", d.Name)
		return err
	})
	if err == nil {
		_, err = c.Exec(ctx, fmt.Sprintf("drop database if exists %s with (force)", d.Name))
	}
	if err != nil {
		t.Errorf("drop database %s: %v", d.Name, err)
	}
}
