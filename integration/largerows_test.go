//go:build integration

package integration

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pgwitness/integration/product"
	"pgwitness/integration/topics"
)

// TestLargeRow: a row of 200 MB goes through in memory that is a small multiple of it, and is delivered without its
// images, with the digest of the whole record.
func TestLargeRow(t *testing.T) {
	const size = 200_000_000
	tr := newTrail(t, 18)
	tr.Exec(t, "create table large (id int primary key, raw bytea, note text)", "alter table large alter raw set storage external")
	tr.setup(t, "public.*")
	tr.Exec(t, fmt.Sprintf("insert into large values (1, convert_to(repeat('ab', %d), 'UTF8'), 'a note')", size/2), "insert into large values (2, 'x', 'after it')")

	run := tr.run(t, "--until", tr.position(t).String())
	memory := mostMemory(run)
	if r := run.Wait(t, 2*time.Minute); r.Code != 0 {
		t.Fatalf("run --until: exit code %d\n%s", r.Code, r.Stderr)
	}
	t.Logf("%d MB of memory at most", memory>>20)
	if limit := int64(5 * size); memory > limit {
		t.Errorf("%d bytes of memory for a row of %d", memory, size)
	}

	entries := tr.entries(t)
	if len(entries) != 2 || entries[0].Oversize == nil || line(entries[1]) != `insert large key {"id":2} after {"id":2,"raw":"\\x78","note":"after it"}` {
		t.Fatalf("%d records", len(entries))
	}
	whole := sha256.New()
	bytes := int64(0)
	write := func(text string) {
		whole.Write([]byte(text))
		bytes += int64(len(text))
	}
	trimmed := string(entries[0].value)
	cut := regexp.MustCompile(`,"missing":\["id","raw","note"\],"oversize":\{[^}]*\}`).FindStringIndex(trimmed)
	if cut == nil {
		t.Fatalf("%s", trimmed)
	}
	write(trimmed[:cut[0]] + `,"after":{"id":1,"raw":"\\x`)
	for piece := strings.Repeat("6162", 10_000); bytes < 2*size; {
		write(piece)
	}
	write(`","note":"a note"}` + trimmed[cut[1]:])
	if got := entries[0].Oversize; got.Bytes != bytes || got.SHA256 != hex.EncodeToString(whole.Sum(nil)) {
		t.Errorf("%d bytes with digest %s, want %d and %x", got.Bytes, got.SHA256, bytes, whole.Sum(nil))
	}
}

// mostMemory watches a process to its end and returns the most bytes of memory that it held (proc(5), VmHWM); 0 where
// there is no /proc.
func mostMemory(p *product.Process) (most int64) {
	for {
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
		if _, rest, ok := strings.Cut(string(status), "VmHWM:"); ok {
			var kilobytes int64
			fmt.Sscan(rest, &kilobytes)
			most = kilobytes << 10
		}
		select {
		case <-p.Ended():
			return most
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// TestOversize: what a topic does not take is trimmed or stops the run, as configured; never skipped.
func TestOversize(t *testing.T) {
	tr := newTrail(t, 14)
	tr.Exec(t, "create table t (id int primary key, v text)")
	tr.setup(t, "public.*")
	tr.Exec(t, "insert into t values (1, repeat('x', 3000000))", "insert into t values (2, repeat('secret', 2000000))", "update t set id = 4 where id = 2",
		"select pg_logical_emit_message(true, 'm', repeat('m', 9500000))", "insert into t values (5, '')")
	tr.settings = []string{"PGWITNESS_TOPICS_OVERSIZE=stop"}
	for range 2 {
		r := tr.run(t, "--until", tr.position(t).String(), "--log-level", "error").Wait(t, time.Minute)
		expectLine(t, r, 1, []string{`public\.t`, `record \d+\.1\.\d+-[0-9A-F]{16}-1 has`, `1200\d{4}`, `8388608`, `topics\.oversize`})
	}
	if entries := tr.entries(t); len(entries) != 1 {
		t.Errorf("%d records before it", len(entries))
	}

	tr.settings = []string{"PGWITNESS_TOPICS_OVERSIZE=trim", "PGWITNESS_TOPICS_PARTITIONS=1"}
	r := tr.run(t, "--until", tr.position(t).String()).Wait(t, time.Minute)
	if r.Code != 0 || strings.Count(r.Stderr, "[WARN]") < 3 {
		t.Errorf("%d: it does not warn of each\n%s", r.Code, r.Stderr)
	}
	entries := tr.entries(t)
	var got []string
	for _, e := range entries[1:] {
		got = append(got, line(e))
		if (e.Oversize != nil) != (e.Op == "message" || string(e.Key) == `{"id":2}`) {
			t.Errorf("oversize is %v: %.300s", e.Oversize, e.value)
		}
	}
	want := `insert t key {"id":2} missing id,v; update t key {"id":2} changed id missing id,v; message ; insert t key {"id":5} after {"id":5,"v":""}`
	if strings.Join(got, "; ") != want {
		t.Errorf("\n got %s\nwant %s", strings.Join(got, "; "), want)
	}
}

// TestUnsendable: what the server itself cannot send stops the run with its position, and is passed only by an
// accepted gap, which the trail records.
func TestUnsendable(t *testing.T) {
	tr := newTrail(t, 18)
	tr.Exec(t, "create table large (id int primary key, raw bytea)",
		fmt.Sprintf("insert into large values (1, convert_to(repeat('a', %d), 'UTF8'))", 260<<20)) // twice as many digits, and that twice
	tr.setup(t, "public.*")
	tr.Exec(t, "insert into large values (2, 'x')", "update large set raw = convert_to(repeat('s', 10 << 20), 'UTF8') || raw where id = 1", "insert into large values (3, 'x')")
	target := tr.position(t).String()
	r := tr.run(t, "--until", target, "--log-level", "error").Wait(t, 2*time.Minute)
	expectLine(t, r, 3, []string{`transaction \d+`, `[0-9A-F]+/[0-9A-F]+`, `--accept-gap`})
	found := regexp.MustCompile(`--accept-gap (\S+)`).FindStringSubmatch(r.Stderr)
	if found == nil {
		t.Fatal("it names no gap")
	}
	id := found[1]
	if got := (&sights{all: tr.entries(t)}).lines(); len(got) != 1 || !strings.Contains(got[0], `"id":2`) {
		t.Errorf("before it: %q", got)
	}
	if r := tr.run(t, "--until", target, "--accept-gap", id).Wait(t, 2*time.Minute); r.Code != 0 {
		t.Fatalf("run --accept-gap: exit code %d\n%s", r.Code, r.Stderr)
	}
	if got := (&sights{all: tr.entries(t)}).lines(); len(got) != 2 || !strings.Contains(got[1], `"id":3`) {
		t.Errorf("after it: %q", got)
	}
	tr.catchUp(t, time.Minute)
	gaps := 0
	for _, p := range tr.partitionsOf(t, "control") {
		for _, r := range p.Records {
			if strings.Contains(string(r.Value), `"op":"gap"`) && strings.Contains(string(r.Value), id) {
				gaps++
			}
		}
	}
	if gaps != 2 {
		t.Errorf("%d records of the gap, want it and its acceptance", gaps)
	}
}

// partitionsOf reads a topic beside the tables'.
func (tr *trail) partitionsOf(t *testing.T, stream string) []topics.Partition {
	t.Helper()
	partitions, err := tr.reader.ReadAll(t.Context(), tr.prefix)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(partitions, func(p topics.Partition) bool { return p.Topic != tr.prefix+"."+stream })
}
