//go:build integration

package integration

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgwitness/integration/ledger"
	"pgwitness/integration/servers"
)

// A told is a record of the control topic that came from the log.
type told struct {
	ledger.Record
	Command     string                     `json:"command"`
	Reason      string                     `json:"reason"`
	Rewrite     []string                   `json:"rewrite"`
	Columns     map[string]json.RawMessage `json:"columns"`
	Type        struct{ Name string }      `json:"type"`
	From        place                      `json:"from"`
	Root        *place                     `json:"root"`
	Identity    string                     `json:"identity"`
	WasIdentity string                     `json:"was_identity"`
	Publication struct {
		Change     string
		RowFilter  bool `json:"row_filter"`
		ColumnList bool `json:"column_list"`
	} `json:"publication"`
	Privilege struct{ Public bool }              `json:"privilege"`
	Message   struct{ Prefix string }            `json:"message"`
	State     struct{ Last struct{ ID string } } `json:"state"`
}

type place struct {
	Schema, Table string
	Root          *place
}

// String is the record in a few words.
func (r *told) String() string {
	at := r.Schema + "." + r.Table
	if r.Root != nil {
		at += " of " + r.Root.Table
	}
	switch r.Op {
	case "baseline_broken":
		words := []string{r.Op, at, r.Reason}
		words = append(words, r.Rewrite...)
		for _, what := range []string{"added", "filled", "dropped", "renamed", "retyped"} {
			if names := r.Columns[what]; names != nil {
				words = append(words, what, string(names))
			}
		}
		if r.Type.Name != "" {
			words = append(words, r.Type.Name)
		}
		if r.From.Table != "" {
			words = append(words, "from", r.From.Schema+"."+r.From.Table)
			if r.From.Root != nil {
				words = append(words, "of", r.From.Root.Table)
			}
		}
		return strings.Join(words, " ")
	case "identity":
		return fmt.Sprintf("identity %s %s->%s", at, r.WasIdentity, r.Identity)
	case "publication":
		limits := map[bool]string{true: " limited"}[r.Publication.RowFilter || r.Publication.ColumnList]
		return fmt.Sprintf("publication %s %s%s", at, r.Publication.Change, limits)
	case "privilege":
		return fmt.Sprintf("privilege public=%v", r.Privilege.Public)
	case "unverified":
		return "unverified " + r.Message.Prefix
	}
	return r.Op
}

// story reads all topics and puts the records of the log into its order, in short. It holds the control records' form.
func (tr *trail) story(t *testing.T) []*told {
	t.Helper()
	var all []*told
	seen := map[string]bool{}
	for _, p := range tr.topics(t) {
		for _, raw := range p.Records {
			r := new(told)
			if err := json.Unmarshal(raw.Value, r); err != nil {
				t.Fatalf("%v: %s", err, raw.Value)
			}
			if r.Tx.CommitLSN == "" {
				continue // an observation of a run
			}
			if seen[r.ID] {
				t.Errorf("%s is there twice", r.ID)
			}
			seen[r.ID] = true
			if control := p.Topic == tr.prefix+".control"; control && (raw.Key != nil || string(r.Key) != "null" || r.State.Last.ID != r.ID || raw.Header("id") != r.ID) {
				t.Errorf("control record with key %q, header %q: %s", raw.Key, raw.Header("id"), raw.Value)
			}
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b *told) int {
		return cmp.Or(cmp.Compare(lsn(t, a.Tx.CommitLSN), lsn(t, b.Tx.CommitLSN)), cmp.Compare(a.Tx.Ordinal, b.Tx.Ordinal))
	})
	return all
}

// A chapter is what a session does, and what the trail is to say of it.
type chapter struct {
	do   []string
	want []string
}

