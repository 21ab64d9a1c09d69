//go:build integration

package integration

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgwitness/integration/rebuild"
	"pgwitness/integration/servers"
	"pgwitness/integration/topics"
)

// An encoding is a database's, with text that it can hold.
type encoding struct {
	name string
	text string   // that UTF-8 has as well
	bad  []string // bytes, in hex, that it holds and UTF-8 has not
}

var encodings = []encoding{
	{"SQL_ASCII", `é漢€𝄞 "q"\`, []string{"ff", "e9", "e6bc", "eda080", "f4908080", "41c3", "5c22e9"}},
	{"LATIN1", `éüß×ÿ¡ "q"\`, nil},
	{"WIN1252", `é€œ™ž "q"\`, []string{"81", "8d", "41905c22", "e981"}},
	{"EUC_JP", `漢字かな、ﾊﾝ "q"\`, []string{"a9a1", "41a9a122", "b4c1a9a1"}},
}

// TestEncodings: whatever a database is encoded in, a record is UTF-8. Text that can be converted reads as a UTF8 client
// reads it; what cannot is kept, byte for byte, as hex; the slot never sticks.
func TestEncodings(t *testing.T) {
	for i, e := range encodings {
		version := servers.Versions[i%len(servers.Versions)]
		for _, version := range slices.Compact([]int{version, 18}) {
			t.Run(fmt.Sprintf("%s on %d", e.name, version), func(t *testing.T) { inEncoding(t, e, version) })
		}
	}
}

// asUTF8: pgx talks UTF-8, and leaves it to the server what it takes it for.
const asUTF8 = "set client_encoding = 'UTF8'"

func inEncoding(t *testing.T, e encoding, version int) {
	tr := newTrailIn(t, e.name, version)

	letter := string([]rune(e.text)[0])
	ident, text := quoteIdent(e.text), quoteLiteral(e.text)
	tr.Exec(t, asUTF8, "create extension hstore", "create extension citext",
		"create type e as enum ("+text+", 'x')", `create type c as (`+ident+` text, n int, "`+letter+`s" text[])`, "create domain d as text",
		fmt.Sprintf(`create table %s (%s text primary key, t text, v varchar(30), c char(20), n name, j json, jb jsonb, a text[], r c, rs c[], e e, es e[], d d, h hstore, ci citext, x xml, ts tsvector, g tstzrange)`, ident, ident),
		"create table bad (id text primary key, fine text, a text[], r c, j json, n int)", "create schema "+ident, "create table "+ident+"."+ident+" (n int)")
	tr.setup(t, "*.*")
	all := quoteIdent("public") + "." + ident
	value := fmt.Sprintf(`(%[2]s || n, %[2]s, %[2]s, %[2]s, %[2]s, %[3]s::json, %[3]s::jsonb, array[%[2]s, null, 'x'], row(%[2]s, 1, array[%[2]s])::c, array[row(%[2]s, null, '{}')::c], %[2]s::e, array[%[2]s, 'x']::e[],
		%[2]s, hstore(%[2]s, %[2]s), %[2]s::citext, '<%[1]s/>'::xml, array_to_tsvector(array[%[2]s]), null::tstzrange)`, letter, text, quoteLiteral(`{ "`+letter+`" : "`+strings.ReplaceAll(strings.ReplaceAll(e.text, `\`, `\\`), `"`, `\"`)+`" }`))
	if letter == "é" && e.name == "SQL_ASCII" {
		value = strings.Replace(value, "'<é/>'::xml", "'<x/>'::xml", 1) // libxml takes the document for UTF-8 in this encoding
	}
	tr.Exec(t, asUTF8, "insert into "+all+" select r.* from generate_series(1, 3) n, lateral (values "+value+") r", "update "+all+" set v = '', a = a || a where right("+ident+", 1) = '2'",
		"update "+all+" set "+ident+" = 'k' || "+ident, "delete from "+all+" where right("+ident+", 1) = '3'", "insert into "+ident+"."+ident+" values (1)", "truncate "+ident+"."+ident,
		"select pg_logical_emit_message(true, "+text+", "+text+")")
	for i, raw := range e.bad {
		bytes := fmt.Sprintf("convert_from('\\x%s', '%s')", raw, e.name)
		tr.Exec(t, asUTF8, fmt.Sprintf("insert into bad values (%[2]s || %[1]d, %[3]s, array['x', %[2]s], row(%[2]s, 1, null), ('\"' || replace(replace(%[2]s, '\\', '.'), '\"', '.') || '\"')::json, 1)", i, bytes, text),
			fmt.Sprintf("update bad set n = 2, a = null where id = %s || %d", bytes, i), fmt.Sprintf("update bad set id = id || '!' where id = %s || %d", bytes, i))
	}
	tr.catchUp(t, time.Minute)

	entries := tr.entries(t)
	good := slices.DeleteFunc(slices.Clone(entries), func(r *entry) bool { return r.Table == "bad" })
	for _, r := range good {
		if r.Encoding != nil || r.Opaque != nil || r.Missing != nil {
			t.Errorf("not all of it was converted: %s", r.value)
		}
		if r.Op != "message" && r.Table != e.text {
			t.Errorf("the table is called %q", r.Table)
		}
	}
	if len(good) != 3+1+3+1+3 {
		t.Errorf("%d records", len(good))
	}
	records, err := rebuild.Read(t.Context(), tr.reader, tr.prefix)
	if err != nil {
		t.Fatal(err)
	}
	for _, by := range []rebuild.Teller{rebuild.ByWorkload, rebuild.ByTrail} {
		tr.replay(t, records, by, func(n rebuild.Name) bool { return n.Table == "bad" }) // a UTF-8 session cannot read it
	}
	expectBad(t, tr, e, entries)
}

// newTrailIn makes a database of an encoding.
func newTrailIn(t *testing.T, encoding string, version int) *trail {
	t.Helper()
	p, k := servers.SharedPostgres(t, version), servers.SharedKafka(t)
	tr := &trail{kafka: k, reader: topics.NewReader(k.Bootstrap()), prefix: servers.Unique("p"), slot: servers.Unique("w")}
	t.Cleanup(tr.reader.Close)
	t.Cleanup(func() { dropRole(t, p, tr.slot) })
	tr.Database = p.NewDatabaseWith(t, "encoding '"+encoding+"' locale 'C' template template0")
	return tr
}

// expectBad holds the records of the table bad against the bytes that are in it.
func expectBad(t *testing.T, tr *trail, e encoding, entries []*entry) {
	t.Helper()
	found := 0
	for _, r := range entries {
		if r.Table != "bad" {
			continue
		}
		raw, _ := hex.DecodeString(e.bad[found/3])
		suffix := fmt.Sprint(found / 3)
		image := r.After
		row, err := rebuild.ParseRow(string(image))
		if err != nil {
			t.Fatal(err)
		}
		id := string(raw) + suffix
		if found%3 == 2 {
			id += "!"
		}
		got, _ := row.Get("id")
		fine, _ := row.Get("fine")
		if want := fmt.Sprintf(`"\\x%x"`, id); got != want {
			t.Errorf("id is %s, want %s", got, want)
		}
		if r.Encoding == nil || r.Encoding.Charset != e.name || !slices.Contains(r.Encoding.Hex, "id") || !slices.Contains(r.Encoding.Hex, "j") || slices.Contains(r.Encoding.Hex, "fine") {
			t.Errorf("encoding is %+v: %s", r.Encoding, r.value)
		}
		if !strings.Contains(fine, strings.ReplaceAll(strings.ReplaceAll(e.text, `\`, `\\`), `"`, `\"`)) {
			t.Errorf("fine is %s", fine)
		}
		found++
	}
	if found != 3*len(e.bad) {
		t.Errorf("%d records of bad", found)
	}
}

