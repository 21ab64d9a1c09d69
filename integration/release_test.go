//go:build integration

package integration

import (
	"bytes"
	"debug/elf"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestRelease: two trees in two places give the same bytes, static for both processors, and the list of what is in them
// names what is in them.
func TestRelease(t *testing.T) {
	t.Parallel()
	first, second := t.TempDir(), t.TempDir()
	elsewhere := filepath.Join(t.TempDir(), "a copy")
	for _, part := range []string{"capture", "cmd", "decode", "publish", "integration/sbom"} {
		if err := os.CopyFS(filepath.Join(elsewhere, part), os.DirFS(filepath.Join("..", part))); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"go.mod", "go.sum", "Makefile"} {
		copyFile(t, filepath.Join("..", file), filepath.Join(elsewhere, file))
	}
	for dir, tree := range map[string]string{first: "..", second: elsewhere} {
		cmd := exec.CommandContext(t.Context(), "make", "-C", tree, "release", "VERSION=v1.2.3", "RELEASE="+dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		name := "pgwitness-linux-" + arch
		one, err1 := os.ReadFile(filepath.Join(first, name))
		two, err2 := os.ReadFile(filepath.Join(second, name))
		if err1 != nil || err2 != nil || !bytes.Equal(one, two) {
			t.Errorf("%s: %d and %d bytes, which differ (%v, %v)", name, len(one), len(two), err1, err2)
		}
		static(t, filepath.Join(first, name), machine)
		materials(t, filepath.Join(first, name+".cdx.json"))
	}
	check := exec.Command("sha256sum", "--check", "SHA256SUMS")
	check.Dir = first
	if out, err := check.CombinedOutput(); err != nil || bytes.Count(out, []byte(": OK\n")) != 4 {
		t.Errorf("%v\n%s", err, out)
	}
	r, err := exec.Command(filepath.Join(first, "pgwitness-linux-amd64"), "version").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(r), "pgwitness v1.2.3,") {
		t.Logf("this machine cannot run it: %v", err)
	}
}

// static expects a program that needs no other file: no interpreter, no shared library.
func static(t *testing.T, file string, machine elf.Machine) {
	t.Helper()
	f, err := elf.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	libraries, err := f.ImportedLibraries()
	if err != nil || len(libraries) > 0 || f.Machine != machine {
		t.Errorf("%s: for %s, needs %v (%v)", file, f.Machine, libraries, err)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			t.Errorf("%s has an interpreter", file)
		}
	}
}

func materials(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var b struct {
		BomFormat string
		Metadata  struct {
			Component struct{ Name, Version string }
		}
		Components []struct{ Name, Version, PURL string }
	}
	if err := json.Unmarshal(text, &b); err != nil {
		t.Fatal(err)
	}
	if b.BomFormat != "CycloneDX" || b.Metadata.Component.Name != "pgwitness" || b.Metadata.Component.Version != "v1.2.3" {
		t.Errorf("%s is of %+v", file, b.Metadata)
	}
	found := map[string]bool{}
	for _, c := range b.Components {
		found[c.Name] = c.Version != "" && c.PURL == "pkg:golang/"+c.Name+"@"+c.Version
	}
	for _, name := range []string{"std", "github.com/jackc/pgx/v5", "github.com/segmentio/kafka-go"} {
		if !found[name] {
			t.Errorf("%s has no %s", file, name)
		}
	}
	if found["github.com/testcontainers/testcontainers-go"] {
		t.Errorf("%s has what only tests need", file)
	}
}
