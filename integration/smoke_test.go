//go:build integration

package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgwitness/integration/servers"
)

// TestSmoke is the whole path once on each version: set up, capture, stop, start again.
func TestSmoke(t *testing.T) {
	for _, version := range servers.Versions {
		t.Run(fmt.Sprint(version), func(t *testing.T) { smoke(t, newTrail(t, version)) })
	}
}

func smoke(t *testing.T, tr *trail) {
	tr.Exec(t, "create table orders (id int primary key, status text, total numeric(10,2))",
		"create table log (line text)")
	tr.setup(t, "public.*")
	tr.setup(t, "public.*") // the second time changes nothing

	run := tr.run(t)
	tr.Exec(t, "insert into orders values (1, 'pending', 9.90), (2, 'new', null)",
		"update orders set status = 'paid' where id = 1",
		"update orders set id = 3 where id = 2",
		"delete from orders where id = 1",
		"insert into log values ('a line')",
		"begin; insert into orders values (7, 'never', 0); rollback",
		"truncate log")
	tr.awaitConfirmed(t, 30*time.Second)
	want := []string{
		`insert public.log - -> {"line":"a line"}`,
		`truncate public.log - -> -`,
		`insert public.orders - -> {"id":1,"status":"pending","total":9.90}`,
		`insert public.orders - -> {"id":2,"status":"new","total":null}`,
		`update public.orders {"id":1,"status":"pending","total":9.90} -> {"id":1,"status":"paid","total":9.90}`,
		`update public.orders {"id":2,"status":"new","total":null} -> {"id":3,"status":"new","total":null}`,
		`delete public.orders {"id":1,"status":"paid","total":9.90} -> -`,
	}
	tr.expect(t, "while running", want)

	if r := run.Stop(t, 5*time.Second); r.Code != 0 {
		t.Fatalf("SIGTERM: exit code %d\n%s", r.Code, r.Stderr)
	}
	tr.expect(t, "after SIGTERM", want)

	tr.catchUp(t, 30*time.Second)
	tr.expect(t, "after a second start", want)

	tr.Exec(t, "insert into orders values (4, 'later', 1)")
	tr.catchUp(t, 30*time.Second)
	want = append(want, `insert public.orders - -> {"id":4,"status":"later","total":1.00}`)
	tr.expect(t, "after run --until", want)

	tr.catchUp(t, 30*time.Second)
	tr.expect(t, "after run --until once more", want)
}

// expect compares the records with what they should be in short.
func (tr *trail) expect(t *testing.T, when string, want []string) {
	t.Helper()
	var got []string
	for _, r := range tr.records(t) {
		got = append(got, summary(r))
	}
	if !slices.Equal(got, want) {
		t.Fatalf("%s:\n got\n\t%s\nwant\n\t%s", when, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}
