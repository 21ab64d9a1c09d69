//go:build integration

package nemesis

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pglogrepl"
	"github.com/segmentio/kafka-go"

	"pgwitness/integration/ledger"
	"pgwitness/integration/topics"
)

// The judges of this package find what they are there for; the ledger's validator has tests of its own.

func expectFaults(t *testing.T, name string, faults []string, want string) {
	t.Helper()
	if want == "" && len(faults) > 0 || want != "" && (len(faults) != 1 || !strings.Contains(faults[0], want)) {
		t.Errorf("%s: found %q, want %q", name, faults, want)
	}
}

func TestJudgeOfConfirmations(t *testing.T) {
	books := &ledger.Books{}
	for i := range 5 {
		books.Commits = append(books.Commits, ledger.Commit{XID: uint64(i + 1), LSN: pglogrepl.LSN(100 * (i + 1)), End: pglogrepl.LSN(100*(i+1) + 50)})
	}
	timing := newTiming(books)
	for i := range 5 {
		r := ledger.Record{Topic: "p.a.t", Partition: i % 2, Offset: int64(3 + i/2), ID: fmt.Sprint(i + 1)}
		r.Tx.XID = uint64(i + 1)
		timing.note(r) // partition 0: 1 at 3, 3 at 4, 5 at 5; partition 1: 2 at 3, 4 at 4
	}
	even, odd := place{"p.a.t", 0}, place{"p.a.t", 1}
	for _, c := range []struct {
		name      string
		confirmed pglogrepl.LSN
		ends      map[place]int64
		want      string
	}{
		{"nothing confirmed", 0, nil, ""},
		{"confirmed what is there", 250, map[place]int64{even: 4, odd: 4}, ""},
		{"more is there than is confirmed", 250, map[place]int64{even: 6, odd: 5}, ""},
		{"one is not there yet", 250, map[place]int64{even: 4, odd: 3}, "p.a.t/1 ended at 3, before 2"},
		{"a later one is not there yet", 550, map[place]int64{even: 5, odd: 5}, "p.a.t/0 ended at 5, before 5"},
		{"half of a transaction's end is confirmed", 349, map[place]int64{even: 4, odd: 4}, ""},
		{"the topic is not there", 150, map[place]int64{odd: 9}, "p.a.t/0 ended at 0, before 1"},
	} {
		expectFaults(t, c.name, timing.early([]sample{{confirmed: c.confirmed, ends: c.ends}}), c.want)
	}
}

func messageRecord(offset int64, lsn string, ordinal int, content string) topics.Record {
	id := fmt.Sprintf("7.1.5-%s-%d", lsn, ordinal)
	return topics.Record{
		Topic: "p.message", Offset: offset, Headers: []kafka.Header{{Key: "id", Value: []byte(id)}},
		Value: fmt.Appendf(nil, `{"id":%q,"op":"message","message":{"prefix":"nemesis","content":%q},"tx":{"xid":1,"ordinal":%d,"commit_lsn":"0/%s"}}`,
			id, content, ordinal, lsn),
	}
}

func TestJudgeOfMessages(t *testing.T) {
	for _, c := range []struct {
		name    string
		records []topics.Record
		want    string
	}{
		{"all", []topics.Record{messageRecord(0, "10", 1, "a"), messageRecord(1, "10", 2, "b"), messageRecord(2, "20", 0, "loose c")}, ""},
		{"one that may be", []topics.Record{messageRecord(0, "10", 1, "a"), messageRecord(1, "10", 2, "b"), messageRecord(2, "20", 0, "loose c"),
			messageRecord(3, "30", 0, "loose d")}, ""},
		{"missing", []topics.Record{messageRecord(0, "10", 1, "a"), messageRecord(2, "20", 0, "loose c")}, "missing: message b"},
		{"twice", []topics.Record{messageRecord(0, "10", 1, "a"), messageRecord(1, "10", 2, "b"), messageRecord(2, "20", 0, "loose c"),
			messageRecord(3, "30", 1, "a")}, "twice: message a"},
		{"out of order", []topics.Record{messageRecord(0, "10", 2, "b"), messageRecord(1, "10", 1, "a"), messageRecord(2, "20", 0, "loose c")},
			"out of order: message 7.1.5-10-1"},
		{"rolled back", []topics.Record{messageRecord(0, "10", 1, "a"), messageRecord(1, "10", 2, "b"), messageRecord(2, "20", 0, "loose c"),
			messageRecord(3, "30", 1, "d")}, "phantom: message d"},
	} {
		m := &messages{seen: make(map[string]int)}
		for _, r := range c.records {
			if _, err := m.note(r); err != nil {
				t.Fatal(err)
			}
		}
		expectFaults(t, c.name, m.judge([]string{"a", "b", "loose c"}), c.want)
	}
}

func TestJudgeOfTheDiary(t *testing.T) {
	page := func(id, op, more string) topics.Record {
		return topics.Record{
			Headers: []kafka.Header{{Key: "id", Value: []byte(id)}},
			Value:   fmt.Appendf(nil, `{"id":%q,"op":%q,"source":{"slot":"w"},"state":{"slot":"w","bound":"0/10"}%s}`, id, op, more),
		}
	}
	whole := []topics.Record{page("1", "routing", ""), page("2", "started", ""), page("3", "bound", ""), page("4", "observed", `,"whole":{}`), page("5", "stopped", "")}
	for _, c := range []struct {
		name    string
		records []topics.Record
		want    string
	}{
		{"whole", whole, ""},
		{"a gap", append(whole[:5:5], page("6", "gap", `,"gap":{"id":"moved"}`)), "false alarm"},
		{"the same id", append(whole[:5:5], page("3", "bound", "")), "there twice"},
		{"unknown", append(whole[:5:5], page("6", "shrug", "")), "unknown operation"},
		{"no stop", whole[:4], "does not tell"},
	} {
		d := &diary{slot: "w"}
		for _, r := range c.records {
			if err := d.note(r); err != nil {
				t.Fatal(err)
			}
		}
		expectFaults(t, c.name, d.judge(true), c.want)
	}
}

