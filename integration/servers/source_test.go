//go:build integration

package servers

import (
	"strings"
	"testing"
)

func TestNamedServers(t *testing.T) {
	t.Setenv("PGWITNESS_TEST_POSTGRES_18", SharedPostgres(t, 18).URL("postgres"))
	t.Setenv("PGWITNESS_TEST_POSTGRES_17", SharedPostgres(t, 18).URL("postgres"))
	t.Setenv("PGWITNESS_TEST_KAFKA", SharedKafka(t).Brokers[0].Address)
	t.Setenv(sourceVariable, "env")

	p, err := launchPostgres(18, nil, true)
	if err != nil {
		t.Fatal(err)
	}
	if d := p.NewDatabase(t); d.Text(t, "select 1") != "1" {
		t.Error("the named server does not answer")
	}
	if k, err := launchKafka(1, nil, true); err != nil || len(k.Brokers) != 1 {
		t.Error(k, err)
	}
	for what, c := range map[string]struct {
		err  error
		says string
	}{
		"another version":   {errorOf(launchPostgres(17, nil, true)), "names a PostgreSQL 18"},
		"not named":         {errorOf(launchPostgres(16, nil, true)), "PGWITNESS_TEST_POSTGRES_16 is not set"},
		"one's own":         {errorOf(launchPostgres(18, nil, false)), "starts and stops its own server"},
		"one's own brokers": {errorOf(launchKafka(1, nil, false)), "starts and stops its own server"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", what, c.err, c.says)
		}
	}
}

// TestNothingInstalled: a machine without the programs is told which.
func TestNothingInstalled(t *testing.T) {
	t.Setenv("PATH", "")
	t.Setenv("PGWITNESS_TEST_CACHE", t.TempDir())
	t.Setenv(sourceVariable, "local")
	for what, err := range map[string]error{
		"maven":                errorOf(launchPostgres(18, nil, false)),
		"default-jre-headless": errorOf(launchKafka(1, nil, false)),
	} {
		if err == nil || !strings.Contains(err.Error(), "apt-get install") || !strings.Contains(err.Error(), what) {
			t.Errorf("%v, want the name of %s", err, what)
		}
	}
	t.Setenv(sourceVariable, "cloud")
	if err := errorOf(launchKafka(1, nil, true)); err == nil || !strings.Contains(err.Error(), "want env, docker or local") {
		t.Error(err)
	}
}

func errorOf[T any](_ T, err error) error { return err }
