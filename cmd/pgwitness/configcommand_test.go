package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// schema compiles docs/config.schema.json.
func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile("../../docs/config.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// conforms validates a YAML text.
func conforms(t *testing.T, text string) error {
	t.Helper()
	var file any
	if err := yaml.Unmarshal([]byte(text), &file); err != nil {
		t.Fatal(err)
	}
	return schema(t).Validate(file)
}

// The schema has every key and no other, with its default.
func TestSchemaHasEveryKey(t *testing.T) {
	found := map[string]*jsonschema.Schema{}
	var collect func(prefix string, s *jsonschema.Schema)
	collect = func(prefix string, s *jsonschema.Schema) {
		for name, p := range s.Properties {
			if len(p.Properties) > 0 {
				collect(prefix+name+".", p)
			} else {
				found[prefix+name] = p
			}
		}
	}
	collect("", schema(t))
	for _, k := range defaultConfig().keys() {
		p := found[k.path]
		delete(found, k.path)
		switch {
		case p == nil:
			t.Errorf("%s is missing", k.path)
		case p.Description == "":
			t.Errorf("%s is not described", k.path)
		case p.Default == nil && defaultText(k) != "":
			t.Errorf("%s has no default, want %s", k.path, defaultText(k))
		case p.Default != nil && defaultText(k) != "" && fmt.Sprint(*p.Default) != defaultText(k):
			t.Errorf("%s: default %v, want %s", k.path, *p.Default, defaultText(k))
		}
	}
	for path := range found {
		t.Errorf("%s is no key", path)
	}
}

// The example has every key, says its default, and is one that schema and program take, also with all that is commented
// out.
func TestExample(t *testing.T) {
	clearEnvironment(t)
	whole := strings.NewReplacer("# url: ", "url: ", "  # ", "  ").Replace(exampleYAML)
	whole = strings.ReplaceAll(whole, "url_file: ", "# url_file: ")
	for name, text := range map[string]string{"as it is": exampleYAML, "whole": whole} {
		if err := conforms(t, text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		file := filepath.Join(t.TempDir(), "pgwitness.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg := &config{}
		if err := cfg.load(file, pflag.NewFlagSet("", pflag.ContinueOnError)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		defaults := defaultConfig().keys()
		for i, k := range cfg.keys() {
			_, set := cfg.origins[k.path]
			if want := fmt.Sprint(defaults[i].value.Interface()); name == "as it is" && fmt.Sprint(k.value.Interface()) != want {
				t.Errorf("%s is %v, want %s", k.path, k.value.Interface(), want)
			}
			if !set && name == "whole" && k.path != "source.url_file" {
				t.Errorf("%s is not there", k.path)
			}
		}
	}
}

// What the schema refuses, the program refuses.
func TestSchemaRefuses(t *testing.T) {
	for _, text := range []string{
		"sorce: {}", "kafka: {prefix: 'a b'}", "kafka: {batch_bytes: lots}", "kafka: {tls: {enabled: maybe}}", "hold: {on_stop: never}",
		"topics: {retention: soon}", "log: {level: loud}", "kafka: {brokers: a}",
	} {
		if conforms(t, text) == nil {
			t.Errorf("%s conforms", text)
		}
		file := filepath.Join(t.TempDir(), "pgwitness.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := (&config{}).load(file, pflag.NewFlagSet("", pflag.ContinueOnError)); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
}
