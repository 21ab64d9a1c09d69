//go:build integration

package integration

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"

	"pgwitness/integration/servers"
)

// TestMarkersAreInvisible: each start leaves a marker in every partition, which no consumer is shown but kafka-go's
// Reader; there it has no id header.
func TestMarkersAreInvisible(t *testing.T) {
	t.Parallel()
	tr := newTrail(t, 18)
	tr.Exec(t, "create table t (id int primary key)")
	tr.setup(t, "public.*")
	for n := range 4 {
		tr.insert(t, 10*n, 10*n+4)
		tr.catchUp(t, time.Minute)
	}
	for _, p := range tr.topics(t) {
		if markers := int(p.End) - len(p.Records); markers < 4 {
			t.Errorf("%s: %d records, end %d: too few markers for the test to mean anything", p.Topic, len(p.Records), p.End)
		}
		want := make([]string, len(p.Records))
		for i, r := range p.Records {
			want[i] = r.Header("id")
		}
		for name, consume := range map[string]func(*testing.T, *trail, string) []string{"kcat": byKcat, "Java's console consumer": byConsole} {
			got := consume(t, tr, p.Topic)
			if strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("%s: %s shows\n%q\nwant\n%q", p.Topic, name, got, want)
			}
		}
		with, without := byReader(t, tr, p.Topic, int(p.End))
		if strings.Join(with, "\n") != strings.Join(want, "\n") || without != int(p.End)-len(want) {
			t.Errorf("%s: kafka-go's Reader shows %d records with an id and %d without, want %d and %d",
				p.Topic, len(with), without, len(want), int(p.End)-len(want))
		}
	}
}

const idHeader = "id:" // as both consumers print a header

func byKcat(t *testing.T, tr *trail, topic string) []string {
	t.Helper()
	return ids(t, "kcat", "-C", "-q", "-e", "-o", "beginning", "-b", strings.Join(tr.kafka.Bootstrap(), ","), "-t", topic, "-f", "%h\n")
}

func byConsole(t *testing.T, tr *trail, topic string) []string {
	t.Helper()
	java, err := servers.Java()
	if err != nil {
		t.Fatal(err)
	}
	classes, err := servers.KafkaClasspath()
	if err != nil {
		t.Fatal(err)
	}
	return ids(t, java, "-cp", classes, "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "org.apache.kafka.tools.consumer.ConsoleConsumer",
		"--bootstrap-server", strings.Join(tr.kafka.Bootstrap(), ","), "--topic", topic, "--from-beginning", "--timeout-ms", "8000",
		"--formatter-property", "print.headers=true", "--formatter-property", "print.value=false")
}

// ids runs a consumer to its end and takes the id out of each line, "" where there is none.
func ids(t *testing.T, program string, args ...string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil && len(out) == 0 {
		t.Fatalf("%s: %v\n%s", program, err, stderr.String())
	}
	var all []string
	for line := range strings.Lines(string(out)) {
		_, id, _ := strings.Cut(strings.ReplaceAll(strings.TrimSpace(line), "id=", idHeader), idHeader)
		id, _, _ = strings.Cut(id, ",")
		all = append(all, id)
	}
	return all
}

// byReader reads up to an offset and tells the records with an id from those without.
func byReader(t *testing.T, tr *trail, topic string, end int) (with []string, without int) {
	t.Helper()
	r := kafka.NewReader(kafka.ReaderConfig{Brokers: tr.kafka.Bootstrap(), Topic: topic, MaxWait: 100 * time.Millisecond})
	defer r.Close()
	for range end {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		m, err := r.ReadMessage(ctx)
		cancel()
		if err != nil {
			t.Fatalf("%s: %v", topic, err)
		}
		id := ""
		for _, h := range m.Headers {
			if h.Key == "id" {
				id = string(h.Value)
			}
		}
		switch {
		case id != "":
			with = append(with, id)
		case len(m.Key) == 4 && len(m.Value) == 6:
			without++
		default:
			t.Errorf("%s at %d: neither a record nor a marker: %s", topic, m.Offset, fmt.Sprintf("%q %q", m.Key, m.Value))
		}
	}
	return with, without
}

// TestCompression: what each codec makes is read by librdkafka as well.
func TestCompression(t *testing.T) {
	tr := newTrail(t, 18)
	tr.Exec(t, "create table t (id int primary key, v text)")
	tr.setup(t, "public.*")
	topic := tr.prefix + ".public.t"
	var want []string
	for n, name := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		tr.settings = []string{"PGWITNESS_KAFKA_COMPRESSION=" + name}
		tr.Exec(t, fmt.Sprintf("insert into t select n, repeat(md5(n::text), 100) from generate_series(%d, %d) n", 100*n, 100*n+99))
		tr.catchUp(t, time.Minute)
		for _, r := range tr.records(t)[100*n:] {
			want = append(want, r.ID)
		}
		if len(want) != 100*(n+1) {
			t.Fatalf("%s: %d records", name, len(want))
		}
	}
	if got := byKcat(t, tr, topic); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("kcat shows\n%q\nwant\n%q", got, want)
	}
	if got, want := tr.codecs(t, topic), "uncompressed gzip snappy lz4 zstd"; got != want {
		t.Errorf("the batches are compressed by %s, want %s", got, want)
	}
}

// codecs lists the codecs of a topic's batches, those that follow one another once.
func (tr *trail) codecs(t *testing.T, topic string) string {
	t.Helper()
	c := &kafka.Client{Addr: kafka.TCP(tr.kafka.Bootstrap()...), Transport: &kafka.Transport{}}
	defer c.Transport.(*kafka.Transport).CloseIdleConnections()
	bounds, err := tr.reader.Bounds(t.Context(), topic[:strings.LastIndexByte(topic, '.')])
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for offset := int64(0); offset < bounds[0].End; {
		res, err := c.Fetch(t.Context(), &kafka.FetchRequest{Topic: topic, Offset: offset, MinBytes: 1, MaxBytes: 4 << 20, MaxWait: time.Second})
		if err == nil {
			err = res.Error
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, batch := range res.Records.(*protocol.RecordStream).Records {
			switch b := batch.(type) {
			case *protocol.ControlBatch:
				offset = b.BaseOffset + 1
			case *protocol.RecordBatch:
				if codec := b.Attributes.Compression().String(); len(names) == 0 || names[len(names)-1] != codec {
					names = append(names, codec)
				}
				for {
					r, err := b.ReadRecord()
					if err != nil {
						break
					}
					offset = r.Offset + 1
				}
			}
		}
	}
	return strings.Join(names, " ")
}
