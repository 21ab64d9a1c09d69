package integration

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "pgwitness"

// rules are DESIGN.md's table of what each folder may import, beyond the standard library. A name covers what lies
// below it.
var rules = map[string]struct {
	may []string
	not []string // of the standard library: what would be I/O, chance or a log
}{
	"decode": {
		may: []string{"github.com/jackc/pglogrepl"},
		not: []string{"os", "net", "log", "database/sql", "syscall", "math/rand"},
	},
	"capture": {
		may: []string{
			module + "/decode", module + "/capture/witness", "github.com/jackc/pgx/v5", "github.com/jackc/pglogrepl",
			"github.com/hashicorp/go-hclog", "golang.org/x/sys",
		},
	},
	"capture/witness": {
		may: []string{"github.com/jackc/pgx/v5", "github.com/jackc/pglogrepl", "github.com/hashicorp/go-hclog"},
	},
	"publish": {
		// pglogrepl for its LSN type; compress for the codecs of record batches.
		may: []string{
			module + "/decode", "github.com/segmentio/kafka-go", "github.com/hashicorp/go-hclog",
			"github.com/jackc/pglogrepl", "github.com/klauspost/compress", "github.com/pierrec/lz4/v4",
		},
	},
}

// testOnly is never part of the product's binary.
var testOnly = []string{
	"github.com/twmb/franz-go", "github.com/testcontainers", "github.com/fergusstrange/embedded-postgres",
	"github.com/moby", "github.com/santhosh-tekuri", "github.com/prometheus/prometheus", module + "/integration",
}

type listed struct {
	ImportPath string
	Standard   bool
	Imports    []string
	Deps       []string
}

// list asks the go command, without the network.
func list(t *testing.T, args ...string) []listed {
	t.Helper()
	args = append([]string{"list", "-json=ImportPath,Standard,Imports,Deps"}, args...)
	out, err := exec.Command("go", args...).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, exit.Stderr)
		}
		t.Fatal(err)
	}
	var all []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func covers(names []string, path string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		return path == name || strings.HasPrefix(path, name+"/")
	})
}

func TestFoldersImportOnlyWhatTheyMay(t *testing.T) {
	standard := map[string]bool{}
	for _, p := range list(t, "-deps", module+"/...") {
		if p.Standard {
			standard[p.ImportPath] = true
		}
	}
	seen := map[string]bool{}
	for _, p := range list(t, module+"/...") {
		folder := strings.TrimPrefix(p.ImportPath, module+"/")
		seen[folder] = true
		rule, ok := rules[folder]
		if !ok {
			if !covers([]string{module + "/cmd", module + "/integration"}, p.ImportPath) {
				t.Errorf("%s has no rule: DESIGN.md's table and this one must name it", folder)
			}
			continue
		}
		for _, path := range p.Imports {
			switch {
			case standard[path] && covers(rule.not, path), !standard[path] && !covers(rule.may, path):
				t.Errorf("%s must not import %s", folder, path)
			}
		}
	}
	for _, folder := range []string{"decode", "capture", "publish"} {
		if !seen[folder] {
			t.Errorf("no package %s", folder)
		}
	}
}

func TestProductLinksNothingOfTheTests(t *testing.T) {
	products := list(t, module+"/cmd/pgwitness")
	if len(products) != 1 || len(products[0].Deps) == 0 {
		t.Fatalf("go list ./cmd/pgwitness = %v", products)
	}
	for _, path := range products[0].Deps {
		if covers(testOnly, path) {
			t.Errorf("the product links %s", path)
		}
	}
}

// The suite judges from outside: it starts the binary and never looks into its packages.
func TestSuiteLooksAtNothingInside(t *testing.T) {
	inside := []string{module + "/capture", module + "/decode", module + "/publish", module + "/cmd"}
	for _, p := range list(t, "-tags", "integration", "-test", module+"/integration/...") {
		for _, path := range p.Imports {
			if covers(inside, path) {
				t.Errorf("%s imports %s", p.ImportPath, path)
			}
		}
	}
}

// decode is a pure core: the same bytes give the same records, in every run and on every machine.
func TestDecodeHasNoClockAndNoGoroutine(t *testing.T) {
	clock := []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker", "Local"}
	files, err := filepath.Glob("../decode/*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	fset := token.NewFileSet()
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s: a goroutine", fset.Position(n.Pos()))
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(clock, n.Sel.Name) {
					t.Errorf("%s: time.%s", fset.Position(n.Pos()), n.Sel.Name)
				}
			}
			return true
		})
	}
}
