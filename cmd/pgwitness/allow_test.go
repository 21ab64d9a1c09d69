package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func TestAllow(t *testing.T) {
	clearEnvironment(t)
	for _, tt := range []struct{ text, refused string }{
		{"topics:\n  retention: -1\n", ""},
		{"topics:\n  retention: 720h\nallow: [short-retention]\n", ""},
		{"topics:\n  retention: 720h\n", `f.yaml:2: topics.retention: "720h0m0s": the trail would expire; leave it out, or say that it is meant: allow: [short-retention]`},
		{"topics:\n  retention: 720h\nallow: [fewer-copies]\n", "f.yaml:2: topics.retention"},
		{"allow: [everything]\n", `f.yaml:1: allow: "everything" is not allowed; allowed: short-retention, fewer-copies, fewer-operations`},
	} {
		file := filepath.Join(t.TempDir(), "f.yaml")
		if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		err := (&config{}).load(file, pflag.NewFlagSet("", pflag.ContinueOnError))
		if (err == nil) != (tt.refused == "") || err != nil && !strings.Contains(err.Error(), tt.refused) {
			t.Errorf("%q: %v, want %s", tt.text, err, tt.refused)
		}
	}
}

func TestAllowCopies(t *testing.T) {
	for _, tt := range []struct {
		copies, brokers int
		refused         bool
	}{{0, 3, false}, {1, 1, false}, {1, 2, true}, {1, 3, true}, {2, 3, true}, {2, 2, false}, {3, 5, false}, {5, 3, false}} {
		cfg := defaultConfig()
		cfg.Topics.Replication = tt.copies
		cfg.origins["topics.replication"] = origin{fromEnvironment, "PGWITNESS_TOPICS_REPLICATION"}
		err := cfg.checkCopies(tt.brokers)
		if (err != nil) != tt.refused || err != nil && !strings.HasPrefix(err.Error(), "PGWITNESS_TOPICS_REPLICATION: topics.replication: ") {
			t.Errorf("%d copies, %d brokers: %v", tt.copies, tt.brokers, err)
		}
		cfg.Allow = []string{fewerCopies}
		if err := cfg.checkCopies(tt.brokers); err != nil {
			t.Errorf("%d copies, %d brokers, allowed: %v", tt.copies, tt.brokers, err)
		}
	}
}