// chapters uses tables that setup has published: t (id, v), other (id) is not.
var chapters = []chapter{
	{[]string{"insert into t values (1, 'a')"}, []string{"insert"}},
	{[]string{"alter table t add column n int"}, []string{`baseline_broken public.t columns added ["n"]`}},
	{[]string{"alter table t add column d int default 5", "update t set id = 2"}, []string{`baseline_broken public.t columns filled ["d"]`, "update"}},
	{[]string{"alter table t add column r float default random()"},
		[]string{"baseline_broken public.t rewrite default", `baseline_broken public.t columns filled ["r"]`}},
	{[]string{"begin; update t set v = 'b'; alter table t alter d type text using d || '!'; update t set v = 'c'; commit"},
		[]string{"update", "baseline_broken public.t rewrite type", `baseline_broken public.t columns retyped ["d"]`, "update"}},
	{[]string{"alter table t alter v type varchar(10)", "alter table t alter v type varchar(20)", "alter table t alter v type text"},
		[]string{"baseline_broken public.t rewrite type"}},
	{[]string{"alter table t rename n to m", "alter table t drop column d, drop column r"},
		[]string{`baseline_broken public.t columns renamed [{"was":"n","now":"m"}]`, `baseline_broken public.t columns dropped ["d","r"]`}},
	{[]string{"begin; alter table t add column never int; rollback", "begin; savepoint s; alter table t add column never int; rollback to s; alter table t add column s int; commit"},
		[]string{`baseline_broken public.t columns added ["s"]`}},
	{[]string{"alter table t replica identity default", "alter table t replica identity full", "alter table t replica identity full"},
		[]string{"identity public.t full->default", "identity public.t default->full"}},
	{[]string{"begin; alter publication PUB drop table t; update t set v = 'unseen'; alter publication PUB add table t; commit"},
		[]string{"publication public.t left", "publication public.t joined"}},
	{[]string{"alter publication PUB set (publish = 'insert')", "alter publication PUB set (publish = 'insert, update, delete, truncate')"},
		[]string{"publication . changed", "publication . changed"}},
	{[]string{"alter table t rename to u", "create schema s2", "alter table u set schema s2", "alter schema s2 rename to s3", "alter table s3.u set schema public", "alter table u rename to t"},
		[]string{"baseline_broken public.u renamed from public.t", "baseline_broken s2.u renamed from public.u", "baseline_broken s3.u renamed from s2.u",
			"baseline_broken public.u renamed from s3.u", "baseline_broken public.t renamed from public.u"}},
	{[]string{"create type mood as enum ('a', 'b')", "create type pair as (x int, m mood)", "create domain pairs as pair[]",
		"create table moods (id int primary key, p pairs)", "alter publication PUB add table moods",
		"alter type mood add value 'c'", "alter type mood rename value 'a' to 'z'", "alter type pair rename attribute x to y", "alter type pair add attribute z int",
		"drop type mood cascade", "drop type pair cascade", "drop table moods"},
		[]string{"publication public.moods joined", "baseline_broken public.moods type mood", "baseline_broken public.moods type pair",
			"baseline_broken public.moods type pair", "baseline_broken public.moods type pair", `baseline_broken public.moods columns dropped ["p"]`, "publication public.moods left"}},
	{[]string{"create table parts (id int primary key) partition by range (id)", "create table low partition of parts for values from (0) to (10)",
		"alter publication PUB add table parts", "create table high (id int primary key)", "insert into high values (10)",
		"alter table parts attach partition high for values from (10) to (20)", "create table higher partition of parts for values from (20) to (30)",
		"alter table parts add column v int default 1", "alter table parts detach partition high", "drop table parts"},
		[]string{"publication public.parts joined", "publication public.low of parts joined", "publication public.high of parts joined",
			"baseline_broken public.high of parts partition from public.high", "publication public.higher of parts joined", "identity public.higher of parts ->default",
			`baseline_broken public.parts columns filled ["v"]`, `baseline_broken public.low of parts columns filled ["v"]`, `baseline_broken public.high of parts columns filled ["v"]`,
			`baseline_broken public.higher of parts columns filled ["v"]`, "publication public.high left", "baseline_broken public.high partition from public.high of parts",
			"publication public.parts left", "publication public.low of parts left", "publication public.higher of parts left"}},
	{[]string{"set session_replication_role = replica; alter table t add column q int"}, []string{`baseline_broken public.t columns added ["q"]`}},
	{[]string{"set session authorization OWNER; alter table t add column o int"},
		[]string{`baseline_broken public.t columns added ["o"]`}},
	{[]string{"do $$ begin execute 'alter table t add column x int'; update t set v = 'x'; execute 'alter table t drop column x'; end $$"},
		[]string{`baseline_broken public.t columns added ["x"]`, "update", `baseline_broken public.t columns dropped ["x"]`}},
	{[]string{"begin isolation level serializable; select 1; alter table t add column z int; alter table t drop column z; commit"},
		[]string{`baseline_broken public.t columns added ["z"]`, `baseline_broken public.t columns dropped ["z"]`}},
	{[]string{"set standard_conforming_strings = off; set search_path = ''; set quote_all_identifiers = on; set client_encoding = 'LATIN1'", "alter table public.t add column \"a\\\"\"\xe9\" int",
		"alter table public.t drop column \"a\\\"\"\xe9\""},
		[]string{`baseline_broken public.t columns added ["a\\\"é"]`, `baseline_broken public.t columns dropped ["a\\\"é"]`}},
	{[]string{"create temp table t (id int); alter table pg_temp.t add column n float default random(); drop table pg_temp.t", "alter table other add column n float default random()",
		"create table third (id int)", "drop table third", "vacuum full t", "create index on t (v)", "comment on table t is 'x'", "analyze t"}, nil},
	{[]string{"grant execute on function EMIT to public", "revoke execute on function EMIT from public"}, []string{"privilege public=true", "privilege public=false"}},
	{[]string{"select pg_logical_emit_message(true, 'pgwitness.ddl', '{}'), pg_logical_emit_message(false, 'pgwitness.rewrite', '\\xff'::bytea)", "select pg_logical_emit_message(true, 'pgwitness.actor', '{}')"},
		[]string{"unverified pgwitness.rewrite", "unverified pgwitness.ddl"}},
	{[]string{"begin; truncate t; drop table t; commit"}, []string{"truncate", "publication public.t left"}},
}

