//go:build integration

package product

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"pgwitness/integration/servers"
)

// Binary builds the product once a test process and returns its path. PGWITNESS_TEST_BINARY names one that is ready;
// PGWITNESS_TEST_RACE=1 builds it with the race detector. The package's TestMain calls servers.Main.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var build = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("PGWITNESS_TEST_BINARY"); path != "" {
		return filepath.Abs(path)
	}
	dir, err := servers.Scratch("bin")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "pgwitness")
	args := []string{"build", "-o", path}
	cgo := "CGO_ENABLED=0"
	if os.Getenv("PGWITNESS_TEST_RACE") == "1" {
		args, cgo = append(args, "-race"), "CGO_ENABLED=1"
	}
	cmd := exec.Command("go", append(args, "pgwitness/cmd/pgwitness")...)
	cmd.Env = append(os.Environ(), cgo)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build pgwitness: %w\n%s", err, out)
	}
	return path, nil
})
