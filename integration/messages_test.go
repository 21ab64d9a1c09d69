//go:build integration

package integration

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"pgwitness/integration/product"
	"pgwitness/integration/servers"
)

// TestOrigin: what was applied here for another server, or says so, names it.
func TestOrigin(t *testing.T) {
	for _, version := range []int{14, 18} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			tr := newTrail(t, version)
			tr.Exec(t, "create table t (id int primary key)")
			tr.setup(t, "public.*")
			tr.watched(t)
			origin := tr.slot + ` "é\`
			tr.Exec(t, "select pg_replication_origin_create("+quoteLiteral(origin)+")")
			t.Cleanup(func() { dropOrigin(t, tr.Server, origin) })
			tr.Exec(t, "insert into t values (1)", "select pg_replication_origin_session_setup("+quoteLiteral(origin)+")",
				"begin; select pg_replication_origin_xact_setup('0/AB', '2020-01-01'); insert into t values (2); select pg_logical_emit_message(true, 'm', 'x'); insert into t values (3); commit",
				"insert into t values (4)", "select pg_replication_origin_session_reset()", "insert into t values (5)", "truncate t")
			tr.catchUp(t, time.Minute)
			entries := tr.entries(t)
			tr.compareWithAudit(t, entries)
			var got []string
			for _, e := range entries {
				got = append(got, strings.Replace(fmt.Sprintf("%s %s", line(e), e.Source.Origin), origin, "from", 1))
			}
			want := []string{`insert t key {"id":1} after {"id":1} `, `insert t key {"id":2} after {"id":2} from`, `message "x" from`, `insert t key {"id":3} after {"id":3} from`,
				`insert t key {"id":4} after {"id":4} from`, `insert t key {"id":5} after {"id":5} `, `truncate t `}
			if !slices.Equal(got, want) {
				t.Errorf("\n got %q\nwant %q", got, want)
			}
		})
	}
}

// dropOrigin: origins are the cluster's.
func dropOrigin(t *testing.T, p *servers.Postgres, origin string) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, p.URL("postgres"))
	if err == nil {
		_, err = c.Exec(ctx, "select pg_replication_origin_drop($1)", origin)
		c.Close(ctx)
	}
	if err != nil {
		t.Errorf("drop origin: %v", err)
	}
}

// TestTopicNames: two tables whose topics Kafka takes for one, and a name that is too long, are told before the first
// record; topics.names settles it.
func TestTopicNames(t *testing.T) {
	long := strings.Repeat("漢", 21)
	for _, c := range []struct {
		name   string
		tables [2]string
		names  string // topics.names that settles it
		says   []string
	}{
		{"collision", [2]string{`"a_b".c`, `a."b_c"`}, "a_b.c=%s.other-name", []string{"a_b.c", "a.b_c"}},
		{"too long", [2]string{`"` + long + `"."` + long + `"`, `public.t`}, long + "." + long + "=%s.short", []string{long, "249"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := newTrail(t, 18)
			for _, table := range c.tables {
				schema, _, _ := strings.Cut(table, ".")
				tr.Exec(t, "create schema if not exists "+schema, "create table "+table+" (id int primary key)")
			}
			tr.setup(t, "*.*")
			tr.watched(t)
			for _, table := range slices.Backward(c.tables[:]) { // the one with the good name first
				tr.Exec(t, "insert into "+table+" values (1)")
			}
			r := tr.run(t, "--until", tr.position(t).String(), "--log-level", "error").Wait(t, time.Minute)
			expectLine(t, r, 1, append(c.says, `topics\.names`))
			if n := len(tr.entries(t)); n > 0 {
				t.Errorf("%d records before it was told", n)
			}
			tr.settings = []string{"PGWITNESS_TOPICS_NAMES=" + fmt.Sprintf(c.names, tr.prefix)}
			tr.catchUp(t, time.Minute)
			entries := tr.entries(t)
			tr.compareWithAudit(t, entries)
			if len(entries) != 2 || entries[0].Topic == entries[1].Topic {
				t.Errorf("%d records", len(entries))
			}
		})
	}
}

// TestServiceNames: schemas that are called as the streams beside the tables' are no collision.
func TestServiceNames(t *testing.T) {
	tr := newTrail(t, 18)
	for _, schema := range []string{"control", "who", "message"} {
		tr.Exec(t, "create schema "+schema, "create table "+schema+".t (id int primary key)", "create table "+schema+"."+schema+" (id int primary key)")
	}
	tr.setup(t, "*.*")
	tr.watched(t)
	for _, schema := range []string{"control", "who", "message"} {
		tr.Exec(t, "insert into "+schema+".t values (1)", "insert into "+schema+"."+schema+" values (1)", "select pg_logical_emit_message(true, '"+schema+"', 'x')")
	}
	tr.catchUp(t, time.Minute)
	entries := tr.entries(t)
	tr.compareWithAudit(t, entries)
	for _, e := range entries {
		want := tr.prefix + "." + e.Schema + "." + e.Table
		if e.Op == "message" {
			want = tr.prefix + ".message"
		}
		if e.Topic != want {
			t.Errorf("%s is in %s", line(e), e.Topic)
		}
	}
	if len(entries) != 9 {
		t.Errorf("%d records", len(entries))
	}
}

// TestPartitionTopics: the partitions' records are in their root's topic, or in one topic each.
func TestPartitionTopics(t *testing.T) {
	for _, choice := range []string{"root", "leaf"} {
		t.Run(choice, func(t *testing.T) {
			tr := partitioned(t)
			tr.settings = []string{"PGWITNESS_TOPICS_PARTITIONED=" + choice}
			tr.catchUp(t, time.Minute)
			entries := tr.entries(t)
			tr.compareWithAudit(t, entries)
			for _, e := range entries {
				want := tr.prefix + ".public.root"
				if choice == "leaf" {
					want = tr.prefix + ".public." + e.Table
				}
				if e.Topic != want || e.Root == nil || e.Root.Table != "root" || e.Table == "root" {
					t.Errorf("in %s: %s", e.Topic, e.value)
				}
			}
			if len(entries) != 7 {
				t.Errorf("%d records", len(entries))
			}
			tr.rebuild(t, none)
		})
	}
}

func partitioned(t *testing.T) *trail {
	tr := newTrail(t, 18)
	tr.Exec(t, "create table root (id int primary key, v text) partition by range (id)",
		"create table low partition of root for values from (0) to (10)", "create table high partition of root for values from (10) to (20)")
	tr.setup(t, "public.root")
	tr.watched(t)
	tr.Exec(t, "insert into root values (1, 'a'), (11, 'b')", "update root set v = 'c' where id = 1", "update root set id = 12 where id = 1", "truncate low", "delete from root where id = 11")
	return tr
}

// TestPublishViaRoot: setup refuses a publication that would lose a partition's TRUNCATE, and check says so; the trail
// tells of the change before the first record under the root's name.
func TestPublishViaRoot(t *testing.T) {
	tr := partitioned(t)
	tr.Exec(t, "alter publication "+tr.slot+" set (publish_via_partition_root = true)")
	for _, command := range [][]string{{"setup", "--tables", "public.root", "--role", tr.slot}, {"check"}} {
		r := product.Run(t, time.Minute, append(tr.names(), "PGWITNESS_SOURCE_URL="+tr.URL()), command...)
		if r.Code != 1 || !strings.Contains(r.Stdout+r.Stderr, "publish_via_partition_root") || !strings.Contains(r.Stdout+r.Stderr, "TRUNCATE") {
			t.Errorf("%s: %d\n%s%s", command[0], r.Code, r.Stdout, r.Stderr)
		}
	}
	tr.Exec(t, "insert into root values (5, 'x')", "update root set id = 15 where id = 5")
	tr.catchUp(t, time.Minute)
	var got []string
	for _, e := range tr.everything(t)[7:] {
		got = append(got, line(e))
	}
	want := []string{"publication ", `insert root key {"id":5} after {"id":5,"v":"x"}`, `delete root key {"id":5} before {"id":5,"v":"x"}`, `insert root key {"id":15} after {"id":15,"v":"x"}`}
	if got[2] != want[2] { // a move between partitions is then an update of the root
		want = append(want[:2], `update root key {"id":5} before {"id":5,"v":"x"} after {"id":15,"v":"x"} changed id`)
	}
	if !slices.Equal(got, want) {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
}
