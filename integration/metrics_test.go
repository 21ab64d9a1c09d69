//go:build integration

package integration

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgwitness/integration/product"
	"pgwitness/integration/servers"
)

var listening = regexp.MustCompile(`metrics: address=(\S+)`)

// addressOf is where a run with --listen answers.
func addressOf(t *testing.T, run *product.Process) string {
	t.Helper()
	address := listening.FindStringSubmatch(run.Stderr())
	if address == nil {
		t.Fatalf("it does not say where the metrics are:\n%s", run.Stderr())
	}
	return address[1]
}

// ask asks a run with --listen for a page.
func ask(t *testing.T, run *product.Process, path string) (code int, text string) {
	t.Helper()
	res, err := (&http.Client{Timeout: time.Minute}).Get("http://" + addressOf(t, run) + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

// metricsOf reads the metrics of a run with --listen, without the first part of their names. What has labels is added up;
// of histograms there are _count and _sum.
func metricsOf(t *testing.T, run *product.Process) map[string]float64 {
	t.Helper()
	code, text := ask(t, run, "/metrics")
	if code != http.StatusOK {
		t.Fatalf("/metrics: %d %s", code, text)
	}
	values := make(map[string]float64)
	for line := range strings.Lines(text) {
		name, ours := strings.CutPrefix(strings.TrimSpace(line), "pgwitness_")
		at := strings.LastIndexByte(name, ' ')
		if !ours || at < 0 {
			continue
		}
		value, err := strconv.ParseFloat(name[at+1:], 64)
		if err != nil {
			t.Errorf("%q: %v", line, err)
		}
		name, _, _ = strings.Cut(name[:at], "{")
		if !strings.HasSuffix(name, "_bucket") {
			values[name] += value
		}
	}
	return values
}

// TestMetricsAreDocumented: docs/metrics.md names the metrics that there are, and no others; what they count is what was
// delivered; and all that the alert rules and the dashboard ask for is there.
func TestMetricsAreDocumented(t *testing.T) {
	tr := newTrail(t, 18)
	tr.Exec(t, "create table t (id int primary key, v text)")
	tr.setup(t, "public.*")
	run := tr.run(t, "--listen", ":0")
	tr.Exec(t, "insert into t values (1, repeat('x', 9000000))", // more than a topic takes
		"insert into t select i from generate_series(2, 1001) i", "update t set v = 'y' where id > 500", "delete from t where id > 900",
		"select pg_logical_emit_message(false, 'app', 'loose')", "truncate t")
	tr.awaitConfirmed(t, time.Minute)
	values := metricsOf(t, run)
	delivered := float64(1001 + 501 + 101 + 1 + 1)
	for name, want := range map[string]float64{
		"oversize_records_total": 1, "commit_to_record_seconds_count": delivered, "changes_by_evidence_total": delivered,
		"sessions_total": 1, "session_up": 1, "gaps": 0, "hold_wait_seconds_count": 0,
	} {
		if values[name] != want {
			t.Errorf("%s is %v, want %v", name, values[name], want)
		}
	}
	_, text := ask(t, run, "/metrics")
	for _, line := range []string{`records_total{op="insert",topic="T"} 1001`, `records_total{op="update",topic="T"} 501`,
		`records_total{op="delete",topic="T"} 101`, `records_total{op="truncate",topic="T"} 1`} {
		if line = strings.Replace(line, "T", tr.prefix+".public.t", 1); !strings.Contains(text, "pgwitness_"+line+"\n") {
			t.Errorf("there is no line %s", line)
		}
	}
	missingIn(t, text)
	page, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	documented, there := make(map[string]bool), make(map[string]bool)
	for name := range values {
		there[strings.TrimSuffix(strings.TrimSuffix(name, "_seconds_count"), "_seconds_sum")] = true
	}
	for _, name := range regexp.MustCompile("`pgwitness_([a-z_]+)").FindAllStringSubmatch(string(page), -1) {
		name := name[1]
		if _, single := values[name]; !single {
			name = strings.TrimSuffix(name, "_seconds") // a histogram
		}
		documented[name] = true
		if !there[name] {
			t.Errorf("there is no metric %s", name)
		}
	}
	for name := range there {
		if !documented[name] {
			t.Errorf("%s is not in docs/metrics.md", name)
		}
	}
}

// TestHoldMetrics: under hold the histograms have every commit at both levels, and the changes are counted as held.
func TestHoldMetrics(t *testing.T) {
	t.Parallel()
	tr, run := heldOn(t, servers.StartPostgres(t, 18), servers.SharedKafka(t), "--listen", "127.0.0.1:0")
	tr.eventually(t, func() error { // the run looks at the setting from time to time
		if metricsOf(t, run)["hold_in_force"] != 1 {
			return errors.New("hold is not in force")
		}
		return nil
	})
	before := metricsOf(t, run)
	tr.Exec(t, "create table h (id int primary key)") // not published
	const commits = 20
	for i := range commits {
		tr.Exec(t, fmt.Sprintf("insert into h values (%d)", i))
	}
	tr.awaitConfirmed(t, time.Minute)
	values := metricsOf(t, run)
	_, text := ask(t, run, "/metrics")
	for _, level := range []string{"known", "durable"} {
		found := regexp.MustCompile(`(?m)^pgwitness_hold_wait_seconds_count\{level="` + level + `"\} (\d+)$`).FindStringSubmatch(text)
		if found == nil {
			t.Fatalf("no histogram of level %s", level)
		}
		if n, err := strconv.Atoi(found[1]); err != nil || n < commits {
			t.Errorf("%s: %d commits are counted of %d, %v", level, n, commits, err)
		}
	}
	if values["hold_in_force"] != 1 || values["lookups_total"] < before["lookups_total"]+1 || values["hold_wait_seconds_sum"] <= 0 ||
		values["hold_wait_seconds_sum"] > 60*values["hold_wait_seconds_count"] {
		t.Errorf("before %v\nnow %v", before, values)
	}
	if code, text := ask(t, run, "/readyz"); code != http.StatusOK {
		t.Errorf("/readyz: %d %s", code, text)
	}
	r := tr.command(t, tr.URLAs(tr.slot, rolePassword), "status", "--url", "http://"+addressOf(t, run))
	expectEnd(t, r, 0, "hold in force, the witness is ")
	expectEnd(t, run.Stop(t, 10*time.Second), 0) // which gives hold up
}
