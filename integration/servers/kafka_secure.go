//go:build integration

package servers

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"os/exec"
	"strings"
	"testing"

	"github.com/segmentio/kafka-go"

	"pgwitness/integration/certificates"
)

// A SecureKafka is a broker that listens with TLS as well, and there refuses what no ACL allows. Whoever comes by the
// plain listener may do everything.
type SecureKafka struct {
	*Kafka
	SASL string // address where clients name themselves by PLAIN or SCRAM
	TLS  string // address where they show a certificate, whose name is theirs
}

// A listener is one beside the plain one.
type listener struct{ name, protocol, address string }

// StartSecureKafka starts one broker on this machine, whatever the source of the others, with these users of PLAIN. Further
// properties win over its own; those that begin with -D are the Java machine's.
func StartSecureKafka(t testing.TB, authority *certificates.Authority, server certificates.Pair, users map[string]string, further ...string) *SecureKafka {
	t.Helper()
	saslPort, err1 := freePort()
	tlsPort, err2 := freePort()
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	s := &SecureKafka{SASL: loopback(saslPort), TLS: loopback(tlsPort)}
	jaas := "org.apache.kafka.common.security.plain.PlainLoginModule required"
	for user, password := range users {
		jaas += fmt.Sprintf(" user_%s=\"%s\"", user, password)
	}
	properties := []string{
		"listener.name.sasl.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
		"listener.name.sasl.plain.sasl.jaas.config=" + jaas + ";",
		"listener.name.tls.ssl.client.auth=required",
		"ssl.principal.mapping.rules=RULE:^CN=([^,]+).*$/$1/,DEFAULT",
		"authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
		"super.users=User:ANONYMOUS", "allow.everyone.if.no.acl.found=false",
	}
	for _, name := range []string{"sha-256", "sha-512"} {
		properties = append(properties, "listener.name.sasl.scram-"+name+".sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;")
	}
	for _, name := range []string{"sasl", "tls"} {
		at := "listener.name." + name + ".ssl."
		properties = append(properties, at+"keystore.type=PEM", at+"keystore.location="+server.Both,
			at+"truststore.type=PEM", at+"truststore.location="+authority.File)
	}
	k, err := localKafka(1, append(properties, further...), listener{"SASL", "SASL_SSL", s.SASL}, listener{"TLS", "SSL", s.TLS})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("Kafka said last:\n%s", k.Brokers[0].instance.output())
		}
		k.remove()
	})
	s.Kafka = k
	return s
}

// Scram gives a user a password for both SCRAM mechanisms.
func (s *SecureKafka) Scram(t testing.TB, user, password string) {
	t.Helper()
	salt := make([]byte, 16)
	rand.Read(salt)
	c := &kafka.Client{Addr: kafka.TCP(s.Bootstrap()...), Transport: &kafka.Transport{}}
	defer c.Transport.(*kafka.Transport).CloseIdleConnections()
	for mechanism, h := range map[kafka.ScramMechanism]func() hash.Hash{
		kafka.ScramMechanismSha256: sha256.New, kafka.ScramMechanismSha512: sha512.New,
	} {
		const iterations = 4096
		salted, err := pbkdf2.Key(h, password, salt, iterations, h().Size())
		if err != nil {
			t.Fatal(err)
		}
		res, err := c.AlterUserScramCredentials(t.Context(), &kafka.AlterUserScramCredentialsRequest{
			Upsertions: []kafka.UserScramCredentialsUpsertion{{
				Name: user, Mechanism: mechanism, Iterations: iterations, Salt: salt, SaltedPassword: salted,
			}},
		})
		if err == nil && len(res.Results) == 1 {
			err = res.Results[0].Error
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// ACLs runs Kafka's own kafka-acls with these arguments, as whoever may do everything.
func (s *SecureKafka) ACLs(t testing.TB, args ...string) {
	t.Helper()
	java, err1 := Java()
	classpath, err2 := KafkaClasspath()
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	all := append([]string{"-XX:TieredStopAtLevel=1", "-cp", classpath, "org.apache.kafka.tools.AclCommand", "--bootstrap-server", s.Bootstrap()[0]}, args...)
	if out, err := exec.CommandContext(t.Context(), java, all...).CombinedOutput(); err != nil || strings.Contains(string(out), "Error") {
		t.Fatalf("kafka-acls %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}
