//go:build integration

package integration

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"pgwitness/integration/product"
	"pgwitness/integration/servers"
)

// TestReady: /readyz follows what is away and what comes back, and status tells it; the process lives all the while.
func TestReady(t *testing.T) {
	t.Parallel()
	tr := newTrailAlone(t)
	tr.settings = []string{"PGWITNESS_RUN_READY_LAG=30s"}
	tr.Exec(t, "create table t (id int primary key)")
	tr.setup(t, "public.*")
	run := tr.run(t, "--listen", "127.0.0.1:0")
	tr.insert(t, 1, 1)
	tr.awaitConfirmed(t, time.Minute)
	awaitReady(t, run, http.StatusOK, "ready")
	base := "http://" + addressOf(t, run)
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
		for _, path := range []string{"/metrics", "/healthz", "/readyz", "/status"} {
			req, err := http.NewRequestWithContext(t.Context(), method, base+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != http.StatusMethodNotAllowed {
				t.Errorf("%s %s: %s", method, path, res.Status)
			}
		}
	}
	role := tr.URLAs(tr.slot, rolePassword)
	expectEnd(t, tr.command(t, role, "status", "--url", base), 0, "ready", "confirmed 0/", "delivered: ")
	expectEnd(t, tr.command(t, role, "status", "--listen", addressOf(t, run)), 0, "sessions 1")
	expectEnd(t, tr.command(t, role, "status", "--listen", "127.0.0.1:1"), 0, "run          ask the run at http://127.0.0.1:1", "confirmed    ")
	expectEnd(t, tr.command(t, role, "status", "--url", "http://127.0.0.1:1"), 1, "confirmed    ", "ask the run at http://127.0.0.1:1")

	broker := tr.kafka.Brokers[0]
	broker.Kill(t)
	awaitReady(t, run, http.StatusServiceUnavailable, "no broker answers")
	tr.insert(t, 2, 2)
	awaitReady(t, run, http.StatusServiceUnavailable, "Kafka does not acknowledge, partitions: 1")
	awaitReady(t, run, http.StatusServiceUnavailable, "behind; run.ready_lag is 30s")
	if m := metricsOf(t, run); m["failing_partitions"] != 1 || m["batch_retries_total"] < 1 {
		t.Errorf("Kafka is away: %v", m)
	}
	broker.Start(t)
	awaitReady(t, run, http.StatusOK, "ready")

	tr.Server.Stop(t, servers.Immediate)
	awaitReady(t, run, http.StatusServiceUnavailable, "the slot is not held")
	r := tr.command(t, role, "status", "--json", "--url", base)
	expectEnd(t, r, 1)
	var st struct {
		Run struct {
			Ready    bool     `json:"ready"`
			NotReady []string `json:"not_ready"`
			Topics   []struct {
				Name    string
				Records map[string]int
			}
		} `json:"run"`
	}
	if err := json.Unmarshal([]byte(r.Stdout), &st); err != nil {
		t.Fatalf("%v\n%s", err, r.Stdout)
	}
	if st.Run.Ready || len(st.Run.NotReady) != 1 || len(st.Run.Topics) != 2 || st.Run.Topics[1].Records["insert"] != 2 {
		t.Errorf("the run says %+v", st.Run)
	}
	tr.Server.Start(t)
	awaitReady(t, run, http.StatusOK, "ready")
	if n := metricsOf(t, run)["commit_to_record_seconds_count"]; n != 2 {
		t.Errorf("after two sessions the histogram has %v records, want 2", n)
	}
}

// awaitReady waits until /readyz answers so. Meanwhile /healthz never says that the process should be replaced.
func awaitReady(t *testing.T, run *product.Process, want int, says string) {
	t.Helper()
	var code int
	var text string
	for deadline := time.Now().Add(90 * time.Second); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if alive, _ := ask(t, run, "/healthz"); alive != http.StatusOK {
			t.Fatalf("/healthz: %d", alive)
		}
		if code, text = ask(t, run, "/readyz"); code == want && strings.Contains(text, says) {
			return
		}
	}
	t.Fatalf("/readyz: %d %s, want %d %s\n%s", code, text, want, says, run.Stderr())
}
