//go:build integration

package servers

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"pgwitness/integration/certificates"
)

// StartSecurePostgres starts a server on this machine, whatever the source of the others, that speaks TLS as well.
func StartSecurePostgres(t testing.TB, version int, authority *certificates.Authority, server certificates.Pair) *Postgres {
	t.Helper()
	p, err := localPostgres(version, baseSettings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("PostgreSQL said last:\n%s", p.instance.output())
		}
		p.instance.remove()
	})
	for name, from := range map[string]string{"ca.pem": authority.File, "server.pem": server.Cert, "server.key": server.Key} {
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		p.write(t, name, text)
	}
	d := &Database{Server: p, Name: "postgres"}
	d.Exec(t, "alter system set ssl_ca_file = 'ca.pem'", "alter system set ssl_cert_file = 'server.pem'",
		"alter system set ssl_key_file = 'server.key'", "alter system set ssl = on", "select pg_reload_conf()")
	return p
}

// Admit puts lines before those of pg_hba.conf, for everybody who comes from now on.
func (p *Postgres) Admit(t testing.TB, lines ...string) {
	t.Helper()
	file := filepath.Join(p.DataDir, "pg_hba.conf")
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	p.write(t, "pg_hba.conf", append([]byte(strings.Join(lines, "\n")+"\n"), old...))
	(&Database{Server: p, Name: "postgres"}).Exec(t, "select pg_reload_conf()")
}

// write writes a file of the data directory that belongs to the server's user.
func (p *Postgres) write(t testing.TB, name string, text []byte) {
	t.Helper()
	file := filepath.Join(p.DataDir, name)
	info, err := os.Stat(p.DataDir)
	if err == nil {
		err = os.WriteFile(file, text, 0o600)
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && err == nil {
		err = os.Chown(file, int(owner.Uid), int(owner.Gid))
	}
	if err != nil {
		t.Fatal(fmt.Errorf("write %s: %w", name, err))
	}
}
