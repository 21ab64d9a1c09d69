//go:build integration

package integration

import (
	"testing"
	"time"

	"pgwitness/integration/servers"
	"pgwitness/integration/topics"
)

// TestMoveToAnotherKafka: after an ordinary stop the trail goes on in another cluster where it ended in the first.
func TestMoveToAnotherKafka(t *testing.T) {
	t.Parallel()
	tr := newTrail(t, 18)
	tr.Exec(t, "create table t (id int primary key)")
	tr.setup(t, "public.*")
	run := tr.run(t)
	tr.insert(t, 1, 2)
	tr.awaitConfirmedBy(t, run.Running, time.Minute)
	if r := run.Stop(t, 10*time.Second); r.Code != 0 {
		t.Fatalf("exit code %d\n%s", r.Code, r.Stderr)
	}
	tr.insert(t, 3, 4)
	tr.expectOnce(t, inserts(1, 2))

	tr.kafka = servers.StartKafka(t, 1)
	tr.reader = topics.NewReader(tr.kafka.Bootstrap())
	t.Cleanup(tr.reader.Close)
	tr.catchUp(t, time.Minute)
	tr.expectOnce(t, inserts(3, 4))
}
