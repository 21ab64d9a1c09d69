//go:build integration

package integration

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"pgwitness/integration/certificates"
	"pgwitness/integration/servers"
)

// TestListenTLS: with a certificate only TLS is spoken; one that is renewed in its files is shown to the next client, and
// files that do not fit change nothing.
func TestListenTLS(t *testing.T) {
	t.Parallel()
	tr := newTrail(t, 18)
	tr.Exec(t, "create table t (id int primary key)")
	tr.setup(t, "public.*")
	authority := certificates.NewAuthority(t)
	pair := authority.Issue(t, "listen", time.Hour)
	tr.settings = []string{"PGWITNESS_RUN_TLS_CERT_FILE=" + pair.Cert, "PGWITNESS_RUN_TLS_KEY_FILE=" + pair.Key}
	run := tr.run(t, "--listen", "127.0.0.1:0")
	tr.insert(t, 1, 1)
	tr.awaitConfirmed(t, time.Minute)
	address := addressOf(t, run)

	first := serialAt(t, authority, address)
	if res, err := http.Get("http://" + address + "/metrics"); err == nil {
		if res.Body.Close(); res.StatusCode == http.StatusOK {
			t.Error("it answers without TLS")
		}
	}
	role := tr.URLAs(tr.slot, rolePassword)
	expectEnd(t, tr.command(t, role, "status", "--url", "https://"+address), 0, "ready")
	expectEnd(t, tr.command(t, role, "status", "--listen", address), 0, "ready")
	stranger := &trail{Database: tr.Database, kafka: tr.kafka, prefix: tr.prefix, slot: tr.slot} // who knows no certificate
	expectEnd(t, stranger.command(t, role, "status", "--url", "https://"+address), 1, "certificate")

	authority.Issue(t, "listen", time.Hour) // in the same files
	if second := serialAt(t, authority, address); second == first {
		t.Errorf("it goes on showing certificate %s", first)
	}
	good := serialAt(t, authority, address)
	if err := os.WriteFile(pair.Key, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if now := serialAt(t, authority, address); now != good {
		t.Errorf("with files that do not fit it shows %s, not %s", now, good)
	}
	awaitLog(t, run, "the certificate cannot be read anew")

	tr.settings[1] = "PGWITNESS_RUN_TLS_KEY_FILE=/nowhere"
	r := tr.run(t, "--listen", "127.0.0.1:0").Wait(t, time.Minute)
	if r.Code != 2 || !strings.Contains(r.Stderr, "run.tls.key_file") {
		t.Errorf("exit code %d: %s", r.Code, r.Stderr)
	}
}

// serialAt is the serial number of the certificate that a client is shown, who believes the authority.
func serialAt(t *testing.T, authority *certificates.Authority, address string) string {
	t.Helper()
	pem, err := os.ReadFile(authority.File)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer transport.CloseIdleConnections()
	res, err := (&http.Client{Transport: transport, Timeout: time.Minute}).Get("https://" + address + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res.TLS.PeerCertificates[0].SerialNumber.String()
}

// TestBacklogIsTold: who begins far behind says how far it is, and when it is through; and what holds, without passwords.
func TestBacklogIsTold(t *testing.T) {
	t.Parallel()
	tr := newTrailOn(t, servers.StartPostgres(t, 18), servers.StartKafka(t, 1))
	tr.Exec(t, "create table t (id int primary key, v text)")
	tr.setup(t, "public.*")
	for i := range 30 {
		tr.Exec(t, fmt.Sprintf("insert into t select i, repeat('x', 1000) from generate_series(%d, %d) i", i*2500, i*2500+2499))
	}
	run := tr.run(t, "--log-format", "json", "--until", tr.position(t).String())
	awaitLog(t, run, "there is a backlog")
	broker := tr.kafka.Brokers[0]
	broker.Pause(t)
	awaitLog(t, run, `"percent"`)
	broker.Resume(t)
	r := run.Wait(t, 3*time.Minute)
	if r.Code != 0 {
		t.Fatalf("exit code %d\n%s", r.Code, r.Stderr)
	}
	for _, want := range []string{`"@message":"settings"`, `"source.slot":"` + tr.slot + `"`, `"@message":"backlog"`, `"left":`, `"@message":"the backlog is worked off"`} {
		if !strings.Contains(r.Stderr, want) {
			t.Errorf("there is no %s in\n%s", want, r.Stderr)
		}
	}
	if strings.Contains(r.Stderr, rolePassword) || strings.Contains(r.Stderr, "\x1b") {
		t.Errorf("a password or an escape sequence in\n%s", r.Stderr)
	}
}
