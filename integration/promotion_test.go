//go:build integration

package integration

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgwitness/integration/product"
	"pgwitness/integration/servers"
)

// replicated is a trail whose server has a standby, which does not run yet. The slot is a failover slot.
func replicated(t *testing.T, version int, setup ...string) (*trail, *copiedServer) {
	t.Helper()
	p := servers.StartPostgres(t, version)
	tr := newTrailOn(t, p, servers.SharedKafka(t))
	tr.Exec(t, append(logins(), "create table t (id int primary key)", "select pg_create_physical_replication_slot('standby', true)")...)
	tr.setup(t, "public.*", append(setup, "--failover")...)
	p.Stop(t, servers.Fast)
	standby := copyServer(t, p,
		"primary_conninfo="+p.URL("postgres"), "primary_slot_name=standby", "hot_standby_feedback=on", "sync_replication_slots=on")
	err := os.WriteFile(filepath.Join(standby.DataDir, "standby.signal"), nil, 0o644)
	for _, name := range []string{tr.slot, tr.slot + "_witness", "standby"} { // a backup has no slots either (basebackup.c)
		err = errors.Join(err, os.RemoveAll(filepath.Join(standby.DataDir, "pg_replslot", name)))
	}
	if err != nil {
		t.Fatal(err)
	}
	p.Start(t)
	return tr, standby
}

// awaitSynced waits until the standby's copy of the slot is good for a failover. That needs a pgwitness that runs: the
// slot must get beyond the standby's beginning.
func (tr *trail) awaitSynced(t *testing.T, standby *servers.Postgres) {
	t.Helper()
	there := &servers.Database{Server: standby, Name: tr.Name}
	for deadline := time.Now().Add(3 * time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		tr.Exec(t, "select pg_log_standby_snapshot()") // from where a slot can start
		if there.Text(t, "select synced and not temporary from pg_replication_slots where slot_name = $1", tr.slot) == "true" {
			return
		}
	}
	t.Fatal("the slot is not synchronized")
}

// promote makes the standby the trail's server.
func (tr *trail) promote(t *testing.T, standby *servers.Postgres) {
	t.Helper()
	tr.Server = standby
	if got := tr.Text(t, "select pg_promote()"); got != "true" {
		t.Fatal("the standby is not promoted")
	}
}

// timelines lists the timelines in the records' ids, in the order of the log.
func (tr *trail) timelines(t *testing.T) string {
	t.Helper()
	var list []string
	for _, r := range tr.ordered(t) {
		list = append(list, strings.Split(r.ID, ".")[1])
		if fmt.Sprint(r.Source.Timeline) != list[len(list)-1] {
			t.Errorf("%s: the source's timeline is %d", r.ID, r.Source.Timeline)
		}
	}
	return strings.Join(list, "")
}

// either is the URL of whichever of the trail's server and the other one is the primary.
func (tr *trail) either(t *testing.T, other *servers.Postgres) string {
	t.Helper()
	u, err := url.Parse(tr.URLAs(tr.slot, rolePassword))
	if err != nil {
		t.Fatal(err)
	}
	u.Host += fmt.Sprintf(",%s:%d", other.Host, other.Port)
	q := u.Query()
	q.Set("target_session_attrs", "read-write")
	u.RawQuery = q.Encode()
	return u.String()
}

// TestPromotedStandby: the server dies, and its standby takes its place with the copy of the slot. What the copy still
// has to deliver is compared with the trail, and each record's id names the timeline of its own commit.
func TestPromotedStandby(t *testing.T) {
	t.Parallel()
	for _, version := range []int{17, 18} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			t.Parallel()
			tr, standby := replicated(t, version)
			run := product.Start(t, append(tr.environment(), "PGWITNESS_SOURCE_URL="+tr.either(t, &standby.Postgres)), "run")
			tr.insert(t, 1, 3)
			tr.awaitConfirmed(t, time.Minute)
			standby.start(t)
			tr.awaitSynced(t, &standby.Postgres)
			copied := (&servers.Database{Server: &standby.Postgres, Name: tr.Name}).Text(t,
				"select confirmed_flush_lsn from pg_replication_slots where slot_name = $1", tr.slot)

			tr.insert(t, 4, 6) // delivered, and beyond what the copy knows or not
			tr.awaitConfirmed(t, time.Minute)
			standby.awaitReplayed(t, tr.position(t))
			tr.Server.Kill(t)
			awaitLog(t, run, isAway)
			tr.promote(t, &standby.Postgres)
			t.Logf("the copy stood at %s, and stands at %s", copied, tr.confirmed(t))
			tr.insert(t, 7, 9)
			tr.awaitConfirmedBy(t, run.Running, time.Minute) // the same process goes on at the other server
			if r := run.Stop(t, 10*time.Second); r.Code != 0 {
				t.Errorf("SIGTERM: exit code %d\n%s", r.Code, r.Stderr)
			}
			tr.catchUp(t, time.Minute)
			tr.expectOnce(t, inserts(1, 2, 3, 4, 5, 6, 7, 8, 9))
			if got := tr.timelines(t); got != "111111222" {
				t.Errorf("timelines %s", got)
			}
		})
	}
}

