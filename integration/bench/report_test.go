//go:build integration

package bench

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// A report is one table: in markdown for people, and in a file of JSON, with every single run, for programs.
type report struct {
	Name       string     `json:"name"`
	Taken      time.Time  `json:"taken"`
	Processors int        `json:"processors"`
	Platform   string     `json:"platform"`
	Columns    []string   `json:"columns"`
	Rows       [][]string `json:"rows"`
	Runs       any        `json:"runs"`
}

// output is where reports are kept, below the top of the tree, and never under version control.
const output = "../../build/bench"

func (r *report) row(cells ...string) { r.Rows = append(r.Rows, cells) }

// publish prints the table and writes the file.
func (r *report) publish(b *testing.B) {
	b.Helper()
	fmt.Printf("\n%s\n", r.markdown())
	r.save(b)
}

// save writes the file; a benchmark of hours does so from time to time.
func (r *report) save(b *testing.B) {
	b.Helper()
	r.Taken, r.Processors, r.Platform = time.Now().UTC(), runtime.NumCPU(), runtime.GOOS+"/"+runtime.GOARCH
	text, err := json.MarshalIndent(r, "", "  ")
	if err == nil {
		err = os.MkdirAll(output, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(output, r.Name+".json"), append(text, '\n'), 0o644)
	}
	if err != nil {
		b.Fatal(err)
	}
}

func (r *report) markdown() string {
	var s strings.Builder
	line := func(cells []string) { s.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	line(r.Columns)
	line(slices.Repeat([]string{"---"}, len(r.Columns)))
	for _, row := range r.Rows {
		line(row)
	}
	return s.String()
}

func median(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	return x[len(x)/2]
}

// spread is the median with the lowest and the highest.
func spread(format string, x []float64) string {
	if len(x) == 0 {
		return "–"
	}
	return fmt.Sprintf(format+" ("+format+"–"+format+")", median(x), slices.Min(x), slices.Max(x))
}
