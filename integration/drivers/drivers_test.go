//go:build integration

package drivers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"pgwitness/integration/product"
	"pgwitness/integration/servers"
	"pgwitness/integration/topics"
)

func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }

// An example is a code block of docs/who.md.
type example struct {
	name  string
	title string // the line of the page that it follows
	words string // of the change that it makes, as the record has them
	// run returns the command that runs code, a file that it may write in a directory of its own, or why that cannot be
	// done here.
	run func(t *testing.T, code, dir string) (*exec.Cmd, error)
}

var examples = []example{
	{"psql", "psql:", `{"reason": "refund", "ticket": "OPS-1", "user_id": "u_42"}`, psql},
	{"psql, autocommit", "In a single statement, under autocommit", `{"user_id": "u_42", "request_id": "r-9"}`, psql},
	{"go", "Go (pgx):", `{"user_id": "u_42", "request_id": "r-9"}`, golang},
	{"python", "Python (psycopg):", `{"reason": "refund", "user_id": "u_42"}`, python},
	{"java", "Java (JDBC):", `{"user_id": "u_42"}`, java},
	{"rails", "Rails (", `{"user_id": "u_42"}`, ruby},
	{"node", "Node (pg):", `{"reason": "refund", "user_id": "u_42"}`, node},
}

// TestExamples: what the page says of each driver works, word for word.
func TestExamples(t *testing.T) {
	page, err := os.ReadFile("../../docs/who.md")
	if err != nil {
		t.Fatal(err)
	}
	tr := prepare(t)
	for _, ex := range examples {
		t.Run(ex.name, func(t *testing.T) {
			dir, err := servers.Scratch("driver")
			if err != nil {
				t.Fatal(err)
			}
			cmd, err := ex.run(t, block(t, string(page), ex.title), dir)
			if err != nil && os.Getenv("CI") == "" {
				t.Skipf("NOT TRIED: %v", err)
			} else if err != nil {
				t.Fatal(err)
			}
			tr.Exec(t, "update orders set status = 'new'")
			cmd.Env = append(cmd.Environ(), "DATABASE_URL="+tr.address(url.Values{"application_name": {ex.name}}),
				"JDBC_URL="+tr.jdbc(url.Values{"ApplicationName": {ex.name}}))
			if out, err := cmd.CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) > 0 { // warnings are none of an example
				t.Fatalf("%v\n%s", err, out)
			}
			tr.catchUp(t)
			if got, want := tr.changes(t, ex.name), []string{"context " + tr.role + " " + ex.words}; !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// block is the first code block behind a title.
func block(t *testing.T, page, title string) string {
	t.Helper()
	_, rest, found := strings.Cut(page, "\n"+title)
	_, rest, opens := strings.Cut(rest, "\n```")
	_, rest, _ = strings.Cut(rest, "\n") // behind the language
	code, _, closes := strings.Cut(rest, "\n```")
	if !found || !opens || !closes {
		t.Fatalf("docs/who.md has no example under %q", title)
	}
	return code
}

// frame writes a program: a frame of testdata with the example in its place, indented as that is.
func frame(t *testing.T, name, code, dir string) (path string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	before, after, found := strings.Cut(string(text), "EXAMPLE")
	if !found {
		t.Fatalf("%s has no place for the example", name)
	}
	indent := before[strings.LastIndexByte(before, '\n')+1:]
	path = filepath.Join(dir, name)
	program := before + strings.ReplaceAll(code, "\n", "\n"+indent) + after
	if err := os.WriteFile(path, []byte(program), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func psql(_ *testing.T, code, _ string) (*exec.Cmd, error) {
	if _, err := exec.LookPath("psql"); err != nil {
		return nil, errors.New("psql is not installed (Debian: apt-get install postgresql-client)")
	}
	cmd := exec.Command("sh", "-c", `psql -X -q -t -v ON_ERROR_STOP=1 "$DATABASE_URL"`)
	cmd.Stdin = strings.NewReader(code)
	return cmd, nil
}

func golang(t *testing.T, code, dir string) (*exec.Cmd, error) {
	return tool("go", "", "run", frame(t, "frame.go", code, dir)) // with the pgx of this module
}

func python(t *testing.T, code, dir string) (*exec.Cmd, error) {
	const install = "Debian: apt-get install python3 python3-pip"
	cmd, err := tool("python3", install, "-c", "import sys; print(sys.implementation.cache_tag)")
	if err != nil {
		return nil, err
	}
	tag, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("python3: %w", err)
	}
	packages, err := servers.Cached("psycopg-3.3-"+strings.TrimSpace(string(tag)), func(dir string) error {
		return fetch("python3", install, "-m", "pip", "install", "-q", "--target", dir, "psycopg[binary]==3.3.*")
	})
	if err != nil {
		return nil, err
	}
	cmd, err = tool("python3", install, frame(t, "frame.py", code, dir))
	if err == nil {
		cmd.Env = append(cmd.Environ(), "PYTHONPATH="+packages)
	}
	return cmd, err
}

func java(t *testing.T, code, dir string) (*exec.Cmd, error) {
	const version = "42.7.7"
	jar, err := servers.Cached("pgjdbc-"+version, func(dir string) error {
		return servers.Maven("dependency:copy", "-Dartifact=org.postgresql:postgresql:"+version, "-DoutputDirectory="+dir)
	})
	if err != nil {
		return nil, err
	}
	return tool("java", "Debian: apt-get install default-jdk-headless", "-cp", filepath.Join(jar, "postgresql-"+version+".jar"), frame(t, "frame.java", code, dir))
}

func ruby(t *testing.T, code, dir string) (*exec.Cmd, error) {
	const install = "Debian: apt-get install ruby-activerecord ruby-pg"
	if err := fetch("ruby", install, "-e", `require "active_record"; require "pg"`); err != nil {
		return nil, err
	}
	return tool("ruby", install, frame(t, "frame.rb", code, dir))
}

func node(t *testing.T, code, dir string) (*exec.Cmd, error) {
	const install = "Debian: apt-get install nodejs npm"
	packages, err := servers.Cached("node-pg-8", func(dir string) error {
		return fetch("npm", install, "install", "--no-audit", "--no-fund", "--prefix", dir, "pg@8")
	})
	if err != nil {
		return nil, err
	}
	cmd, err := tool("node", install, frame(t, "frame.js", code, dir))
	if err == nil {
		cmd.Env = append(cmd.Environ(), "NODE_PATH="+filepath.Join(packages, "node_modules"))
	}
	return cmd, err
}

// tool is a command, or an error that says how to install it.
func tool(name, install string, args ...string) (*exec.Cmd, error) {
	if _, err := exec.LookPath(name); err != nil {
		return nil, fmt.Errorf("%s is not installed (%s)", name, install)
	}
	return exec.Command(name, args...), nil
}

// fetch runs a command that installs something, or finds out whether it is there.
func fetch(name, install string, args ...string) error {
	cmd, err := tool(name, install, args...)
	if err != nil {
		return err
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w (%s)\n%s", name, err, install, out)
	}
	return nil
}

// A trail is a database with its records.
type trail struct {
	*servers.Database
	role, prefix string
	environment  []string
	reader       *topics.Reader
}

const password = "role-secret"

// prepare makes the page's table, and a trail whose contexts are believed from now on.
func prepare(t *testing.T) *trail {
	t.Helper()
	kafka := servers.SharedKafka(t)
	tr := &trail{role: servers.Unique("a"), prefix: servers.Unique("p"), reader: topics.NewReader(kafka.Bootstrap())}
	t.Cleanup(tr.reader.Close)
	postgres := servers.SharedPostgres(t, 18)
	t.Cleanup(func() { tr.drop(t, postgres) }) // runs after the database is gone
	tr.Database = postgres.NewDatabase(t)
	slot := servers.Unique("w")
	tr.environment = []string{
		"PGWITNESS_SOURCE_URL=" + tr.URL(), "PGWITNESS_SOURCE_SLOT=" + slot, "PGWITNESS_SOURCE_PUBLICATION=" + slot,
		"PGWITNESS_KAFKA_BROKERS=" + strings.Join(kafka.Bootstrap(), ","), "PGWITNESS_KAFKA_PREFIX=" + tr.prefix, "PGWITNESS_SAMPLE_INTERVAL=0",
	}
	tr.Exec(t, "create table orders (id int primary key, status text)", "insert into orders values (42, 'new')",
		"create role "+tr.role+" login password '"+password+"'", "grant all on orders to "+tr.role)
	tr.pgwitness(t, "setup", "--apply", "--tables", "public.*", "--context-roles", tr.role)
	tr.catchUp(t)
	return tr
}

func (tr *trail) drop(t *testing.T, postgres *servers.Postgres) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, postgres.URL("postgres"))
	if err == nil {
		_, err = c.Exec(ctx, "drop role "+tr.role)
		c.Close(ctx)
	}
	if err != nil {
		t.Errorf("drop role %s: %v", tr.role, err)
	}
}

func (tr *trail) pgwitness(t *testing.T, args ...string) {
	t.Helper()
	if r := product.Run(t, time.Minute, tr.environment, args...); r.Code != 0 {
		t.Fatalf("%s: exit code %d\n%s%s", args[0], r.Code, r.Stdout, r.Stderr)
	}
}

func (tr *trail) catchUp(t *testing.T) {
	t.Helper()
	tr.pgwitness(t, "run", "--until", tr.Text(t, "pg_current_wal_insert_lsn()"))
}

// address is the database's for the application.
func (tr *trail) address(more url.Values) string {
	return tr.URLAs(tr.role, password) + "&" + strings.ReplaceAll(more.Encode(), "+", "%20")
}

func (tr *trail) jdbc(more url.Values) string {
	more.Set("user", tr.role)
	more.Set("password", password)
	return fmt.Sprintf("jdbc:postgresql://%s:%d/%s?%s", tr.Server.Host, tr.Server.Port, tr.Name, more.Encode())
}

// changes are what the trail has of an application: evidence, user and words.
func (tr *trail) changes(t *testing.T, application string) (list []string) {
	t.Helper()
	partitions, err := tr.reader.ReadAll(t.Context(), tr.prefix)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range partitions {
		for _, raw := range p.Records {
			var r struct {
				Actor struct {
					Evidence, User, Application string
					Context                     json.RawMessage
				}
			}
			if err := json.Unmarshal(raw.Value, &r); err != nil {
				t.Fatal(err)
			}
			if a := r.Actor; a.Application == application {
				list = append(list, a.Evidence+" "+a.User+" "+string(a.Context))
			}
		}
	}
	return list
}
