//go:build integration

package integration

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"pgwitness/integration/product"
	"pgwitness/integration/servers"
)

// The pages below are run as they stand: a fenced block whose info string has "run" is run, one after the other, against
// a PostgreSQL and a Kafka of the page's own. "sql run" is a script for psql, "sh run" one for bash, which must end with 0
// or with the code in "run exit 3"; "sh run background" starts what must go on to the page's end, or to a
// block "sh run stopped", and stop with 0. GAP-ID stands for the ID that the page has met last. A block
// "text shown" after one is what that shows, line by line, with "…" for anything: a block is run again until it does.

// TestDocs runs the pages.
func TestDocs(t *testing.T) {
	t.Parallel()
	for page, least := range map[string]int{"quickstart.md": 15, "operating.md": 8, "migrating.md": 4} {
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile("../docs/" + page)
			if err != nil {
				t.Fatal(err)
			}
			blocks := blocksOf(string(text))
			if len(blocks) < least {
				t.Fatalf("%d blocks to run, want %d or more", len(blocks), least)
			}
			newReading(t).follow(t, blocks)
		})
	}
}

// A block is one that is to be run.
type block struct {
	language   string // sh or sql
	text       string
	background bool
	stopped    bool // what runs in the background is stopped first
	exit       int
	shows      string // a regular expression, empty for none
}

var (
	fenced = regexp.MustCompile("(?ms)^```(\\w+) (run[^\n]*|shown)\n(.*?)^```$")
	exits  = regexp.MustCompile(`exit (\d)`)
)

func blocksOf(page string) []block {
	var all []block
	for _, m := range fenced.FindAllStringSubmatch(page, -1) {
		language, words, text := m[1], m[2], m[3]
		if words == "shown" {
			all[len(all)-1].shows = shown(text)
			continue
		}
		b := block{language: language, text: text, background: strings.Contains(words, "background"), stopped: strings.Contains(words, "stopped")}
		if code := exits.FindStringSubmatch(words); code != nil {
			fmt.Sscan(code[1], &b.exit)
		}
		all = append(all, b)
	}
	return all
}

// shown is the expression for what a page shows: the lines in their order, others may stand between them.
func shown(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		line = regexp.QuoteMeta(strings.TrimRight(line, "\n"))
		lines = append(lines, strings.ReplaceAll(line, "…", "[^\n]*"))
	}
	return "(?ms)^" + strings.Join(lines, "$\n(?:.*\n)?^") + "$"
}

// A reading is somebody who follows a page.
type reading struct {
	dir        string
	env        []string
	replace    *strings.Replacer
	gap        string // the last ID that was shown
	background []*exec.Cmd
}

func newReading(t *testing.T) *reading {
	t.Helper()
	postgres := servers.StartPostgres(t, 18)
	kafka := servers.StartKafka(t, 1)
	if _, err := servers.Connect(t, postgres.URL("postgres")).Exec(t.Context(), "create database shop"); err != nil {
		t.Fatal(err)
	}
	r := &reading{dir: t.TempDir()}
	programs := filepath.Join(r.dir, "bin")
	if err := errors.Join(os.Mkdir(programs, 0o755), os.Symlink(product.Binary(t), filepath.Join(programs, "pgwitness"))); err != nil {
		t.Fatal(err)
	}
	super := strings.TrimSuffix(postgres.URL("shop"), "?sslmode=disable")
	_, address, _ := strings.Cut(super, "@")
	r.replace = strings.NewReplacer("postgres://postgres@localhost/shop", super, "@localhost/shop", "@"+address,
		"localhost:9092", kafka.Bootstrap()[0])
	r.env = append(os.Environ(), "PATH="+programs+":"+os.Getenv("PATH"))
	return r
}

// follow runs the blocks.
func (r *reading) follow(t *testing.T, blocks []block) {
	t.Helper()
	for _, b := range blocks {
		t.Log(strings.TrimSpace(b.text))
		if b.stopped {
			r.stop(t)
		}
		if b.background {
			r.start(t, b)
		} else {
			r.run(t, b)
		}
	}
	r.stop(t)
}

// stop stops what runs in the background, as an operator would.
func (r *reading) stop(t *testing.T) {
	t.Helper()
	for _, c := range r.background {
		c.Process.Signal(os.Interrupt)
		if err := c.Wait(); err != nil {
			t.Errorf("%s: %v", strings.Join(c.Args, " "), err)
		}
	}
	r.background = nil
}

// command is a block's.
func (r *reading) command(ctx context.Context, b block) *exec.Cmd {
	text := strings.ReplaceAll(r.replace.Replace(b.text), "GAP-ID", r.gap)
	c := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", text)
	if b.language == "sql" {
		c = exec.CommandContext(ctx, "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", r.replace.Replace("postgres://postgres@localhost/shop"))
		c.Stdin = strings.NewReader(text)
	}
	c.Dir, c.Env = r.dir, r.env
	return c
}

func (r *reading) start(t *testing.T, b block) {
	t.Helper()
	b.text = "exec " + b.text
	c := r.command(context.WithoutCancel(t.Context()), b)
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	c.Stdout, c.Stderr = log, log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	r.background = append(r.background, c)
	t.Cleanup(func() {
		if c.ProcessState == nil {
			c.Process.Kill()
			c.Wait()
		}
		if said, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("%s said:\n%s", strings.TrimSpace(b.text), said)
		}
	})
}

// run runs a block until it ends and shows what it should.
func (r *reading) run(t *testing.T, b block) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(300 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		c := r.command(ctx, b)
		out, err := c.CombinedOutput()
		cancel()
		if id := accept.FindSubmatch(out); id != nil {
			r.gap = string(id[1])
		}
		ended := c.ProcessState != nil && c.ProcessState.ExitCode() == b.exit
		if ended && regexp.MustCompile(b.shows).Match(out) {
			return
		}
		if b.shows == "" || time.Now().After(deadline) {
			t.Fatalf("%s\nended with %v, want exit code %d and %s\n%s", b.text, err, b.exit, b.shows, out)
		}
	}
}
