//go:build integration

package integration

import (
	"testing"
	"time"
)

// TestTypesChange changes types while pgwitness, which has met them, runs: what follows is shown by the new definition.
func TestTypesChange(t *testing.T) {
	tr := newTrail(t, 18)
	tr.Exec(t, "create type inner_type as (x int, y text)", "create type outer_type as (i inner_type, list inner_type[], n int)", "create type e as enum ('a', 'b')",
		"create domain d as outer_type", "create table base (k int)", "create table t (id int primary key, o outer_type, d d, os outer_type[], e e, b base)")
	tr.setup(t, "public.t")
	tr.watched(t)
	run := tr.run(t)
	const value = "row(row(1, 'q\"'), array[row(2, null)::inner_type], 3)"
	insert := "insert into t (o, d, os, e, b, id) values (" + value + ", " + value + ", array[" + value + "]::outer_type[], 'a', row(1), "
	for i, change := range []string{
		"select", "alter type inner_type rename attribute x to \"X \"\"é\"\"\"", "alter type e rename value 'b' to 'bb'", "alter type outer_type rename attribute n to m",
		"alter type inner_type rename to inner_renamed; alter type inner_renamed rename to inner_type", "alter table base rename k to kk",
	} {
		tr.Exec(t, change, insert+string(rune('1'+i))+")", "update t set id = -id where id = "+string(rune('1'+i)))
		tr.awaitConfirmed(t, 30*time.Second)
	}
	tr.Exec(t, "alter type inner_type add attribute z numeric", "update t set id = id - 100", "insert into t values (7, row(row(1, 'x', 1.10), '{}', 0), null, null, null, null)")
	tr.awaitConfirmed(t, 30*time.Second)
	tr.Exec(t, "alter type inner_type drop attribute y", "update t set id = id - 100", "insert into t values (8, row(row(1, 1.20), '{}', 0), null, null, null, null)")
	tr.awaitConfirmed(t, 30*time.Second)
	if r := run.Stop(t, 5*time.Second); r.Code != 0 {
		t.Fatalf("SIGTERM: exit code %d\n%s", r.Code, r.Stderr)
	}
	entries := tr.entries(t)
	tr.compareWithAudit(t, entries)
	for _, e := range entries {
		if e.Opaque != nil {
			t.Errorf("opaque: %s", line(e))
		}
	}
}
