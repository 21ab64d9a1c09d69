//go:build integration

package bench

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgwitness/integration/certificates"
	"pgwitness/integration/product"
	"pgwitness/integration/servers"
	"pgwitness/integration/topics"
)

func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }

// A stage is the two servers that backlogs are made on and brought to.
type stage struct {
	postgres *servers.Postgres
	kafka    *servers.Kafka
	secure   *security // nil for plain connections
	warmed   bool
}

// security is what clients need on a stage where both sides speak TLS.
type security struct {
	authority string // file
	client    certificates.Pair
	broker    string // address
}

const walSize = "alter system set max_wal_size = '16GB'" // no checkpoint in the middle of a fill

// patient is a broker that its own controller does not hold for dead on a busy machine.
const patient = "broker.session.timeout.ms=60000"

func newStage(b *testing.B, tls bool, properties ...string) *stage {
	if tls {
		return newSecureStage(b)
	}
	s := &stage{postgres: servers.StartPostgres(b, 18), kafka: servers.StartKafka(b, 1, append(properties, patient)...)}
	s.postgres.NewDatabase(b).Exec(b, walSize, "select pg_reload_conf()")
	return s
}

func newSecureStage(b *testing.B) *stage {
	a := certificates.NewAuthority(b)
	server, client := a.Issue(b, "server", time.Hour*12), a.Issue(b, "client", time.Hour*12)
	k := servers.StartSecureKafka(b, a, server, nil)
	k.ACLs(b, "--add", "--allow-principal", "User:client", "--operation", "All", "--topic", "*", "--transactional-id", "*", "--cluster")
	s := &stage{postgres: servers.StartSecurePostgres(b, 18, a, server), kafka: k.Kafka,
		secure: &security{authority: a.File, client: client, broker: k.TLS}}
	s.postgres.NewDatabase(b).Exec(b, walSize, "select pg_reload_conf()")
	return s
}

// A backlog is a database with a slot that holds all changes, and a Kafka to bring them to.
type backlog struct {
	*servers.Database
	*stage
	workload
	slot  string // never read: each contestant reads a copy
	end   string // position behind the last row
	bytes int64  // of log between the slot and the end

	connect *connect // Debezium's worker, once it was needed
}

