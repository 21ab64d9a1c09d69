//go:build integration

package integration

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgwitness/integration/product"
)

// plantedMasked stands in masked columns only, so that nothing that leaves pgwitness may hold it.
const plantedMasked = "planted5c81e4"

// maskKeyText is the key in the file of a test.
const maskKeyText = "3f1c9a7be2d84650a1b2c3d4e5f60718"

// masked gives the product masks, "column=kind,…", and a key.
func (tr *trail) masked(t *testing.T, masks, absent string) {
	t.Helper()
	tr.maskedBy(t, maskKeyText, masks, absent)
}

func (tr *trail) maskedBy(t *testing.T, key, masks, absent string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "mask.key")
	if err := os.WriteFile(file, []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tr.settings = []string{"PGWITNESS_MASK=" + masks, "PGWITNESS_MASK_ABSENT=" + absent, "PGWITNESS_MASK_KEY_FILE=" + file}
}

// hashed is what docs/masking.md says that a hash is.
func hashed(key, text string) string {
	mac := func(s string) []byte {
		h := hmac.New(sha256.New, []byte(key))
		h.Write([]byte(s))
		return h.Sum(nil)
	}
	return fmt.Sprintf("hmac-sha256:%x:%s", mac("pgwitness: the id of a key")[:6], base64.RawURLEncoding.EncodeToString(mac(text)))
}

// hidden fails the test for each of the texts that holds what was planted.
func hidden(t *testing.T, where string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		for _, form := range []string{plantedMasked, fmt.Sprintf("%x", plantedMasked), base64.StdEncoding.EncodeToString([]byte(plantedMasked))} {
			if at := strings.Index(text, form); at >= 0 {
				t.Errorf("%s: …%s", where, text[max(0, at-300):at+len(form)])
			}
		}
	}
}

// hiddenInKafka reads every byte of every topic of the trail.
func (tr *trail) hiddenInKafka(t *testing.T) {
	t.Helper()
	for _, p := range tr.topics(t) {
		for _, r := range p.Records {
			hidden(t, fmt.Sprintf("%s/%d at %d", p.Topic, p.ID, r.Offset), string(r.Key), string(r.Value))
			for _, h := range r.Headers {
				hidden(t, p.Topic+" header "+h.Key, string(h.Value))
			}
		}
	}
}

// TestMasks: a value of a masked column stands nowhere but in the database: in partitions and children, in keys, documents
// and values out of line, in records that are too large, in what is logged, measured and shown.
func TestMasks(t *testing.T) {
	t.Parallel()
	for _, version := range []int{14, 18} {
		t.Run(fmt.Sprint(version), func(t *testing.T) { t.Parallel(); masks(t, version) })
	}
}

