package integration

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"
)

// expressions are the PromQL of the rules and of the dashboard, by where they stand.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for name, expr := range alertRules(t) {
		all[name] = expr
	}
	for _, p := range dashboard(t).Panels {
		for _, target := range p.Targets {
			expr := strings.ReplaceAll(target.Expr, "$__rate_interval", "5m") // as Grafana would
			all["panel "+p.Title+" "+target.RefID] = expr
		}
	}
	return all
}

// alertRules reads docs/monitoring/alerts.yaml as Prometheus does: what it does not know is an error.
func alertRules(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../docs/monitoring/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&file); err != nil {
		t.Fatal(err)
	}
	rules := make(map[string]string)
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if rules[r.Alert] != "" || !regexp.MustCompile(`^Pgwitness[A-Z]\w+$`).MatchString(r.Alert) {
				t.Errorf("group %s: alert %q", g.Name, r.Alert)
			}
			if _, err := time.ParseDuration(r.For); r.For != "" && err != nil {
				t.Errorf("%s: for: %v", r.Alert, err)
			}
			if r.Annotations["summary"] == "" || r.Annotations["description"] == "" || !strings.Contains("critical warning info", r.Labels["severity"]) || r.Labels["severity"] == "" {
				t.Errorf("%s: labels %v, annotations %v", r.Alert, r.Labels, r.Annotations)
			}
			rules[r.Alert] = r.Expr
		}
	}
	return rules
}

// A board is what we look at of a Grafana dashboard.
type board struct {
	Title  string
	Panels []struct {
		ID          int
		Type, Title string
		GridPos     struct{ H, W, X, Y int }
		Targets     []struct{ RefID, Expr string }
	}
}

func dashboard(t *testing.T) board {
	t.Helper()
	text, err := os.ReadFile("../docs/monitoring/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var b board
	if err := json.Unmarshal(text, &b); err != nil {
		t.Fatal(err)
	}
	return b
}

// TestRulesAndDashboard: Prometheus can read every expression, every metric of ours in them is in docs/metrics.md, and the
// dashboard's panels do not lie on each other.
func TestRulesAndDashboard(t *testing.T) {
	page, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	all := expressions(t)
	if len(all) < 40 {
		t.Errorf("%d expressions", len(all))
	}
	for where, expr := range all {
		for _, s := range selectors(t, where, expr) {
			name := strings.TrimSuffix(s.Name, "_bucket")
			if strings.HasPrefix(name, "pgwitness_") && !strings.Contains(string(page), "`"+name+"`") {
				t.Errorf("%s: %s is not in docs/metrics.md", where, name)
			}
		}
	}
	ids := make(map[int]bool)
	taken := make(map[[2]int]string)
	for _, p := range dashboard(t).Panels {
		if ids[p.ID] || p.Title == "" || p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %d %q: %d targets", p.ID, p.Title, len(p.Targets))
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if at := [2]int{x, y}; taken[at] != "" || x >= 24 {
					t.Fatalf("panels %q and %q lie on each other at %v", taken[at], p.Title, at)
				} else {
					taken[at] = p.Title
				}
			}
		}
	}
}

// selectors are the series that an expression asks for.
func selectors(t *testing.T, where, expr string) []*parser.VectorSelector {
	t.Helper()
	e, err := parser.ParseExpr(expr)
	if err != nil {
		t.Errorf("%s: %v\n%s", where, err, expr)
		return nil
	}
	var all []*parser.VectorSelector
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		if s, ok := n.(*parser.VectorSelector); ok {
			all = append(all, s)
		}
		return nil
	})
	if len(all) == 0 {
		t.Errorf("%s asks for nothing: %s", where, expr)
	}
	return all
}

// missingIn reports the metrics and labels that rules and dashboard ask for and that a page of /metrics does not have.
func missingIn(t *testing.T, metrics string) {
	t.Helper()
	for where, expr := range expressions(t) {
		for _, s := range selectors(t, where, expr) {
			if s.Name == "up" { // Prometheus's own
				continue
			}
			if !regexp.MustCompile(`(?m)^` + s.Name + `[ {]`).MatchString(metrics) {
				t.Errorf("%s: there is no metric %s", where, s.Name)
				continue
			}
			for _, m := range s.LabelMatchers {
				switch m.Name {
				case labels.MetricName, "job", "instance": // the name, and what Prometheus adds
					continue
				}
				if !offers(metrics, s.Name, m) {
					t.Errorf("%s: no series of %s has %s", where, s.Name, m)
				}
			}
		}
	}
}

// offers reports whether a series of the metric satisfies the matcher.
func offers(metrics, name string, m *labels.Matcher) bool {
	for _, found := range regexp.MustCompile(`(?m)^`+name+`\{.*\b`+m.Name+`="([^"]*)"`).FindAllStringSubmatch(metrics, -1) {
		if m.Matches(found[1]) {
			return true
		}
	}
	return false
}

// TestAlertsFire: each alert fires when it should and not otherwise, as Prometheus's own tool judges.
func TestAlertsFire(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil && os.Getenv("CI") == "" {
		t.Skipf("NOT TRIED: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"check", "rules", "alerts.yaml"}, {"test", "rules", "alerts_test.yaml"}} {
		cmd := exec.Command(promtool, args...)
		cmd.Dir = "../docs/monitoring"
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}
