//go:build integration

package integration

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgwitness/integration/product"
)

// awaitText waits until a running pgwitness has printed something.
func awaitText(t *testing.T, p *product.Process, text string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if strings.Contains(p.Stdout(), text) {
			return
		}
	}
	t.Fatalf("tail does not show %q:\n%s%s", text, p.Stdout(), p.Stderr())
}

// TestCommands: check, status, tail and teardown beside a trail that is running.
func TestCommands(t *testing.T) {
	tr := newTrail(t, 18)
	tr.settings = []string{"PGWITNESS_TOPICS_PARTITIONS=3"}
	tr.Exec(t, "create table orders (id int primary key, status text)")
	tr.setup(t, "public.*")
	role := tr.URLAs(tr.slot, rolePassword)

	expectEnd(t, tr.command(t, role, "check"), 0, "ok      slot: "+tr.slot+", nobody reads it", "ok      replica-identity: full (published tables: 1)",
		"ok      replication: a replication connection opens", "ok      topics: 0 of 3 exist")
	running := tr.run(t)
	following := product.Start(t, tr.names(), "tail", "--from-beginning")
	tr.Exec(t, "insert into orders select g, 'new' from generate_series(1, 30) g", "update orders set status = E'evil\\x1b[31m' where id = 7", "truncate orders")
	tr.awaitConfirmed(t, 20*time.Second)
	awaitText(t, following, `update public.orders id=7  status "new" → "evil\u001b[31m"`)

	// A table that joins the publication later gets a topic later.
	tr.Exec(t, "create table later (id int)", "insert into later values (1)")
	tr.setup(t, "public.*")
	tr.Exec(t, "insert into later values (2)")
	awaitText(t, following, "insert public.later  id 2")
	following.Signal(t, syscall.SIGINT)
	expectEnd(t, following.Wait(t, 10*time.Second), 0)

	shown := product.Run(t, time.Minute, tr.names(), "tail", "--until-end")
	expectEnd(t, shown, 0)
	if n := strings.Count(shown.Stdout, "public."); n != 34 { // 30 rows, an update, a truncate of three partitions, a table that joined, a row
		t.Errorf("%d changes shown:\n%s", n, shown.Stdout)
	}
	if strings.Contains(shown.Stdout, "\x1b") {
		t.Error("an escape sequence where no terminal is")
	}
	raw := product.Run(t, time.Minute, tr.names(), "tail", "--until-end", "--json")
	expectEnd(t, raw, 0)
	for line := range strings.Lines(raw.Stdout) {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
	}

	tr.tailChooses(t)
	tr.statusIs(t, role)
	expectEnd(t, tr.command(t, tr.URL(), "teardown", "--apply"), 1, "slot "+tr.slot+" is in use by pid ", "role "+tr.slot, "nothing was changed")
	expectEnd(t, running.Stop(t, 10*time.Second), 0)
	expectEnd(t, tr.command(t, role, "check"), 0, "ok      topic-partitions: as many as topics.partitions says (topics: 4)", "ok      topic-read: each of 4 topics can be read", "ok      topic-write: each of 4 topics can be written", "ok      transactional-id: ")
	expectEnd(t, tr.command(t, role, "status"), 0, "nobody reads it")
	expectEnd(t, tr.command(t, tr.URL(), "teardown", "--role", tr.slot, "--drop-role", "--apply"), 0, "teardown is complete")
	expectEnd(t, tr.command(t, tr.URL(), "status"), 0, "slot         "+tr.slot+" does not exist")
	expectEnd(t, tr.command(t, tr.URL(), "check"), 1, "wrong   slot: "+tr.slot+" does not exist", "wrong   publication: "+tr.slot+" does not exist")
}

// tailChooses: filters choose, and a time is found by the brokers' index.
func (tr *trail) tailChooses(t *testing.T) {
	t.Helper()
	begin := tr.Text(t, `select to_char(clock_timestamp() at time zone 'utc' + interval '1 millisecond', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`)
	tr.Exec(t, "select pg_sleep(0.01)", "create table docs (id int primary key, doc jsonb)", "alter table docs replica identity full", "alter publication "+tr.slot+" add table only docs")
	tr.Exec(t, `insert into docs values (1, '{"a": {"b": 1}, "c": [1, 3]}'), (2, null)`, "insert into later values (3)", "select pg_sleep(0.01)")
	end := tr.Text(t, `select to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`)
	tr.Exec(t, "select pg_sleep(0.01)", `update docs set doc = '{"a": {"b": 2}, "c": [1, 2, 3]}' where id = 1`)
	tr.awaitConfirmed(t, 20*time.Second)
	for _, tt := range []struct {
		flags []string
		lines int
		says  string
	}{
		{[]string{"--since", begin, "--table", "public.*", "--op", "insert,update"}, 4, "doc.a.b 1 → 2  doc.c[1] + 2"},
		{[]string{"--since", begin, "--until", end, "--table", "public.docs,public.later", "--op", "insert"}, 3, "insert public.later  id 3"},
		{[]string{"--since", end}, 1, "update public.docs id=1"},
		{[]string{"--since", "1h", "--key", "id=7"}, 2, "update public.orders id=7"},
		{[]string{"--key", "2", "--table", "*.docs"}, 1, "insert public.docs id=2"},
		{[]string{"--actor", "nobody"}, 0, ""},
		{[]string{"--since", "0s"}, 0, ""},
	} {
		r := product.Run(t, time.Minute, tr.names(), append([]string{"tail", "--until-end"}, tt.flags...)...)
		expectEnd(t, r, 0, tt.says)
		if n := strings.Count(r.Stdout, "\n"); n != tt.lines {
			t.Errorf("%q: %d lines, want %d\n%s", tt.flags, n, tt.lines, r.Stdout)
		}
	}
	soon := product.Run(t, time.Minute, tr.names(), "tail", "--since", begin, "--op", "insert", "--until", time.Now().Add(3*time.Second).UTC().Format(time.RFC3339))
	expectEnd(t, soon, 0, "insert public.docs id=1")
}

// statusIs looks at the JSON of status while the trail runs.
func (tr *trail) statusIs(t *testing.T, role string) {
	t.Helper()
	r := tr.command(t, role, "status", "--json")
	expectEnd(t, r, 0)
	var st struct {
		Slot struct {
			Exists   bool     `json:"exists"`
			Active   bool     `json:"active"`
			ActiveBy string   `json:"active_by"`
			LagBytes int64    `json:"lag_bytes"`
			Lag      *float64 `json:"lag_seconds"`
		} `json:"slot"`
		Publication struct {
			Tables []struct{ Table, Identity string }
		} `json:"publication"`
		Topics []struct {
			Name       string
			Partitions []struct{ Records int64 }
		} `json:"topics"`
	}
	if err := json.Unmarshal([]byte(r.Stdout), &st); err != nil {
		t.Fatal(err)
	}
	if !st.Slot.Exists || !st.Slot.Active || !strings.Contains(st.Slot.ActiveBy, "role "+tr.slot) || st.Slot.Lag == nil || st.Slot.LagBytes < 0 {
		t.Errorf("slot: %+v", st.Slot)
	}
	if len(st.Publication.Tables) != 3 || st.Publication.Tables[0].Identity != "full" {
		t.Errorf("publication: %+v", st.Publication)
	}
	for _, topic := range st.Topics {
		records := int64(0)
		for _, p := range topic.Partitions {
			records += p.Records
		}
		if topic.Name == tr.prefix+".public.orders" && (len(topic.Partitions) != 3 || records < 34) {
			t.Errorf("topic: %+v", topic)
		}
	}
}
