package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// sample is a value of each kind that is no key's default, in its text form.
func sample(k key) (text string, want any) {
	switch k.path {
	case "allow":
		return "short-retention, fewer-copies", []string{"short-retention", "fewer-copies"}
	case "kafka.compression":
		return "zstd", "zstd"
	case "mask":
		return "a.b.c=redact, a.b.d=last4", maskNames{"a.b.c": "redact", "a.b.d": "last4"}
	case "mask_absent":
		return "a.b.c, x.y", []string{"a.b.c", "x.y"}
	case "topics.partitioned":
		return "leaf", "leaf"
	case "topics.oversize":
		return "stop", "stop"
	case "log.level":
		return "debug", "debug"
	case "log.format":
		return "json", "json"
	case "hold.on_stop":
		return "keep", "keep"
	case "kafka.buffer_bytes":
		return "70000", 70000
	case "run.listen":
		return "127.0.0.1:9187", "127.0.0.1:9187"
	case "kafka.batch_bytes":
		return "60000", 60000
	case "kafka.sasl.mechanism":
		return "scram-sha-512", "scram-sha-512"
	}
	switch k.value.Interface().(type) {
	case bool:
		return "true", true
	case string:
		return "sample", "sample"
	case int:
		return "5000", 5000
	case time.Duration:
		return "7s", 7 * time.Second
	case retention:
		return "12h0m0s", retention(12 * time.Hour)
	case []string:
		return "a:1, b:2", []string{"a:1", "b:2"}
	case map[string]string:
		return "a.b=t1, c.d=t2", map[string]string{"a.b": "t1", "c.d": "t2"}
	}
	panic("no sample for " + k.value.Type().String())
}

// clearEnvironment hides the settings of whoever runs the tests.
func clearEnvironment(t *testing.T) {
	for _, k := range defaultConfig().keys() {
		t.Setenv(k.env(), "")
	}
}

// Each key can be set by its environment variable, and is known by where it was set.
func TestEnvironmentSetsEveryKey(t *testing.T) {
	clearEnvironment(t)
	want := map[string]any{}
	file := filepath.Join(t.TempDir(), "url")
	for _, k := range defaultConfig().keys() {
		text, value := sample(k)
		if k.path == "source.url" { // excluded by url_file in the same layer
			continue
		}
		if k.path == "source.url_file" {
			text, value = file, file
		}
		t.Setenv(k.env(), text)
		want[k.path] = value
	}
	if err := os.WriteFile(file, []byte("host=from_file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := &config{}
	if err := cfg.load("", pflag.NewFlagSet("", pflag.ContinueOnError)); err != nil {
		t.Fatal(err)
	}
	if cfg.Source.URL != "host=from_file" {
		t.Errorf("source.url = %q", cfg.Source.URL)
	}
	for _, k := range cfg.keys() {
		if k.path == "source.url" {
			continue
		}
		if got := k.value.Interface(); !reflect.DeepEqual(got, want[k.path]) {
			t.Errorf("%s = %v, want %v", k.path, got, want[k.path])
		}
		if got := cfg.origins[k.path]; got != (origin{fromEnvironment, k.env()}) {
			t.Errorf("%s comes from %v", k.path, got)
		}
	}
}

// Defaults, file, environment, flags: the later wins.
func TestLayers(t *testing.T) {
	clearEnvironment(t)
	file := filepath.Join(t.TempDir(), "pgwitness.yaml")
	text := "source: {slot: from_file, publication: from_file}\nkafka:\n  brokers: [file:1]\n  prefix: from_file\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PGWITNESS_SOURCE_PUBLICATION", "from_env")
	t.Setenv("PGWITNESS_KAFKA_PREFIX", "from_env")
	t.Setenv("PGWITNESS_LOG_LEVEL", "") // empty is unset
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	keyFlag(flags, "prefix", "kafka.prefix", "")
	if err := flags.Parse([]string{"--prefix", "from_flag"}); err != nil {
		t.Fatal(err)
	}
	cfg := &config{}
	if err := cfg.load(file, flags); err != nil {
		t.Fatal(err)
	}
	got := []string{cfg.Source.Slot, cfg.Source.Publication, cfg.Kafka.Prefix, cfg.Log.Level, strings.Join(cfg.Kafka.Brokers, " ")}
	want := []string{"from_file", "from_env", "from_flag", "info", "file:1"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestURLFile(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("  postgres://db/from_file \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, url, file string
		urlIn, fileIn   layer
		want, err       string
	}{
		{name: "neither"},
		{name: "file", file: secret, fileIn: fromFile, want: "postgres://db/from_file"},
		{name: "later url wins", url: "flag", urlIn: fromFlag, file: secret, fileIn: fromFile, want: "flag"},
		{name: "later file wins", url: "file", urlIn: fromFile, file: secret, fileIn: fromEnvironment, want: "postgres://db/from_file"},
		{name: "both at once", url: "x", urlIn: fromFile, file: secret, fileIn: fromFile, err: "both set"},
		{name: "missing", file: filepath.Join(dir, "none"), fileIn: fromFile, err: "no such file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := defaultConfig()
			cfg.Source.URL, cfg.Source.URLFile = tt.url, tt.file
			cfg.origins["source.url"] = origin{tt.urlIn, "here"}
			cfg.origins["source.url_file"] = origin{tt.fileIn, "there"}
			err := cfg.loadURLFile()
			if tt.err != "" {
				var usage usageError
				if err == nil || !strings.Contains(err.Error(), tt.err) || !errors.As(err, &usage) {
					t.Fatalf("error %v, want %s", err, tt.err)
				}
				return
			}
			if err != nil || cfg.Source.URL != tt.want {
				t.Errorf("url %q, error %v, want %q", cfg.Source.URL, err, tt.want)
			}
		})
	}
}

// The defaults are themselves allowed.
func TestDefaultsAreLegal(t *testing.T) {
	if err := defaultConfig().check(); err != nil {
		t.Error(err)
	}
}

// docs/configuration.md has each key, its variable and its default.
func TestDocumentationHasEveryKey(t *testing.T) {
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range defaultConfig().keys() {
		var row string
		for line := range strings.Lines(string(page)) {
			if strings.HasPrefix(line, "| `"+k.path+"` |") {
				row = line
			}
		}
		if row == "" {
			t.Errorf("%s has no row", k.path)
			continue
		}
		if !strings.Contains(row, "`"+k.env()+"`") {
			t.Errorf("%s: its row lacks %s", k.path, k.env())
		}
		if text := defaultText(k); text != "" && !strings.Contains(row, "`"+text+"`") {
			t.Errorf("%s: its row lacks the default %s", k.path, text)
		}
	}
}

func defaultText(k key) string {
	if k.value.IsZero() && k.value.Kind() != reflect.Int {
		return ""
	}
	switch v := k.value.Interface().(type) {
	case retention:
		return v.String()
	case time.Duration:
		return v.String()
	}
	return strings.TrimSpace(fmt.Sprint(k.value.Interface()))
}
