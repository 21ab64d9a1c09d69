//go:build integration

package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"pgwitness/integration/product"
)

// TestServiceUnit: systemd finds nothing wrong with the unit, and little that it leaves open.
func TestServiceUnit(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Fatal("systemd-analyze is not installed (Debian: apt-get install systemd)")
	}
	text, err := os.ReadFile("../docs/deploy/pgwitness.service")
	if err != nil {
		t.Fatal(err)
	}
	unit := filepath.Join(t.TempDir(), "pgwitness.service")
	text = []byte(strings.ReplaceAll(string(text), "/usr/local/bin/pgwitness", product.Binary(t))) // it looks whether that is there
	if err := os.WriteFile(unit, text, 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("systemd-analyze", "verify", "--man=no", unit).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "pgwitness") {
			t.Error(strings.TrimSpace(line))
		}
	}
	if err != nil {
		t.Errorf("verify: %v\n%s", err, out)
	}
	out, err = exec.Command("systemd-analyze", "security", "--offline=yes", "--no-pager", unit).CombinedOutput()
	exposure := regexp.MustCompile(`Overall exposure level for pgwitness\.service: ([0-9.]+)`).FindSubmatch(out)
	if exposure == nil {
		t.Fatalf("security: %v\n%s", err, out)
	}
	if level, err := strconv.ParseFloat(string(exposure[1]), 64); err != nil || level > 1.5 {
		t.Errorf("exposure %s of 10\n%s", exposure[1], out)
	}
}