// TestBaseline: what changes the reading of rows, or what is published of them, without sending rows, is told in its
// place among the rows; once, whenever pgwitness is killed.
func TestBaseline(t *testing.T) {
	for _, version := range []int{14, 15, 18} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			server, owner := servers.SharedPostgres(t, version), servers.Unique("o")
			t.Cleanup(func() { dropRole(t, server, owner) }) // after the database that has its table is gone
			tr := newTrailOn(t, server, servers.SharedKafka(t))
			tr.Exec(t, "create table t (id int primary key, v text)", "create table other (id int)")
			tr.setup(t, "public.t")
			tr.Exec(t, "create role "+owner, "grant create on schema public to "+owner, "alter table t owner to "+owner)
			if tr.Text(t, "select has_schema_privilege($1, 'pgwitness', 'usage')", owner) != "false" {
				t.Error("the owner has rights on schema pgwitness")
			}
			emit := "pg_logical_emit_message(boolean, text, text), pg_logical_emit_message(boolean, text, bytea)"
			if version >= 17 {
				emit = strings.ReplaceAll(emit, ")", ", boolean)")
			}
			words := strings.NewReplacer("PUB", tr.slot, "OWNER", owner, "EMIT", emit)
			var want []string
			run := tr.run(t)
			for i, c := range chapters {
				var do []string
				for _, statement := range c.do {
					do = append(do, words.Replace(statement))
				}
				tr.Exec(t, do...)
				want = append(want, c.want...)
				if i%5 == 4 { // whatever has been confirmed by now
					run.Kill(t)
					run = tr.run(t)
				}
			}
			run.Kill(t)
			tr.catchUp(t, time.Minute)
			run = tr.run(t)
			tr.Exec(t, "insert into other values (1)")
			tr.awaitConfirmed(t, time.Minute)
			tr.Exec(t, "drop publication "+tr.slot) // without which none can start
			tr.awaitConfirmed(t, time.Minute)
			run.Kill(t)
			want = append(want, "publication . dropped")
			tr.tells(t, want)
		})
	}
}

// tells compares the story with what it should be.
func (tr *trail) tells(t *testing.T, want []string) {
	t.Helper()
	var got []string
	for _, r := range tr.story(t) {
		got = append(got, r.String())
	}
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.Errorf("%d: nothing, want %s", i, want[i])
		case i >= len(want):
			t.Errorf("%d: %s, want nothing", i, got[i])
		case got[i] != want[i]:
			t.Fatalf("%d: %s\nwant %s\nafter %v", i, got[i], want[i], got[max(i-3, 0):i])
		}
	}
}