func masks(t *testing.T, version int) {
	tr := newTrail(t, version)
	tr.Exec(t, "create type pair as (a int, b text)",
		`create table people (id text primary key, ssn text, card text, doc jsonb, big text, tags text[], p pair, raw bytea, "Odd.Name" text, note text)`,
		"create table parts (id int, region text, email text, primary key (id, region)) partition by list (region)",
		"create table parts_eu partition of parts for values in ('eu')",
		"create table parts_us partition of parts for values in ('us') partition by list (id)", "create table parts_us_1 partition of parts_us default",
		"create table parent (id int primary key, phone text)", "create table child (extra text, primary key (id)) inherits (parent)",
		"create table sparse (id text primary key, big text, note text)", "create table wide (id int primary key, ssn text, pad text)")
	tr.setup(t, "public.*")
	tr.Exec(t, "alter table sparse replica identity default")
	tr.masked(t, `public.people.id=hash,public.people.ssn=redact,public.people.card=last4,public.people.doc=null-marker,public.people.big=redact,`+
		`public.people.tags=hash,public.people.p=redact,public.people.raw=redact,public.people."Odd.Name"=last4,public.parts.email=hash,`+
		`public.parent.phone=last4,public.sparse.id=hash,public.sparse.big=redact,public.wide.ssn=hash`, "")
	checked := tr.command(t, tr.URLAs(tr.slot, rolePassword), "check")
	run := tr.run(t, "--log-level", "trace", "--listen", "127.0.0.1:0")

	const long = "(select string_agg(md5(i::text), '') from generate_series(1, 400) i)"
	planted := strings.NewReplacer("PLANTED", plantedMasked, "LONG", long)
	for _, statement := range []string{
		`insert into people values ('PLANTED-1', 'PLANTED', 'PLANTED1234', '{"PLANTED": ["PLANTED"]}', 'PLANTED' || LONG, '{PLANTED,x}', (1, 'PLANTED'), 'PLANTED', 'PLANTED', 'shown')`,
		"update people set note = 'shown twice'", "update people set id = 'PLANTED-2', ssn = 'PLANTED-new', doc = null", "update people set ssn = null", "delete from people",
		"insert into parts values (1, 'eu', 'PLANTED'), (2, 'us', 'PLANTED')", "update parts set region = 'us', email = email || 'x' where id = 1",
		"insert into child values (1, 'PLANTED', 'shown')", "update parent set phone = 'PLANTED-new'", "insert into parent values (2, 'short')",
		"insert into sparse values ('PLANTED-1', 'PLANTED' || LONG, 'shown')", "update sparse set note = 'shown twice'", "update sparse set id = 'PLANTED-2'",
		"insert into wide values (1, 'PLANTED', repeat('PLANTED', 1000000) || 'x')", "truncate parts, wide",
	} {
		if strings.HasPrefix(statement, "insert into wide") {
			statement = strings.Replace(statement, "repeat('PLANTED'", "repeat('0123456789'", 1)
		}
		tr.Exec(t, planted.Replace(statement))
	}
	tr.awaitConfirmedBy(t, run.Running, time.Minute)
	measured := scrape(t, run)
	said := run.Stop(t, 10*time.Second)
	if said.Code != 0 {
		t.Fatalf("exit code %d\n%s", said.Code, said.Stderr)
	}
	tr.hiddenInKafka(t)
	shown := product.Run(t, time.Minute, tr.names(), "tail", "--until-end")
	status := tr.command(t, tr.URLAs(tr.slot, rolePassword), "status")
	for where, text := range map[string]string{"log": said.Stderr, "metrics": measured, "check": checked.Stdout + checked.Stderr, "tail": shown.Stdout, "status": status.Stdout} {
		hidden(t, where, text)
		if strings.Contains(text, maskKeyText) {
			t.Errorf("%s has the key", where)
		}
	}
	if !strings.Contains(shown.Stdout, `"redacted"`) || !strings.Contains(shown.Stdout, "doc (masked)") || !strings.Contains(shown.Stdout, `"shown twice"`) {
		t.Errorf("tail shows:\n%s", shown.Stdout)
	}
	if id := hashed(maskKeyText, "")[:len("hmac-sha256:000000000000")]; !strings.Contains(said.Stderr, "key_id="+strings.TrimPrefix(id, "hmac-sha256:")) {
		t.Errorf("the log does not name the key of %s:\n%s", id, said.Stderr)
	}
	tr.expectMasked(t)
}