// TestNamesThatAreNoText: in SQL_ASCII the names of tables, columns, types, labels and attributes may be any bytes.
func TestNamesThatAreNoText(t *testing.T) {
	tr := newTrailIn(t, "SQL_ASCII", 18)
	tr.Exec(t, "create table parts (id int primary key) partition by list (id)")
	tr.setup(t, "*.*")
	tr.Exec(t, `do $do$ declare odd text := convert_from('\xe922', 'SQL_ASCII'); begin
		execute format('create schema %I', odd);
		execute format('create type %1$I as enum (%1$L)', odd);
		execute format('create type attributes as (%I int, plain int)', odd);
		execute format('create table %1$I.%1$I (%1$I int primary key, label public.%1$I, v attributes)', odd);
		execute format('create table %I partition of parts default', odd || 'p');
		execute format('alter table %1$I.%1$I replica identity full', odd);
		execute format('alter publication `+tr.slot+` add table %1$I.%1$I', odd);
	end $do$`)
	tr.Exec(t, `do $do$ declare odd text := convert_from('\xe922', 'SQL_ASCII'); begin
		execute format('insert into %1$I.%1$I values (1, %1$L, row(2, 3))', odd);
		execute format('update %1$I.%1$I set %1$I = 2', odd);
		perform pg_logical_emit_message(true, odd, odd);
		insert into parts values (1);
	end $do$`)
	tr.catchUp(t, time.Minute)
	var got []string
	for _, e := range tr.entries(t) {
		got = append(got, e.Schema+" "+line(e))
	}
	want := []string{
		`\xe922 insert \xe922 key {"\\xe922":1} after {"\\xe922":1,"label":"\\xe922","v":{"\\xe922":2,"plain":3}}`,
		`\xe922 update \xe922 key {"\\xe922":1} before {"\\xe922":1,"label":"\\xe922","v":{"\\xe922":2,"plain":3}} after {"\\xe922":2,"label":"\\xe922","v":{"\\xe922":2,"plain":3}} changed \xe922`,
		` message hex e922`, `public insert \xe92270 key {"id":1} after {"id":1}`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("\n got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}
