//go:build integration

package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestMaskStops: whatever leaves a doubt about a mask stops the run before a value is published, says how that is mended,
// and goes on from there once it is.
func TestMaskStops(t *testing.T) {
	t.Parallel()
	for _, version := range []int{14, 18} {
		t.Run(fmt.Sprint(version), func(t *testing.T) { t.Parallel(); maskStops(t, version) })
	}
}

func maskStops(t *testing.T, version int) {
	tr := newTrail(t, version)
	tr.Exec(t, "create table a (id int primary key, ssn text)", "create table q (id int, ssn text) partition by list (id)",
		"create table q1 partition of q for values in (1)", "create table other (id int primary key)")
	tr.setup(t, "public.*")
	rows, n := 0, 0 // with a planted value; all
	insert := func(table string) string {
		n, rows = n+1, rows+1
		return fmt.Sprintf("insert into %s values (%d, '%s')", table, n, plantedMasked)
	}
	for i, test := range []struct {
		name           string
		masks, absent  string   // that the run begins with
		before, during []string // statements
		said           string
		mended, gone   string // masks and mask_absent, by which the next run goes on
	}{
		{"a name that is no table", "public.b.ssn=redact", "", nil, nil, "mask public.b.ssn: there is no table public.b", "public.a.ssn=redact", ""},
		{"a name that is no column", "public.a.snn=redact", "", nil, nil, "mask public.a.snn: the table has no column snn", "public.a.ssn=redact", ""},
		{"a key that is not hashed", "public.a.id=redact", "", nil, []string{insert("a")}, "column id is part of the key and masked by redact",
			"public.a.ssn=redact", ""},
		{"a column is renamed", "public.a.ssn=redact", "", []string{insert("a")}, []string{"alter table a rename ssn to social", insert("a")},
			"mask public.a.ssn: the table has no column ssn", "public.a.ssn=redact,public.a.social=redact", "public.a.ssn"},
		{"a table is renamed", "public.a.social=redact", "", nil, []string{insert("a"), "alter table a rename to b", insert("b")},
			"mask public.a.social: there is no table public.a", "public.b.social=redact", ""},
		{"another table bears its name", "public.b.social=redact", "", []string{insert("b")},
			[]string{"begin; alter table b rename to c; create table b (id int primary key, social text); alter publication " + tr.slot + " add table only b; commit", insert("c")},
			"mask public.b.social does not concern it any more", "public.b.social=redact,public.c.social=redact", ""},
		{"renamed while nobody ran", "public.d.digits=redact", "", nil, nil, "", "", ""},
		{"a partition is detached", "public.q.ssn=last4", "", []string{"insert into q values (1, '" + plantedMasked + "')"},
			[]string{"alter table q detach partition q1", "insert into q1 values (1, '" + plantedMasked + "')"},
			"mask public.q.ssn does not concern it any more", "public.q.ssn=last4,public.q1.ssn=last4", ""},
		{"a partition was dropped while nobody ran", "public.q.ssn=last4", "", nil, nil, "", "", ""},
		{"a column is renamed, and another takes its name", "public.d.digits=redact", "", []string{insert("d")},
			[]string{"begin; alter table d rename digits to old; alter table d add digits text; commit", insert("d")},
			"mask public.d.digits: the column that it concerned is called old now", "public.d.digits=redact,public.d.old=redact", "public.d.digits,public.d.old"},
		{"a column is dropped", "public.d.digits=redact,public.d.old=redact", "", nil, []string{insert("d"), "alter table d drop digits", "insert into d values (0)"},
			"mask public.d.digits: the table has no column digits", "public.d.digits=redact,public.d.old=redact", "public.d.digits"},
		{"a table is dropped", "public.b.social=redact", "", nil, []string{insert("b"), "drop table b", "insert into other values (1)"},
			"mask public.b.social: there is no table public.b", "public.b.social=redact", "public.b.social"},
	} {
		switch test.name {
		case "renamed while nobody ran":
			tr.Exec(t, insert("c"), "alter table c rename to d", "alter table d rename social to digits")
			test.said, test.mended, test.gone = "mask public.d.digits: at this place of the log there is no column digits",
				"public.d.digits=redact,public.d.social=redact", "public.d.digits,public.d.social"
		case "a partition was dropped while nobody ran":
			tr.Exec(t, "create table q2 partition of q for values in (2)", "alter table only q2 replica identity full",
				"insert into q values (2, '"+plantedMasked+"')", "drop table q2")
			test.said, test.mended, test.gone = "it is gone from the catalogue, and may have inherited the masks of public.q: list public.q2 in mask_absent",
				"public.q.ssn=last4,public.q2.ssn=last4", "public.q2"
		}
		t.Log(test.name)
		tr.masked(t, test.masks, test.absent)
		run := tr.run(t, "--log-level", "trace")
		if test.before != nil {
			tr.Exec(t, test.before...)
			tr.awaitConfirmedBy(t, run.Running, time.Minute)
		}
		if test.during != nil {
			tr.Exec(t, test.during...)
		}
		r := run.Wait(t, time.Minute)
		if r.Code != 1 || !strings.Contains(r.Stderr, test.said) {
			t.Fatalf("%s: exit code %d, want %q:\n%s", test.name, r.Code, test.said, r.Stderr)
		}
		hidden(t, test.name, r.Stderr)
		if again := tr.run(t).Wait(t, time.Minute); again.Code != 1 {
			t.Fatalf("%s: begun again it ends with %d\n%s", test.name, again.Code, again.Stderr)
		}
		tr.masked(t, test.mended, test.gone)
		tr.Exec(t, fmt.Sprintf("insert into other values (%d)", -i)) // an idle server may hold its last bytes back
		tr.catchUp(t, time.Minute)
	}
	tr.hiddenInKafka(t)
	masked := 0
	for _, r := range tr.records(t) {
		if strings.Contains(string(r.After), `"redacted"`) {
			masked++
		}
	}
	if masked != rows {
		t.Errorf("%d masked rows, want %d", masked, rows)
	}
}

