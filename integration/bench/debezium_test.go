//go:build integration

package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"pgwitness/integration/process"
	"pgwitness/integration/servers"
	"pgwitness/integration/topics"
)

// A connect is a worker of Kafka Connect in its standalone form, which runs Debezium's connectors.
type connect struct {
	process *process.Process
	address string // of its REST interface
	log     string // file
}

func newConnect(b *testing.B, brokers []string) *connect {
	classpath, err1 := servers.DebeziumClasspath()
	java, err2 := servers.Java()
	listener, err3 := net.Listen("tcp", "127.0.0.1:0") // a free port
	if err1 != nil || err2 != nil || err3 != nil {
		b.Fatal(err1, err2, err3)
	}
	address := listener.Addr().String()
	listener.Close()
	dir := b.TempDir()
	properties := filepath.Join(dir, "worker.properties")
	lines := []string{
		"bootstrap.servers=" + strings.Join(brokers, ","), "listeners=http://" + address,
		"key.converter=org.apache.kafka.connect.json.JsonConverter", "key.converter.schemas.enable=false",
		"value.converter=org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable=false",
		"offset.storage.file.filename=" + filepath.Join(dir, "offsets"), "topic.creation.enable=true", "plugin.discovery=service_load",
	}
	if err := os.WriteFile(properties, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		b.Fatal(err)
	}
	// The heap is Kafka's own default for a worker (bin/connect-standalone.sh).
	log := filepath.Join(dir, "log")
	p, err := process.Start(process.Command{Path: java, Dir: dir, Stdout: log, Stderr: log, Args: []string{"-Xms256M", "-Xmx2G",
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", classpath, "org.apache.kafka.connect.cli.ConnectStandalone", properties}})
	if err != nil {
		b.Fatal(err)
	}
	c := &connect{process: p, address: address, log: log}
	b.Cleanup(func() {
		if b.Failed() {
			text, _ := os.ReadFile(log)
			b.Logf("Kafka Connect said last:\n%s", text[max(0, len(text)-4000):])
		}
		p.Signal(syscall.SIGCONT)
		p.Kill()
	})
	c.until(b, "the worker answers", func() bool { _, err := c.ask(http.MethodGet, "/connectors", nil); return err == nil })
	return c
}

// ask speaks to the worker and returns its answer.
func (c *connect) ask(method, path string, body any) ([]byte, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequest(method, "http://"+c.address+path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s %s", method, path, res.Status, answer)
	}
	return answer, err
}

func (c *connect) until(b *testing.B, what string, true func() bool) {
	for deadline := time.Now().Add(10 * time.Minute); !true(); time.Sleep(50 * time.Millisecond) {
		if !c.process.Running() || time.Now().After(deadline) {
			b.Fatalf("Kafka Connect: not within ten minutes: %s", what)
		}
	}
}

// settings are those of a connector, tuned for throughput: large queues and batches, lz4, no schemas.
func settings(b *testing.B, source, slot, publication, prefix string) map[string]string {
	config, err := pgx.ParseConfig(source)
	if err != nil {
		b.Fatal(err)
	}
	return map[string]string{
		"connector.class": "io.debezium.connector.postgresql.PostgresConnector", "plugin.name": "pgoutput",
		"database.hostname": config.Host, "database.port": fmt.Sprint(config.Port), "database.user": config.User,
		"database.password": config.Password, "database.dbname": config.Database, "database.sslmode": "disable",
		"slot.name": slot, "publication.name": publication, "publication.autocreate.mode": "disabled",
		"snapshot.mode": "no_data", "topic.prefix": prefix, "tombstones.on.delete": "false",
		"max.batch.size": "16384", "max.queue.size": "65536", "poll.interval.ms": "50",
		"topic.creation.default.partitions": "1", "topic.creation.default.replication.factor": "1",
		"topic.creation.default.max.message.bytes": "8388608",
		"producer.override.compression.type":       "lz4",
		"producer.override.batch.size":             "262144",
		"producer.override.linger.ms":              "5",
		"producer.override.max.request.size":       "8388608",
		"producer.override.enable.idempotence":     "true",
		"producer.override.acks":                   "all",
	}
}

// start runs a connector, which has its prefix for a name, until the function that it returns is called.
func (c *connect) start(b *testing.B, config map[string]string) (stop func()) {
	name := config["topic.prefix"]
	if _, err := c.ask(http.MethodPost, "/connectors", map[string]any{"name": name, "config": config}); err != nil {
		b.Fatal(err)
	}
	return func() {
		if _, err := c.ask(http.MethodDelete, "/connectors/"+name, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// failed is why a connector has stopped, or nil. One that was just made has no status yet.
func (c *connect) failed(name string) error {
	if !c.process.Running() {
		return errors.New("the worker has ended")
	}
	if status, err := c.ask(http.MethodGet, "/connectors/"+name+"/status", nil); err == nil && bytes.Contains(status, []byte(`"FAILED"`)) {
		return fmt.Errorf("it has failed: %s", status)
	}
	return nil
}

// convey brings the backlog to Kafka with Debezium, in a worker that has done so before. The clock runs from the first
// record that is visible: a connector's start is not counted.
func (l *backlog) convey(b *testing.B) (outcome, error) {
	if l.connect == nil {
		l.connect = newConnect(b, l.kafka.Bootstrap())
		if _, err := l.conveyOnce(b); err != nil {
			return outcome{Rows: l.rows}, fmt.Errorf("warming up: %w", err)
		}
	} else if err := l.connect.process.Signal(syscall.SIGCONT); err != nil {
		b.Fatal(err)
	}
	defer l.connect.process.Signal(syscall.SIGSTOP) // it takes nothing from the others while it waits
	return l.conveyOnce(b)
}

func (l *backlog) conveyOnce(b *testing.B) (outcome, error) {
	slot, prefix := l.copy(b), servers.Unique("p")
	defer l.drop(b, slot)
	config := settings(b, l.URL(), slot, l.slot, prefix)
	maps.Copy(config, l.adjusted())
	r := topics.NewReader(l.kafka.Bootstrap())
	defer r.Close()
	used, err := l.connect.process.Used()
	if err != nil {
		b.Fatal(err)
	}
	stop := l.connect.start(b, config)
	var first time.Time
	before := int64(0)
	for deadline := time.Now().Add(limit); ; time.Sleep(100 * time.Millisecond) {
		bounds, err := r.Bounds(b.Context(), prefix)
		count := int64(0)
		for _, p := range bounds {
			count += p.End - p.Start
		}
		if count > 0 && first.IsZero() {
			first, before = time.Now(), count
		}
		if err == nil && count >= int64(l.rows) {
			break
		}
		err = l.connect.failed(prefix)
		if err == nil && time.Now().After(deadline) {
			err = fmt.Errorf("the rest did not within %s", limit)
		}
		if err != nil {
			stop()
			return outcome{Rows: l.rows}, fmt.Errorf("%d rows of %d arrived: %w", count, l.rows, err)
		}
	}
	seconds := time.Since(first).Seconds() * float64(l.rows) / float64(max(int64(l.rows)-before, 1))
	stop()
	now, err := l.connect.process.Used()
	if err != nil {
		b.Fatal(err)
	}
	o := outcome{Rows: l.rows, Seconds: seconds, Processor: (now - used).Seconds(), Memory: l.connect.process.PeakMemory()}
	return o, l.verify(b, prefix)
}

// adjusted is what a workload asks of the connector.
func (l *backlog) adjusted() map[string]string {
	adjusted := map[string]string{"topic.creation.default.partitions": fmt.Sprint(max(l.partitions, 1))}
	if l.codec != "" {
		adjusted["producer.override.compression.type"] = l.codec
	}
	if s := l.secure; s != nil {
		maps.Copy(adjusted, map[string]string{
			"database.sslmode": "verify-full", "database.sslrootcert": s.authority,
			"producer.override.bootstrap.servers": s.broker, "producer.override.security.protocol": "SSL",
			"producer.override.ssl.truststore.type": "PEM", "producer.override.ssl.truststore.location": s.authority,
			"producer.override.ssl.keystore.type": "PEM", "producer.override.ssl.keystore.location": s.client.Both,
		})
	}
	return adjusted
}
