//go:build integration

package integration

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"pgwitness/integration/certificates"
	"pgwitness/integration/product"
	"pgwitness/integration/servers"
)

// A secured trail reaches Kafka by names and passwords, with no more rights than docs/security.md lists.
type secured struct {
	*trail
	kafka     *servers.SecureKafka
	authority *certificates.Authority
	password  string // file
}

func newSecured(t *testing.T) *secured {
	t.Helper()
	a := certificates.NewAuthority(t)
	k := servers.StartSecureKafka(t, a, a.Issue(t, "broker", time.Hour), map[string]string{"pgwitness": "plain-secret"})
	k.Scram(t, "pgwitness", "scram-secret")
	s := &secured{trail: newTrailOn(t, servers.SharedPostgres(t, 18), k.Kafka), kafka: k, authority: a, password: filepath.Join(t.TempDir(), "password")}
	s.Exec(t, "create table t (id int primary key)")
	s.setup(t, "public.*")
	for _, command := range s.documented(t) {
		k.ACLs(t, command...)
	}
	return s
}

// documented are the arguments of the commands in docs/security.md, for this trail's prefix.
func (s *secured) documented(t *testing.T) [][]string {
	t.Helper()
	page, err := os.ReadFile("../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	var all [][]string
	for _, line := range regexp.MustCompile(`(?m)^kafka-acls\.sh --bootstrap-server \S+ (.*)$`).FindAllStringSubmatch(string(page), -1) {
		all = append(all, strings.Fields(strings.ReplaceAll(line[1], "shop", s.prefix)))
	}
	if len(all) != 3 {
		t.Fatalf("%d commands in the page", len(all))
	}
	return all
}

// through is the environment of a command that comes by a mechanism.
func (s *secured) through(t *testing.T, mechanism, password string) []string {
	t.Helper()
	if err := os.WriteFile(s.password, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return append(s.environment(), "PGWITNESS_KAFKA_BROKERS="+s.kafka.SASL, "PGWITNESS_KAFKA_TLS_ENABLED=true",
		"PGWITNESS_KAFKA_TLS_CA_FILE="+s.authority.File, "PGWITNESS_KAFKA_SASL_MECHANISM="+mechanism,
		"PGWITNESS_KAFKA_SASL_USERNAME=pgwitness", "PGWITNESS_KAFKA_SASL_PASSWORD_FILE="+s.password)
}

// certified is the environment of a command that shows a certificate.
func (s *secured) certified(pair certificates.Pair) []string {
	return append(s.environment(), "PGWITNESS_KAFKA_BROKERS="+s.kafka.TLS, "PGWITNESS_KAFKA_TLS_ENABLED=true",
		"PGWITNESS_KAFKA_TLS_CA_FILE="+s.authority.File,
		"PGWITNESS_KAFKA_TLS_CERT_FILE="+pair.Cert, "PGWITNESS_KAFKA_TLS_KEY_FILE="+pair.Key)
}

// TestKafkaSecurity: every way in works, with exactly the rights that the docs list; what is wrong is told in a line that
// says which key to mend.
func TestKafkaSecurity(t *testing.T) {
	t.Parallel()
	s := newSecured(t)
	client := s.authority.Issue(t, "pgwitness", time.Hour)
	n := 0
	for name, environment := range map[string][]string{
		"PLAIN":         s.through(t, "plain", "plain-secret"),
		"a certificate": s.certified(client),
	} {
		n++
		s.insert(t, n, n)
		s.carries(t, name, environment)
	}
	for _, name := range []string{"scram-sha-256", "scram-sha-512"} {
		n++
		s.insert(t, n, n)
		s.carries(t, name, s.through(t, name, "scram-secret"))
	}
	s.expectOnce(t, inserts(1, 2, 3, 4))

	good := s.through(t, "scram-sha-512", "scram-secret")
	for _, command := range []string{"check", "status"} {
		if r := product.Run(t, time.Minute, good, command); r.Code != 0 {
			t.Errorf("%s: exit code %d\n%s%s", command, r.Code, r.Stdout, r.Stderr)
		}
	}
	stranger := certificates.NewAuthority(t)
	for name, test := range map[string]struct {
		environment []string
		says        string
	}{
		"a wrong password":     {s.through(t, "scram-sha-256", "wrong"), "kafka.sasl"},
		"an unknown authority": {append(s.certified(client), "PGWITNESS_KAFKA_TLS_CA_FILE="+stranger.File), "kafka.tls.ca_file"},
		"an unknown client":    {s.certified(stranger.Issue(t, "pgwitness", time.Hour)), "kafka.tls.cert_file"},
		"an old certificate":   {s.certified(s.authority.Issue(t, "old", -time.Minute)), "expired"},
		"no TLS":               {append(s.environment(), "PGWITNESS_KAFKA_BROKERS="+s.kafka.TLS), "kafka.tls.enabled"},
	} {
		r := product.Run(t, time.Minute, test.environment, "run")
		if last := lastLine(r.Stderr); r.Code == 0 || !strings.Contains(last, test.says) {
			t.Errorf("%s: exit code %d: %s", name, r.Code, last)
		}
	}
}

// carries runs until everything is delivered.
func (s *secured) carries(t *testing.T, name string, environment []string) {
	t.Helper()
	r := product.Run(t, time.Minute, environment, "run", "--until", s.position(t).String())
	if r.Code != 0 {
		t.Fatalf("%s: exit code %d\n%s", name, r.Code, r.Stderr)
	}
}

// TestKafkaRightsChange: a right that is revoked, a password and a certificate that are changed while a run goes on: it
// says what is wrong, loses nothing, and goes on when that is mended, in the same process.
func TestKafkaRightsChange(t *testing.T) {
	t.Parallel()
	s := newSecured(t)
	run := product.Start(t, s.through(t, "scram-sha-512", "scram-secret"), "run")
	s.insert(t, 1, 1)
	s.awaitConfirmedBy(t, run.Running, time.Minute)

	write := []string{"--allow-principal", "User:pgwitness", "--operation", "Write", "--topic", s.prefix + ".", "--resource-pattern-type", "prefixed"}
	s.kafka.ACLs(t, append([]string{"--remove", "--force"}, write...)...)
	s.insert(t, 2, 2)
	awaitLog(t, run, "Topic Authorization Failed")
	s.kafka.ACLs(t, append([]string{"--add"}, write...)...)
	s.awaitConfirmedBy(t, run.Running, time.Minute)

	s.kafka.Scram(t, "pgwitness", "another-secret")
	s.through(t, "scram-sha-512", "another-secret") // writes the file
	s.kafka.Brokers[0].Stop(t)                      // every connection is made anew
	s.kafka.Brokers[0].Start(t)
	s.insert(t, 3, 3)
	s.awaitConfirmedBy(t, run.Running, 2*time.Minute)
	run.Stop(t, 10*time.Second)

	run = product.Start(t, s.certified(s.authority.Issue(t, "pgwitness", time.Hour)), "run")
	s.insert(t, 4, 4)
	s.awaitConfirmedBy(t, run.Running, 2*time.Minute)
	s.authority.Issue(t, "pgwitness", -time.Minute) // in the same files
	s.kafka.Brokers[0].Stop(t)
	s.kafka.Brokers[0].Start(t)
	s.insert(t, 5, 5)
	time.Sleep(5 * time.Second) // nothing can be delivered
	s.authority.Issue(t, "pgwitness", time.Hour)
	s.awaitConfirmedBy(t, run.Running, 2*time.Minute)
	s.expectOnce(t, inserts(1, 2, 3, 4, 5))
	for _, secret := range []string{"plain-secret", "scram-secret", "another-secret"} {
		if strings.Contains(run.Stderr(), secret) {
			t.Errorf("the log has %q", secret)
		}
	}
}
