package main

import (
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"
)

// docs/checks.md explains every check that the code knows, and no other, once.
func TestChecksAreDocumented(t *testing.T) {
	file, err := parser.ParseFile(gotoken.NewFileSet(), "checknames.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var known []string
	ast.Inspect(file, func(n ast.Node) bool {
		pair, ok := n.(*ast.KeyValueExpr)
		if !ok {
			return true
		}
		name, err := strconv.Unquote(pair.Value.(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		known = append(known, name)
		return true
	})
	page, err := os.ReadFile("../../docs/checks.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\|").FindAllStringSubmatch(string(page), -1) {
		documented = append(documented, row[1])
	}
	slices.Sort(known)
	slices.Sort(documented)
	if !slices.Equal(known, documented) || len(known) < 40 {
		t.Errorf("the code knows\n%q\nthe page explains\n%q", known, documented)
	}
	if unique := slices.Compact(slices.Clone(known)); len(unique) != len(known) {
		t.Errorf("a name is used twice: %q", known)
	}
}
