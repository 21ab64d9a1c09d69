// Sbom writes down what Go binaries are made of, as the go command noted it in them (debug/buildinfo): FILE.cdx.json for
// each FILE, in CycloneDX 1.5's JSON.
//
//	go run ./integration/sbom VERSION FILE…
package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: sbom VERSION FILE…")
		os.Exit(2)
	}
	for _, file := range os.Args[2:] {
		if err := write(os.Args[1], file); err != nil {
			fmt.Fprintf(os.Stderr, "sbom: %s: %v\n", file, err)
			os.Exit(1)
		}
	}
}

// A bom is a bill of materials; the fields' names are CycloneDX's.
type bom struct {
	Format     string      `json:"bomFormat"`
	Spec       string      `json:"specVersion"`
	Version    int         `json:"version"`
	Metadata   metadata    `json:"metadata"`
	Components []component `json:"components"`
}

type metadata struct {
	Component component `json:"component"`
}

type component struct {
	Type       string `json:"type"`
	Name       string `json:"name"`
	Version    string `json:"version"`
	PURL       string `json:"purl,omitempty"` // https://github.com/package-url/purl-spec, type golang
	Hashes     []hash `json:"hashes,omitempty"`
	Properties []pair `json:"properties,omitempty"`
}

type hash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

type pair struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func write(version, file string) error {
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		return err
	}
	bytes, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(bytes)
	whole := component{Type: "application", Name: filepath.Base(info.Path), Version: version, Hashes: []hash{{"SHA-256", hex.EncodeToString(sum[:])}}}
	for _, s := range info.Settings {
		whole.Properties = append(whole.Properties, pair{"go:build:" + s.Key, s.Value})
	}
	parts := []component{library("std", strings.TrimPrefix(info.GoVersion, "go"), "")}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		parts = append(parts, library(m.Path, m.Version, m.Sum))
	}
	text, err := json.MarshalIndent(bom{"CycloneDX", "1.5", 1, metadata{whole}, parts}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file+".cdx.json", append(text, '\n'), 0o644)
}

// library is a module; sum is that of go.sum, which is not the hash of one file.
func library(path, version, sum string) component {
	c := component{Type: "library", Name: path, Version: version, PURL: "pkg:golang/" + path + "@" + version}
	if sum != "" {
		c.Properties = []pair{{"go:sum", sum}}
	}
	return c
}