// TestJudgeOfActors alters, or takes away, the actor of one record of a faultless trail.
func TestJudgeOfActors(t *testing.T) {
	alice, bob := maker{"alice", 11, "nemesis 0.1"}, maker{"bob", 12, "nemesis 1.1"}
	named := func(m maker, evidence string) string {
		return fmt.Sprintf(`{"evidence":%q,"user":%q,"pid":%d,"application":%q,"client":"h:1","backend_type":"client backend","session_start":"now"}`,
			evidence, m.User, m.PID, m.Application)
	}
	none := func(reason string) string { return fmt.Sprintf(`{"evidence":"none","reason":%q}`, reason) }
	of := func(m maker, more string) string { return strings.Replace(named(m, "hold"), "{", "{"+more+",", 1) }
	for _, c := range []struct {
		name   string
		hold   bool
		second string // the actor of transaction 2, which bob made and whose commit was acknowledged
		third  string // the actor of transaction 3, which bob made and whose commit was not
		want   string
	}{
		{"all named", true, named(bob, "hold"), named(bob, "hold"), ""},
		{"nobody knows what was not acknowledged", true, named(bob, "hold"), none("not waiting when looked up"), ""},
		{"that was sampled", true, named(bob, "hold"), named(bob, "sample"), ""},
		{"without hold", false, none("no hold, not seen by sampling"), named(bob, "sample"), ""},
		{"another user", true, named(maker{"alice", 12, "nemesis 1.1"}, "hold"), none("look-up failed"), "transaction 2: wrong"},
		{"another process", true, named(maker{"bob", 11, "nemesis 1.1"}, "hold"), none("look-up failed"), "transaction 2: wrong"},
		{"the transaction before", true, named(maker{"bob", 12, "nemesis 1.0"}, "hold"), none("look-up failed"), "transaction 2: wrong"},
		{"wrong and not acknowledged", true, named(bob, "hold"), named(alice, "hold"), "transaction 3: wrong"},
		{"a wrong sample", false, named(alice, "sample"), named(bob, "sample"), "transaction 2: wrong"},
		{"unattributed", true, none("not waiting when looked up"), named(bob, "hold"), `transaction 2: unattributed: "not waiting when looked up"`},
		{"only sampled", true, named(bob, "sample"), named(bob, "hold"), "transaction 2: unattributed"},
		{"no reason", true, named(bob, "hold"), none("the who record has expired"), "is no reason"},
		{"hold without hold", false, named(bob, "hold"), named(bob, "sample"), `evidence "hold"`},
		{"a context", true, of(bob, `"context":{}`), named(bob, "hold"), "a context"},
		{"incomplete", true, strings.Replace(named(bob, "hold"), "h:1", "", 1), named(bob, "hold"), "incomplete"},
		{"none at all", true, "null", named(bob, "hold"), "there is none"},
		{"the committer", true, named(bob, "hold"), of(bob, `"gid":"g","committer":`+named(alice, "hold")), ""},
		{"another committer", true, named(bob, "hold"), of(bob, `"gid":"g","committer":`+named(bob, "hold")), `wrong: "g" was committed by`},
	} {
		i := &identification{
			hold: c.hold, makers: map[uint64]maker{1: alice, 2: bob, 3: {bob.User, bob.PID, "nemesis 1.2"}},
			acknowledged: map[string]bool{alice.Application: true, bob.Application: true}, enders: map[string][]maker{"g": {alice}},
		}
		first := named(alice, "hold")
		if !c.hold {
			first = named(alice, "sample")
		}
		third := strings.ReplaceAll(c.third, `12,"application":"nemesis 1.1"`, `12,"application":"nemesis 1.2"`)
		for n, actor := range []string{first, c.second, third} {
			raw := topics.Record{Value: fmt.Appendf(nil, `{"id":"%d","actor":%s,"tx":{"xid":%[1]d}}`, n+1, actor)}
			if err := i.note(raw); err != nil {
				t.Fatal(err)
			}
		}
		expectFaults(t, c.name, i.judge(), c.want)
	}
}

// TestPlans: every kind comes, what a plan needs stands in its text, and the same seed gives the same plan.
func TestPlans(t *testing.T) {
	seen := make(map[what]bool)
	for seed := range uint64(400) {
		r, again := newRound(&world{}, seed), newRound(&world{}, seed)
		if fmt.Sprint(r.plan) != fmt.Sprint(again.plan) || r.partitions != again.partitions || r.wait != again.wait || r.hold != again.hold {
			t.Fatalf("seed %d gives two rounds", seed)
		}
		for i, d := range r.plan {
			seen[d.what] = true
			if d.at > workingTime || i > 0 && d.at < r.plan[i-1].at {
				t.Errorf("seed %d: %v", seed, r.plan)
			}
		}
	}
	for _, k := range slices.Concat(kinds, heldKinds) {
		if !seen[k.what] {
			t.Errorf("%q never comes", k.what)
		}
	}
}
