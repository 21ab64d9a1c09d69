package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// What stands in docs/deploy names commands, flags, keys and variables that exist.

const deploy = "../../docs/deploy/"

// parses reads a command line as far as the flags.
func parses(t *testing.T, where string, args []string) {
	t.Helper()
	cmd, rest, err := newRootCommand().Find(args)
	if err == nil {
		err = cmd.ParseFlags(rest)
	}
	if err == nil {
		err = cmd.ValidateArgs(cmd.Flags().Args())
	}
	if err != nil {
		t.Errorf("%s: %q: %v", where, args, err)
	}
}

// known reports whether a variable of ours exists; those of others do not matter.
func known(variable string) bool {
	if !strings.HasPrefix(variable, "PGWITNESS_") {
		return true
	}
	for _, k := range defaultConfig().keys() {
		if k.env() == variable {
			return true
		}
	}
	return false
}

// manifests reads a YAML file of one or more documents.
func manifests(t *testing.T, name string) []map[string]any {
	t.Helper()
	text, err := os.ReadFile(deploy + name)
	if err != nil {
		t.Fatal(err)
	}
	var all []map[string]any
	for d := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var doc map[string]any
		err := d.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all = append(all, doc)
	}
}

// at follows keys, and numbers as far as lists go; nil where there is nothing.
func at(v any, path ...any) any {
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[p]
		case int:
			l, _ := v.([]any)
			if p >= len(l) {
				return nil
			}
			v = l[p]
		}
	}
	return v
}

func texts(t *testing.T, v any) []string {
	t.Helper()
	list, ok := v.([]any)
	if !ok {
		t.Fatalf("%v is no list", v)
	}
	var all []string
	for _, x := range list {
		s, ok := x.(string)
		if !ok {
			t.Fatalf("%v is no text", x)
		}
		all = append(all, s)
	}
	return all
}

func TestServiceUnit(t *testing.T) {
	text, err := os.ReadFile(deploy + "pgwitness.service")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(name, "#") {
			found[name] = append(found[name], value)
		}
	}
	if len(found["ExecStart"]) != 1 {
		t.Fatalf("ExecStart: %q", found["ExecStart"])
	}
	parses(t, "ExecStart", strings.Fields(found["ExecStart"][0])[1:])
	for _, e := range found["Environment"] {
		if name, _, _ := strings.Cut(e, "="); !known(name) {
			t.Errorf("%s is no variable", name)
		}
	}
	if got := found["RestartPreventExitStatus"]; len(got) != 1 || got[0] != "2 3" {
		t.Errorf("RestartPreventExitStatus %q, want the exit codes that need a person", got)
	}
	if got := found["Type"]; len(got) != 1 || got[0] != "notify" {
		t.Errorf("Type %q", got)
	}
}

func TestComposeFile(t *testing.T) {
	file := manifests(t, "compose.yaml")[0]
	for _, service := range []string{"setup", "pgwitness"} {
		s := at(file, "services", service)
		parses(t, service, texts(t, at(s, "command")))
		environment, _ := at(s, "environment").(map[string]any)
		if len(environment) == 0 {
			t.Errorf("%s has no environment", service)
		}
		for name := range environment {
			if !known(name) {
				t.Errorf("%s: %s is no variable", service, name)
			}
		}
	}
	for _, name := range []string{"postgres", "kafka"} {
		if at(file, "services", name, "image") == nil {
			t.Errorf("no image of %s", name)
		}
	}
}

// The manifests' file is one that run would take; the probes go to the port that it listens on.
func TestKubernetesManifests(t *testing.T) {
	clearEnvironment(t)
	kinds := map[string]map[string]any{}
	for _, doc := range append(manifests(t, "kubernetes.yaml"), manifests(t, "podmonitor.yaml")...) {
		kinds[at(doc, "kind").(string)] = doc
	}
	dir := t.TempDir()
	text := strings.ReplaceAll(at(kinds["ConfigMap"], "data", "pgwitness.yaml").(string), "/secrets/", dir+"/")
	for name, content := range map[string]string{"pgwitness.yaml": text, "url": "postgres://pgwitness@db/shop", "kafka-password": "secret"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg := &config{}
	if err := errors.Join(cfg.load(filepath.Join(dir, "pgwitness.yaml"), pflag.NewFlagSet("", pflag.ContinueOnError)), cfg.needBrokers()); err != nil {
		t.Error(err)
	}
	if cfg.Run.Listen != "0.0.0.0:9187" {
		t.Errorf("it listens on %q", cfg.Run.Listen)
	}
	pod := at(kinds["Deployment"], "spec", "template", "spec")
	container := at(pod, "containers", 0)
	parses(t, "args", texts(t, at(container, "args")))
	if port := at(container, "ports", 0, "containerPort"); port != 9187 {
		t.Errorf("port %v", port)
	}
	if probe := at(container, "livenessProbe", "httpGet"); at(probe, "path") != "/healthz" || at(probe, "port") != at(container, "ports", 0, "name") {
		t.Errorf("it is alive as %v says", probe)
	}
	for path, want := range map[string]any{
		"readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false,
	} {
		if got := at(container, "securityContext", path); got != want {
			t.Errorf("%s is %v", path, got)
		}
	}
	if at(pod, "securityContext", "runAsNonRoot") != true || at(kinds["Deployment"], "spec", "replicas") != 2 {
		t.Error("not two replicas that run as somebody else than root")
	}
	labels := at(kinds["Deployment"], "spec", "selector", "matchLabels", "app.kubernetes.io/name")
	for _, kind := range []string{"PodDisruptionBudget", "PodMonitor"} {
		if got := at(kinds[kind], "spec", "selector", "matchLabels", "app.kubernetes.io/name"); got != labels || got == nil {
			t.Errorf("%s selects %v, the pods are %v", kind, got, labels)
		}
	}
}

// The runbook has something to say about each alert.
func TestRunbookKnowsEveryAlert(t *testing.T) {
	page, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range at(manifests(t, "../monitoring/alerts.yaml")[0], "groups").([]any) {
		for _, rule := range at(group, "rules").([]any) {
			if name := at(rule, "alert").(string); !bytes.Contains(page, []byte("`"+name+"`")) {
				t.Errorf("nothing about %s", name)
			}
		}
	}
}

// The configuration that a page shows is one that the schema takes, which has the program's keys (TestSchemaHasEveryKey).
func TestShownFilesConform(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
			n++
			if err := conforms(t, m[1]); err != nil {
				t.Errorf("%s:\n%s%v", page, m[1], err)
			}
		}
	}
	if n < 2 {
		t.Errorf("%d files are shown", n)
	}
}
