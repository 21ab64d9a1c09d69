//go:build integration

package integration

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestObservations: what weakens the trail is told in the control topic also where no event trigger tells it, while a run
// watches and by the next run.
func TestObservations(t *testing.T) {
	t.Parallel()
	for _, version := range []int{14, 18} {
		t.Run(fmt.Sprint(version), func(t *testing.T) { t.Parallel(); observations(t, version) })
	}
}

func observations(t *testing.T, version int) {
	tr := newTrail(t, version)
	tr.Exec(t, "create table a (id int primary key, v text)", "create table b (id int primary key)", "create table c (id int primary key)")
	tr.setup(t, "public.*")
	// As a superuser may: nothing tells the stream from here on.
	tr.Exec(t, "do $$ declare n text; begin for n in select evtname from pg_event_trigger loop execute format('drop event trigger %I', n); end loop; end $$")
	run := tr.run(t)
	tr.awaitObservations(t, "observed")

	tr.Exec(t, "alter publication "+tr.slot+" drop table b", "alter table a replica identity default",
		"grant execute on function "+tr.Text(t, "select min(oid::regprocedure::text) from pg_proc where proname = 'pg_logical_emit_message'")+" to public")
	want := []string{
		`publication {"change":"left","schema":"public","table":"b"}`,
		`identity {"change":"changed","schema":"public","table":"a","was":"full","now":"default"}`,
		`privilege {"change":"granted","name":"pg_logical_emit_message"}`,
	}
	tr.awaitObservations(t, want...)
	if r := run.Stop(t, 10*time.Second); r.Code != 0 {
		t.Fatalf("exit code %d\n%s", r.Code, r.Stderr)
	}

	// While nobody runs.
	tr.Exec(t, "alter publication "+tr.slot+" set (publish = 'insert')", "alter publication "+tr.slot+" add table b")
	want = append(want, `publication {"change":"joined","schema":"public","table":"b"}`,
		`publication {"change":"changed","was":{"insert":true,"update":true,"delete":true,"truncate":true,"via_root":false,"all_tables":false},`+
			`"now":{"insert":true,"update":false,"delete":false,"truncate":false,"via_root":false,"all_tables":false}}`)
	run = tr.run(t)
	tr.awaitObservations(t, want...)
	if version >= 15 {
		tr.Exec(t, "alter publication "+tr.slot+" set table a (id), b where (id > 3), c")
		want = append(want, `publication {"change":"changed","schema":"public","table":"a","was":{},"now":{"columns":["id"]}}`,
			`publication {"change":"changed","schema":"public","table":"b","was":{},"now":{"row_filter":"(id \u003e 3)"}}`)
		tr.awaitObservations(t, want...)
	}
	if r := run.Stop(t, 10*time.Second); r.Code != 0 {
		t.Fatalf("exit code %d\n%s", r.Code, r.Stderr)
	}
	got := slices.DeleteFunc(tr.observations(t), func(o string) bool { return o == "observed" })
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("each is told once:\n got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// TestEventTriggersAreWatched: who disables or drops an event trigger is not told by it.
func TestEventTriggersAreWatched(t *testing.T) {
	t.Parallel()
	tr := newTrail(t, 18)
	tr.Exec(t, "create table a (id int primary key)")
	tr.setup(t, "public.*")
	run := tr.run(t)
	tr.awaitObservations(t, "observed")
	one, other := tr.Text(t, "select min(evtname) from pg_event_trigger"), tr.Text(t, "select max(evtname) from pg_event_trigger")
	tr.Exec(t, "alter event trigger "+one+" disable", "drop event trigger "+other)
	tr.awaitObservations(t,
		fmt.Sprintf(`event_trigger {"change":"changed","name":"%s","was":"always","now":"disabled"}`, one),
		fmt.Sprintf(`event_trigger {"change":"dropped","name":"%s","was":"always"}`, other))
	if r := run.Stop(t, 10*time.Second); r.Code != 0 {
		t.Errorf("exit code %d\n%s", r.Code, r.Stderr)
	}
}

// observations lists what runs have seen: the op and what was observed.
func (tr *trail) observations(t *testing.T) []string {
	t.Helper()
	partitions, err := tr.reader.ReadAll(t.Context(), tr.prefix)
	if err != nil {
		t.Log(err) // topics that are being made
	}
	var seen []string
	for _, p := range partitions {
		if p.Topic != tr.prefix+".control" {
			continue
		}
		for _, raw := range p.Records {
			var r struct {
				Op       string
				Observed json.RawMessage
			}
			if err := json.Unmarshal(raw.Value, &r); err != nil {
				t.Fatal(err)
			}
			if r.Observed != nil || r.Op == "observed" {
				seen = append(seen, strings.TrimSpace(r.Op+" "+string(r.Observed)))
			}
		}
	}
	return seen
}

func (tr *trail) awaitObservations(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		got = tr.observations(t)
		if !slices.ContainsFunc(want, func(w string) bool { return !slices.Contains(got, w) }) {
			return
		}
	}
	t.Fatalf("not told:\n got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
}