// TestMaskCheck: check says of each mask whether run would take it.
func TestMaskCheck(t *testing.T) {
	t.Parallel()
	for _, version := range []int{14, 18} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			t.Parallel()
			tr := newTrail(t, version)
			tr.Exec(t, "create table a (id int primary key, ssn text, other text not null)", "create unique index by_other on a (other) include (ssn)",
				"create table q (id int, ssn text) partition by list (id)", "create table q1 partition of q for values in (1)")
			tr.setup(t, "public.*")
			tr.masked(t, "public.a.ssn=redact,public.a.id=last4,public.A.other=redact,public.q.ssn=hash,public.a.snn=redact,public.b.x=redact,public.gone.y=redact",
				"public.gone.y")
			role := tr.URLAs(tr.slot, rolePassword)
			expectEnd(t, tr.command(t, role, "check"), 1, "ok      mask: public.a.ssn: redact", "ok      mask: public.a.other: redact",
				"wrong   mask: public.a.id: it is part of the key of public.a, and last4 is not for keys: run stops",
				"ok      mask: public.q.ssn: hash, also in its partitions and children (1)",
				"wrong   mask: public.a.snn: the table has no such column: run stops", "wrong   mask: public.b.x: there is no such table: run stops",
				"note    mask: public.gone.y is not there, as mask_absent allows")
			tr.Exec(t, "alter table a replica identity using index by_other")
			tr.masked(t, "public.a.ssn=redact,public.a.id=last4,public.a.other=redact", "")
			expectEnd(t, tr.command(t, role, "check"), 1, "ok      mask: public.a.ssn: redact", "ok      mask: public.a.id: last4",
				"wrong   mask: public.a.other: it is part of the key of public.a, and redact is not for keys: run stops")
		})
	}
}

// TestMaskChange: in a topic with several partitions, hashes decide where a key goes. Another key of hashes is taken up
// when nothing is to be sent again, and refused otherwise.
func TestMaskChange(t *testing.T) {
	t.Parallel()
	tr := newProxiedTrail(t, 18)
	tr.Exec(t, "create table k (code text primary key, n int)")
	tr.setup(t, "public.*")
	n := 0
	work := func() {
		for range 8 {
			n++
			tr.Exec(t, fmt.Sprintf("insert into k values ('%s-%d', 0)", plantedMasked, n), fmt.Sprintf("update k set n = %d where code = '%s-%[1]d'", n, plantedMasked))
		}
	}
	const otherKey = "0f0e0d0c0b0a09080706050403020100"
	by := func(key string) {
		tr.maskedBy(t, key, "public.k.code=hash", "")
		tr.settings = append(tr.settings, "PGWITNESS_TOPICS_PARTITIONS=5")
	}
	by(maskKeyText)
	tr.crashUnconfirmed(t, work)
	work()
	tr.crashUnconfirmed(t, work) // the same key: everything comes again and is skipped
	by(otherKey)
	if r := tr.run(t).Wait(t, time.Minute); r.Code != 1 || !strings.Contains(r.Stderr, "Run with the former mask and mask_key_file until all is delivered") {
		t.Fatalf("exit code %d\n%s", r.Code, r.Stderr)
	}
	by(maskKeyText)
	tr.catchUp(t, time.Minute)
	by(otherKey)
	work()
	tr.crashUnconfirmed(t, work)
	tr.catchUp(t, time.Minute)
	tr.hiddenInKafka(t)

	ids, keys := map[string]bool{}, map[string]int{}
	partitionOf := map[string]int{}
	for _, r := range tr.records(t) {
		if ids[r.ID] {
			t.Errorf("%s is there twice", r.ID)
		}
		ids[r.ID] = true
		if p, ok := partitionOf[r.RecordKey]; ok && p != r.Partition {
			t.Errorf("key %s lies in partitions %d and %d", r.RecordKey, p, r.Partition)
		}
		partitionOf[r.RecordKey] = r.Partition
		keys[r.RecordKey[:len(`{"code":"hmac-sha256:000000000000`)]]++
	}
	if len(ids) != 2*n || len(keys) != 2 {
		t.Errorf("%d records by keys %v, want %d", len(ids), keys, 2*n)
	}
}
