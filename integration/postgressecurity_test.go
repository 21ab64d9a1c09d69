//go:build integration

package integration

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgwitness/integration/certificates"
	"pgwitness/integration/product"
	"pgwitness/integration/servers"
)

// secureURL is the source for pgwitness's role, with these parameters.
func (tr *trail) secureURL(t *testing.T, password string, params url.Values) string {
	t.Helper()
	u, err := url.Parse(tr.URLAs(tr.slot, password))
	if err != nil {
		t.Fatal(err)
	}
	if password == "" {
		u.User = url.User(tr.slot)
	}
	u.RawQuery = params.Encode()
	return u.String()
}

// TestPostgresSecurity: every way in that libpq has works here, also for the witness; what is wrong is told in a line.
func TestPostgresSecurity(t *testing.T) {
	t.Parallel()
	a := certificates.NewAuthority(t)
	p := servers.StartSecurePostgres(t, 18, a, a.Issue(t, "server", time.Hour))
	tr := newTrailOn(t, p, servers.SharedKafka(t))
	tr.Exec(t, "create table t (id int primary key)")
	tr.setup(t, "public.*", "--hold")
	p.Admit(t, "hostssl all,replication "+tr.slot+" 127.0.0.1/32 scram-sha-256", "host all,replication "+tr.slot+" all reject")
	verified := url.Values{"sslmode": {"verify-full"}, "sslrootcert": {a.File}}

	dir := t.TempDir()
	passfile, services := filepath.Join(dir, "pgpass"), filepath.Join(dir, "services")
	service := fmt.Sprintf("[shop]\nhost=127.0.0.1\nport=%d\ndbname=%s\nuser=%s\nsslmode=verify-full\nsslrootcert=%s\n", p.Port, tr.Name, tr.slot, a.File)
	for file, text := range map[string]string{
		passfile: fmt.Sprintf("127.0.0.1:%d:*:%s:%s\n", p.Port, tr.slot, rolePassword),
		services: service,
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	carries := func(name string, environment ...string) {
		t.Helper()
		n++
		tr.insert(t, n, n)
		args := []string{"run", "--until", tr.position(t).String(), "--log-level", "trace"}
		if n%2 == 0 {
			args = append(args, "--hold")
		}
		r := product.Run(t, time.Minute, append(tr.environment(), environment...), args...)
		if r.Code != 0 {
			t.Fatalf("%s: exit code %d\n%s", name, r.Code, r.Stderr)
		}
		if strings.Contains(r.Stderr, rolePassword) {
			t.Errorf("%s: the log has the password", name)
		}
	}
	for range 2 { // without the witness, and with it
		carries("verify-full", "PGWITNESS_SOURCE_URL="+tr.secureURL(t, rolePassword, verified))
		carries("a passfile", "PGWITNESS_SOURCE_URL="+tr.secureURL(t, "", verified), "PGPASSFILE="+passfile)
		carries("a service file", "PGWITNESS_SOURCE_URL=service=shop", "PGSERVICEFILE="+services, "PGPASSFILE="+passfile)
	}
	fails := func(name, source, says string) {
		t.Helper()
		r := product.Run(t, time.Minute, append(tr.environment(), "PGWITNESS_SOURCE_URL="+source), "run")
		if last := lastLine(r.Stderr); r.Code != 1 || !strings.Contains(last, says) || strings.Contains(last, rolePassword) {
			t.Errorf("%s: exit code %d: %s", name, r.Code, last)
		}
	}
	stranger := certificates.NewAuthority(t)
	fails("no TLS", tr.secureURL(t, rolePassword, url.Values{"sslmode": {"disable"}}), "pg_hba.conf")
	fails("an unknown authority", tr.secureURL(t, rolePassword, url.Values{"sslmode": {"verify-full"}, "sslrootcert": {stranger.File}}), "unknown authority")
	fails("a wrong password", tr.secureURL(t, "wrong", verified), "passfile")

	p.Admit(t, "hostssl all,replication "+tr.slot+" 127.0.0.1/32 cert")
	withCertificate := func(pair certificates.Pair) string {
		return tr.secureURL(t, "", url.Values{"sslmode": {"verify-full"}, "sslrootcert": {a.File}, "sslcert": {pair.Cert}, "sslkey": {pair.Key}})
	}
	carries("a certificate", "PGWITNESS_SOURCE_URL="+withCertificate(a.Issue(t, tr.slot, time.Hour)))
	carries("a certificate, held", "PGWITNESS_SOURCE_URL="+withCertificate(a.Issue(t, tr.slot, time.Hour)))
	fails("somebody else's certificate", withCertificate(a.Issue(t, "other", time.Hour)), "pg_hba.conf")
	fails("an old certificate", withCertificate(a.Issue(t, "old", -time.Minute)), "expired on")
	fails("no certificate", tr.secureURL(t, rolePassword, verified), "certificate")
	var all []int
	for i := range n {
		all = append(all, i+1)
	}
	tr.expectOnce(t, inserts(all...))
}