// scrape is /metrics as it is.
func scrape(t *testing.T, run *product.Process) string {
	t.Helper()
	address := listening.FindStringSubmatch(run.Stderr())
	if address == nil {
		t.Fatalf("it does not say where the metrics are:\n%s", run.Stderr())
	}
	res, err := (&http.Client{Timeout: time.Minute}).Get("http://" + address[1] + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || len(text) == 0 {
		t.Fatalf("%d bytes of metrics, %v", len(text), err)
	}
	return string(text)
}

// expectMasked compares the records of TestMasks with what they should be.
func (tr *trail) expectMasked(t *testing.T) {
	t.Helper()
	h := func(text string) string { return hashed(maskKeyText, text) }
	one, two := h(plantedMasked+"-1"), h(plantedMasked+"-2")
	person := func(id, ssn, doc, note string) string {
		return fmt.Sprintf(`{"id":"%s","ssn":%s,"card":"****1234","doc":%s,"big":"redacted","tags":"%s","p":"redacted","raw":"redacted","Odd.Name":"****81e4","note":"%s"}`,
			id, ssn, doc, h("{"+plantedMasked+",x}"), note)
	}
	part := func(id int, region, email string) string {
		return fmt.Sprintf(`{"id":%d,"region":"%s","email":"%s"}`, id, region, h(email))
	}
	first, second := person(one, `"redacted"`, "null", "shown"), person(one, `"redacted"`, "null", "shown twice")
	third := person(two, `"redacted"`, "null", "shown twice")
	last := person(two, "null", "null", "shown twice")
	want := []string{
		"insert public.people - -> " + first, "update public.people " + first + " -> " + second, "update public.people " + second + " -> " + third,
		"update public.people " + third + " -> " + last, "delete public.people " + last + " -> -",
		"insert public.parts_eu - -> " + part(1, "eu", plantedMasked), "insert public.parts_us_1 - -> " + part(2, "us", plantedMasked),
		"delete public.parts_eu " + part(1, "eu", plantedMasked) + " -> -", "insert public.parts_us_1 - -> " + part(1, "us", plantedMasked+"x"),
		`insert public.child - -> {"id":1,"phone":"****81e4","extra":"shown"}`,
		`update public.child {"id":1,"phone":"****81e4","extra":"shown"} -> {"id":1,"phone":"****-new","extra":"shown"}`,
		`insert public.parent - -> {"id":2,"phone":"****"}`,
		fmt.Sprintf(`insert public.sparse - -> {"id":"%s","big":"redacted","note":"shown"}`, one),
		fmt.Sprintf(`update public.sparse {"id":"%s"} -> {"id":"%[1]s","note":"shown twice"}`, one),
		fmt.Sprintf(`update public.sparse {"id":"%s"} -> {"id":"%s","note":"shown twice"}`, one, two),
		"insert public.wide - -> -",
	}
	var got []string
	for _, r := range tr.ordered(t) {
		if r.Op == "truncate" {
			continue
		}
		got = append(got, summary(r))
		if key := string(r.Key); strings.Contains(key, `"id":"`) && r.RecordKey != key {
			t.Errorf("record key %s, key %s", r.RecordKey, key)
		}
		for _, missing := range r.Missing {
			if r.Table == "sparse" && missing != "big" && missing != "note" {
				t.Errorf("%s is missing of %s", missing, summary(r))
			}
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d records, want %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("\ngot  %s\nwant %s", got[i], want[i])
		}
	}
	tr.expectNamed(t)
}

// expectNamed holds each record's masked.
func (tr *trail) expectNamed(t *testing.T) {
	t.Helper()
	want := map[string]string{
		"people":   `{"id":"hash","ssn":"redact","card":"last4","doc":"null-marker","big":"redact","tags":"hash","p":"redact","raw":"redact","Odd.Name":"last4"}`,
		"parts_eu": `{"email":"hash"}`, "parts_us_1": `{"email":"hash"}`, "parent": `{"phone":"last4"}`, "child": `{"phone":"last4"}`,
		"sparse": `{"id":"hash","big":"redact"}`, "wide": `{"ssn":"hash"}`,
	}
	for _, p := range tr.topics(t) {
		for _, raw := range p.Records {
			var r struct {
				Op, Table        string
				Masked, Oversize json.RawMessage
			}
			if json.Unmarshal(raw.Value, &r) != nil || r.Op != "insert" && r.Op != "update" && r.Op != "delete" {
				continue
			}
			if string(r.Masked) != want[r.Table] {
				t.Errorf("%s of %s: masked is %s, want %s", r.Op, r.Table, r.Masked, want[r.Table])
			}
			if (r.Table == "wide") != (r.Oversize != nil) {
				t.Errorf("%s of %s: oversize is %s", r.Op, r.Table, r.Oversize)
			}
		}
	}
}