func (s *stage) fill(b *testing.B, w workload, rows int) *backlog {
	w.rows = w.shape.whole(rows)
	l := &backlog{Database: s.postgres.NewDatabase(b), stage: s, workload: w, slot: servers.Unique("w")}
	l.Exec(b, append([]string{"set synchronous_commit = off"}, w.shape.create(w.rows)...)...)
	r := product.Run(b, 5*time.Minute, l.names(l.slot, l.URL(), "unused"), "setup", "--apply", "--tables", "public.*", "--role", l.slot)
	if r.Code != 0 {
		b.Fatalf("setup: %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	began := l.Text(b, "select pg_current_wal_insert_lsn()")
	l.Exec(b, "set synchronous_commit = off", w.shape.fill(w.rows))
	l.Exec(b, "checkpoint")
	l.end = l.Text(b, "select pg_current_wal_flush_lsn()")
	l.bytes, _ = strconv.ParseInt(l.Text(b, "select pg_wal_lsn_diff($1, $2)::bigint", l.end, began), 10, 64)
	return l
}

func (l *backlog) names(slot, source, prefix string) []string {
	names := []string{
		"PGWITNESS_SOURCE_URL=" + source, "PGWITNESS_SOURCE_SLOT=" + slot, "PGWITNESS_SOURCE_PUBLICATION=" + l.slot,
		"PGWITNESS_KAFKA_BROKERS=" + strings.Join(l.kafka.Bootstrap(), ","), "PGWITNESS_KAFKA_PREFIX=" + prefix,
		"PGWITNESS_TOPICS_PARTITIONS=" + fmt.Sprint(max(l.partitions, 1)), "PGWITNESS_KAFKA_COMPRESSION=" + l.codec,
		"PGWITNESS_RUN_DRAIN=10m", // the end of a run waits for the last acknowledgements, however slow the broker
	}
	if dir := os.Getenv("PGWITNESS_PROFILE"); dir != "" {
		names = append(names, "PGWITNESS_PROFILE="+dir)
	}
	if l.large {
		names = append(names, "PGWITNESS_TOPICS_MAX_MESSAGE_BYTES=104857600")
	}
	if l.secure != nil {
		names = append(names, "PGWITNESS_KAFKA_BROKERS="+l.secure.broker, "PGWITNESS_KAFKA_TLS_ENABLED=true",
			"PGWITNESS_KAFKA_TLS_CA_FILE="+l.secure.authority, "PGWITNESS_KAFKA_TLS_CERT_FILE="+l.secure.client.Cert,
			"PGWITNESS_KAFKA_TLS_KEY_FILE="+l.secure.client.Key)
	}
	return names
}

// source is the database's URL by its unix socket or by TCP.
func (l *backlog) source(b *testing.B, socket bool) string {
	u, err := url.Parse(l.URL())
	if err != nil {
		b.Fatal(err)
	}
	switch {
	case socket:
		u.Host, u.RawQuery = "", url.Values{"host": {l.Server.SockDir}, "port": {fmt.Sprint(l.Server.Port)}}.Encode()
	case l.secure != nil:
		u.RawQuery = url.Values{"sslmode": {"verify-full"}, "sslrootcert": {l.secure.authority}}.Encode()
	}
	return u.String()
}

// warm delivers a stage's first backlog once before it is measured: the broker's code is compiled while it runs, as that of
// Debezium's worker, and its first half minute costs several times as much.
func (l *backlog) warm(b *testing.B) {
	if l.warmed {
		return
	}
	if _, err := l.deliver(b, false); err != nil {
		b.Fatal(err)
	}
	l.warmed = true
}

// copy makes a slot that stands where the backlog begins.
func (l *backlog) copy(b *testing.B) string {
	name := servers.Unique("c")
	l.Exec(b, fmt.Sprintf("select pg_copy_logical_replication_slot('%s', '%s')", l.slot, name))
	return name
}

// drop removes a slot as soon as nobody reads it any more.
func (l *backlog) drop(b *testing.B, slot string) {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if l.Text(b, "select active from pg_replication_slots where slot_name = $1", slot) == "false" {
			break
		}
	}
	l.Exec(b, fmt.Sprintf("select pg_drop_replication_slot('%s')", slot))
}

// verify finds every id exactly once in the topics of the tables, and then removes the topics.
func (l *backlog) verify(b *testing.B, prefix string) error {
	r := topics.NewReader(l.kafka.Bootstrap())
	defer r.Close()
	bounds, err := r.Bounds(b.Context(), prefix)
	if err != nil {
		return err
	}
	seen, found := make([]bool, l.rows+1), 0
	for _, p := range bounds {
		if !strings.HasPrefix(p.Topic, prefix+".public.") {
			continue
		}
		err := r.Each(b.Context(), p.Topic, p.ID, p.Start, p.End, func(rec topics.Record) error {
			digits, _ := bytes.CutPrefix(bytes.TrimSuffix(rec.Key, []byte("}")), []byte(`{"id":`))
			id, err := strconv.Atoi(string(digits))
			if err != nil || id < 1 || id > l.rows {
				return fmt.Errorf("a key that is not of the backlog: %s", rec.Key)
			}
			if seen[id] {
				return fmt.Errorf("%s is there twice", rec.Key)
			}
			seen[id], found = true, found+1
			return nil
		})
		if err != nil {
			return err
		}
	}
	if found != l.rows {
		return fmt.Errorf("%d rows arrived of %d; the first that is missing is %d", found, l.rows, slices.Index(seen[1:], false)+1)
	}
	for _, p := range bounds {
		if p.ID == 0 {
			if err := r.Delete(b.Context(), p.Topic); err != nil {
				return err
			}
		}
	}
	return nil
}
