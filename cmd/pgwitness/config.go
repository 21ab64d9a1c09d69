package main

import (
	"crypto/tls"
	"io"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/segmentio/kafka-go/sasl"

	"pgwitness/capture"
	"pgwitness/decode"
	"pgwitness/publish"
)

// A config is everything that can be set. The yaml tags name the keys; the environment variables follow from them
// (configkeys.go), docs/configuration.md describes them.
type config struct {
	Source sourceConfig `yaml:"source"`
	Kafka  kafkaConfig  `yaml:"kafka"`
	Topics topicsConfig `yaml:"topics"`
	Run    runConfig    `yaml:"run"`
	Hold   holdConfig   `yaml:"hold"`
	Sample sampleConfig `yaml:"sample"`
	Log    logConfig    `yaml:"log"`
	Allow  []string     `yaml:"allow"` // what weakens a promise: allow.go

	Mask        maskNames `yaml:"mask"`
	MaskKeyFile string    `yaml:"mask_key_file"`
	MaskAbsent  []string  `yaml:"mask_absent"`

	origins map[string]origin // by key; a key that is missing has its default

	kafkaTLS  *tls.Config    // nil for none
	kafkaSASL sasl.Mechanism // nil for none
	masks     *decode.Masks  // nil for none
}

type sourceConfig struct {
	URL         string `yaml:"url"` // libpq URL or key/value; a secret
	URLFile     string `yaml:"url_file"`
	Slot        string `yaml:"slot"`
	Publication string `yaml:"publication"`
}

type kafkaConfig struct {
	Brokers     []string `yaml:"brokers"`
	Prefix      string   `yaml:"prefix"`
	Compression string   `yaml:"compression"`
	BufferBytes int      `yaml:"buffer_bytes"`
	BatchBytes  int      `yaml:"batch_bytes"`

	TLS  tlsConfig  `yaml:"tls"`
	SASL saslConfig `yaml:"sasl"`
}

type tlsConfig struct {
	Enabled  bool   `yaml:"enabled"`
	CAFile   string `yaml:"ca_file"` // empty for the system's authorities
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
}

type saslConfig struct {
	Mechanism    string `yaml:"mechanism"` // empty for none
	Username     string `yaml:"username"`
	PasswordFile string `yaml:"password_file"`

	OAuth  oauthConfig `yaml:"oauth"`  // of oauthbearer
	Region string      `yaml:"region"` // of aws-msk-iam
}

type oauthConfig struct {
	TokenCommand     []string          `yaml:"token_command"` // or by client credentials from:
	TokenURL         string            `yaml:"token_url"`
	ClientID         string            `yaml:"client_id"`
	ClientSecretFile string            `yaml:"client_secret_file"`
	Scope            string            `yaml:"scope"`
	Extensions       map[string]string `yaml:"extensions"` // beside the token
}

type topicsConfig struct {
	Partitions      int               `yaml:"partitions"`
	Replication     int               `yaml:"replication"` // 0: the smaller of 3 and the number of brokers
	Retention       retention         `yaml:"retention"`
	MaxMessageBytes int               `yaml:"max_message_bytes"`
	Names           map[string]string `yaml:"names"`
	Partitioned     string            `yaml:"partitioned"`
	Oversize        string            `yaml:"oversize"`
}

type runConfig struct {
	Drain  time.Duration `yaml:"drain"`
	Listen string        `yaml:"listen"` // host:port, empty for nowhere

	TLS      listenTLSConfig `yaml:"tls"`
	ReadyLag time.Duration   `yaml:"ready_lag"` // 0: however far behind
}

type listenTLSConfig struct { // both empty: no TLS
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
}

type holdConfig struct {
	MaxWait time.Duration `yaml:"max_wait"` // 0: for ever
	OnStop  string        `yaml:"on_stop"`
}

type sampleConfig struct {
	Interval time.Duration `yaml:"interval"` // 0: never
}

type logConfig struct {
	Level  string `yaml:"level"`
	Format string `yaml:"format"`
}

// defaultConfig is the one place that knows the defaults.
func defaultConfig() *config {
	return &config{
		Source: sourceConfig{Slot: "pgwitness", Publication: "pgwitness"},
		Kafka:  kafkaConfig{Prefix: "pgwitness", Compression: "lz4", BufferBytes: 16 << 20, BatchBytes: 1 << 20},
		Topics: topicsConfig{Partitions: 1, Retention: -1, MaxMessageBytes: 8 << 20, Partitioned: "root", Oversize: "trim"},
		Run:    runConfig{Drain: 4 * time.Second},
		Hold:   holdConfig{MaxWait: 10 * time.Second, OnStop: "off"},
		Sample: sampleConfig{Interval: 250 * time.Millisecond},
		Log:    logConfig{Level: "info", Format: "text"},

		origins: map[string]origin{},
	}
}

// A retention is how long a topic keeps its records, -1 for ever.
type retention time.Duration

// UnmarshalText reads -1 or a duration.
func (r *retention) UnmarshalText(text []byte) error {
	if string(text) == "-1" {
		*r = -1
		return nil
	}
	d, err := time.ParseDuration(string(text))
	*r = retention(d)
	return err
}

// String is the form that UnmarshalText reads.
func (r retention) String() string {
	if r == -1 {
		return "-1"
	}
	return time.Duration(r).String()
}

// orForEver is the form of publish.Config: 0 for ever.
func (r retention) orForEver() time.Duration {
	if r == -1 {
		return 0
	}
	return time.Duration(r)
}

func (c *config) capture() capture.Config {
	return capture.Config{Source: c.Source.URL, Slot: c.Source.Slot, Publication: c.Source.Publication}
}

func (c *config) publish() publish.Config {
	return publish.Config{
		Brokers:         c.Kafka.Brokers,
		Prefix:          c.Kafka.Prefix,
		TLS:             c.kafkaTLS,
		SASL:            c.kafkaSASL,
		Compression:     c.Kafka.Compression,
		BufferBytes:     c.Kafka.BufferBytes,
		BatchBytes:      c.Kafka.BatchBytes,
		Partitions:      c.Topics.Partitions,
		Replication:     c.Topics.Replication,
		Retention:       c.Topics.Retention.orForEver(),
		MaxMessageBytes: c.Topics.MaxMessageBytes,
		Names:           c.Topics.Names,
		Leaf:            c.Topics.Partitioned == "leaf",
		Oversize:        c.Topics.Oversize,
	}
}

func (c *config) logger(w io.Writer) hclog.Logger {
	return calm(hclog.New(&hclog.LoggerOptions{
		Name:       "pgwitness",
		Level:      hclog.LevelFromString(c.Log.Level),
		Output:     w,
		JSONFormat: c.Log.Format == "json",
	}))
}