// TestLostHistory: what the trail has of the server's last moments never reached the standby that is promoted. That is
// a gap; the records stay, and what the new history has in their place is delivered.
func TestLostHistory(t *testing.T) {
	t.Parallel()
	tr, standby := replicated(t, 18)
	run := tr.run(t)
	tr.insert(t, 1, 3)
	tr.awaitConfirmed(t, time.Minute)
	standby.start(t)
	tr.awaitSynced(t, &standby.Postgres)
	standby.awaitReplayed(t, tr.position(t))
	standby.stop(t)
	tr.insert(t, 4, 6)
	tr.awaitConfirmed(t, time.Minute)
	tr.Server.Kill(t)
	awaitLog(t, run, isAway)
	if r := run.Stop(t, 10*time.Second); r.Code != 0 {
		t.Errorf("SIGTERM while the server is away: exit code %d\n%s", r.Code, r.Stderr)
	}
	standby.start(t)
	tr.promote(t, &standby.Postgres)
	left := tr.Text(t, "select pg_current_wal_insert_lsn()")
	tr.insert(t, 14, 16)

	id := tr.expectGap(t, "diverged")
	if g := tr.diary(t, "gap")[0].Gap; lsnCompare(t, g.From, left) > 0 || lsnCompare(t, g.From, g.To) >= 0 {
		t.Errorf("the gap goes from %s to %s; the history was left before %s", g.From, g.To, left)
	}
	tr.accepts(t, id)
	tr.insert(t, 17, 17)
	tr.catchUp(t, time.Minute)
	var got []string
	for _, r := range tr.records(t) { // as the topic has them: the positions of the two histories mean nothing to each other
		got = append(got, summary(r))
	}
	if want := inserts(1, 2, 3, 4, 5, 6, 14, 15, 16, 17); !slices.Equal(got, want) {
		t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// TestHoldAfterPromotion: neither the list of standbys nor the witness's slot is replicated. The run and check say so on
// the promoted server, setup puts hold in force there, and the next run names who commits, on the new timeline.
func TestHoldAfterPromotion(t *testing.T) {
	t.Parallel()
	for _, version := range []int{17, 18} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			t.Parallel()
			tr, standby := replicated(t, version, "--hold")
			run := product.Start(t, append(tr.environment(), "PGWITNESS_SOURCE_URL="+tr.either(t, &standby.Postgres)), "run", "--hold")
			tr.hold(t)
			work := func(level string) {
				t.Helper()
				crowd{clients: 4, time: time.Second, level: level, seed: uint64(time.Now().UnixNano())}.work(t, tr)
			}
			work("on")
			standby.start(t)
			tr.awaitSynced(t, &standby.Postgres)
			work("on")
			tr.awaitConfirmed(t, time.Minute)
			standby.awaitReplayed(t, tr.position(t))
			tr.Server.Kill(t)
			awaitLog(t, run, isAway)
			tr.promote(t, &standby.Postgres)

			if r := run.Wait(t, time.Minute); r.Code != 1 || !strings.Contains(lastLine(r.Stderr), "run pgwitness setup --hold") {
				t.Errorf("exit code %d\n%s", r.Code, r.Stderr)
			}
			expectEnd(t, tr.command(t, tr.URLAs(tr.slot, rolePassword), "check"), 0, "note    hold: not set up")
			tr.setup(t, "public.*", "--hold", "--failover") // the witness's slot
			run = tr.run(t, "--hold")
			tr.hold(t)
			work("on")
			tr.end(t, run)
			if named, reasons := tr.judgeWho(t); named == 0 || len(reasons) > 0 {
				t.Errorf("%d are attributed, %v not", named, reasons)
			}
			timelines := map[string]int{}
			for _, value := range tr.whoRecords(t) {
				var r struct{ ID string }
				if err := json.Unmarshal(value, &r); err != nil {
					t.Fatal(err)
				}
				timelines[strings.Split(r.ID, ".")[1]]++
			}
			if timelines["1"] == 0 || timelines["2"] == 0 {
				t.Errorf("who records by timeline: %v", timelines)
			}
		})
	}
}

// whoRecords lists the records of the who topic.
func (tr *trail) whoRecords(t *testing.T) [][]byte {
	t.Helper()
	var all [][]byte
	for _, p := range tr.topics(t) {
		for _, r := range p.Records {
			if p.Topic == tr.prefix+".who" {
				all = append(all, r.Value)
			}
		}
	}
	return all
}
