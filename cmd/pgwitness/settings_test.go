package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
)

// The settings that a run tells at its start have every key that holds, and no secret.
func TestSettingsWithoutSecrets(t *testing.T) {
	for _, url := range []string{
		"postgres://owl:hush-1@db.example:5433/shop?sslpassword=hush-2&sslmode=disable", "host=db.example port=5433 user=owl dbname=shop password=hush-3",
	} {
		cfg := defaultConfig()
		cfg.Source.URL = url
		cfg.Kafka.Brokers = []string{"kafka-1:9092", "kafka-2:9092"}
		cfg.Kafka.SASL.PasswordFile = "/run/secrets/kafka"
		var out bytes.Buffer
		if err := cfg.tellSettings(hclog.New(&hclog.LoggerOptions{Output: &out})); err != nil {
			t.Fatal(err)
		}
		line := out.String()
		if strings.Contains(line, "hush") || strings.Count(line, "\n") != 1 {
			t.Errorf("it says %s", line)
		}
		for _, want := range []string{
			`source="database shop on db.example:5433 as owl"`, `kafka.brokers="[kafka-1:9092 kafka-2:9092]"`, "source.slot=pgwitness",
			"kafka.sasl.password_file=/run/secrets/kafka", "topics.retention=-1", "hold.max_wait=10s", "topics.replication=0", "kafka.tls.enabled=false",
		} {
			if !strings.Contains(line, want) {
				t.Errorf("%s is not in %s", want, line)
			}
		}
		if strings.Contains(line, "run.listen") { // empty: it does not hold
			t.Errorf("it says %s", line)
		}
	}
}
