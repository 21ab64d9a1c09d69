package decode_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"pgwitness/decode"
)

// control gives the members of the record that a message of the event triggers becomes, between id and actor.
func control(t *testing.T, source decode.Source, prefix, content string) string {
	t.Helper()
	d := decode.NewDecoder(source, &catalogue{})
	var records []*decode.Record
	for _, data := range [][]byte{begin(0x1000), logical(1, 0x800, prefix, content), commit(0x1000)} {
		if _, err := d.Decode(t.Context(), decode.Message{LSN: 0x900, Data: data}, func(r *decode.Record) error {
			records = append(records, keptRecord(r))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if len(records) != 1 || records[0].Target != decode.Control || records[0].Key != nil || records[0].Root != nil || records[0].ID.Ordinal != 1 {
		t.Fatalf("%s %s: %+v", prefix, content, records)
	}
	readSchema(t).holds(t, records[0].Value)
	_, members, _ := bytes.Cut(records[0].Value, []byte(`-1",`))
	members, _, _ = bytes.Cut(members, []byte(`,"actor":`))
	return string(members)
}

// TestDefinitions: what the event triggers write of a statement is a record of the control topic, in one form.
func TestDefinitions(t *testing.T) {
	for _, c := range []struct{ prefix, content, want string }{
		{"rewrite", `{"op": "baseline_broken", "table": "t", "reason": "rewrite", "schema": "public", "command": "ALTER TABLE", "rewrite": ["default", "type"]}`,
			`"op":"baseline_broken","schema":"public","table":"t","key":null,"command":"ALTER TABLE","reason":"rewrite","rewrite":["default","type"]`},
		{"ddl", `{"op": "baseline_broken", "root": {"table": "p", "schema": "s"}, "table": "p<&>\"1\"", "reason": "columns", "schema": "ш", "columns": {"added": ["a"], "filled": ["b", "c"], "dropped": ["d"], "renamed": [{"now": "f", "was": "e"}], "retyped": ["g\u0001"]}, "command": "ALTER TABLE"}`,
			`"op":"baseline_broken","schema":"ш","table":"p<&>\"1\"","root":{"schema":"s","table":"p"},"key":null,"command":"ALTER TABLE","reason":"columns","columns":{"added":["a"],"filled":["b","c"],"dropped":["d"],"renamed":[{"was":"e","now":"f"}],"retyped":["g\u0001"]}`},
		{"ddl", `{"op": "baseline_broken", "type": {"name": "mood", "schema": "public"}, "table": "u", "reason": "type", "schema": "public", "command": "ALTER TYPE"}`,
			`"op":"baseline_broken","schema":"public","table":"u","key":null,"command":"ALTER TYPE","reason":"type","type":{"schema":"public","name":"mood"}`},
		{"ddl", `{"op": "baseline_broken", "from": {"root": {"table": "p", "schema": "s"}, "table": "l", "schema": "s"}, "table": "l", "reason": "partition", "schema": "s", "command": "ALTER TABLE"}`,
			`"op":"baseline_broken","schema":"s","table":"l","key":null,"command":"ALTER TABLE","reason":"partition","from":{"schema":"s","table":"l","root":{"schema":"s","table":"p"}}`},
		{"ddl", `{"op": "identity", "table": "t", "schema": "public", "command": "ALTER TABLE", "identity": "default", "was_identity": "full"}`,
			`"op":"identity","schema":"public","table":"t","identity":"default","key":null,"command":"ALTER TABLE","was_identity":"full"`},
		{"ddl", `{"op": "identity", "table": "t", "schema": "public", "command": "CREATE TABLE", "identity": "nothing"}`,
			`"op":"identity","schema":"public","table":"t","identity":"nothing","key":null,"command":"CREATE TABLE"`},
		{"ddl", `{"op": "publication", "table": "t", "schema": "public", "command": "DROP TABLE", "publication": {"name": "p", "change": "left"}}`,
			`"op":"publication","schema":"public","table":"t","key":null,"command":"DROP TABLE","publication":{"name":"p","change":"left"}`},
		{"ddl", `{"op": "publication", "table": "t", "schema": "public", "command": "ALTER PUBLICATION", "publication": {"name": "p", "change": "changed", "row_filter": true, "column_list": false}}`,
			`"op":"publication","schema":"public","table":"t","key":null,"command":"ALTER PUBLICATION","publication":{"name":"p","change":"changed","row_filter":true,"column_list":false}`},
		{"ddl", `{"op": "publication", "schema": "s", "command": "ALTER PUBLICATION", "publication": {"name": "p", "change": "left"}}`,
			`"op":"publication","schema":"s","key":null,"command":"ALTER PUBLICATION","publication":{"name":"p","change":"left"}`},
		{"ddl", `{"op": "publication", "command": "DROP PUBLICATION", "publication": {"was": {"delete": true, "insert": true, "update": true, "truncate": false, "via_root": false, "generated": false, "all_tables": true}, "name": "p", "change": "dropped"}}`,
			`"op":"publication","key":null,"command":"DROP PUBLICATION","publication":{"name":"p","change":"dropped","was":{"insert":true,"update":true,"delete":true,"truncate":false,"via_root":false,"all_tables":true,"generated":false}}`},
		{"ddl", `{"op": "privilege", "command": "GRANT", "privilege": {"public": true, "function": "pg_logical_emit_message"}}`,
			`"op":"privilege","key":null,"command":"GRANT","privilege":{"function":"pg_logical_emit_message","public":true}`},
		{"ddl", `{"op": "unexamined", "command": "DROP OWNED", "sqlstate": "XX000"}`, `"op":"unexamined","key":null,"command":"DROP OWNED","sqlstate":"XX000"`},
	} {
		if got := control(t, origin, "pgwitness."+c.prefix, c.content); got != c.want {
			t.Errorf("\n got %s\nwant %s", got, c.want)
		}
	}
}

// TestUnverified: what our functions cannot have written is recorded and not believed, and stops nothing.
func TestUnverified(t *testing.T) {
	const sound = `{"op":"identity","table":"t","schema":"s","command":"ALTER TABLE","identity":"full"}`
	for _, content := range []string{
		``, `{}`, `[]`, `null`, `"x"`, `{"op":"identity"`, sound + sound, sound + `x`, `{"op":"insert","schema":"s","table":"t","command":"X"}`,
		strings.Replace(sound, `"full"`, `"f"`, 1), strings.Replace(sound, `"t"`, `""`, 1), strings.Replace(sound, `"t"`, `1`, 1),
		strings.Replace(sound, `ALTER TABLE`, `x`, 1), strings.Replace(sound, `"s"`, `"s","state":{}`, 1), strings.Replace(sound, `"s"`, `"s","key":{}`, 1),
		strings.Replace(sound, `"s"`, `"s","was_identity":"x"`, 1), strings.Replace(sound, `"s"`, `"s","root":{"schema":"s"}`, 1),
		strings.Replace(sound, `"s"`, `"s","root":{"schema":"s","table":"t","root":{"schema":"s","table":"t"}}`, 1),
		`{"op":"baseline_broken","schema":"s","table":"t","command":"X"}`, `{"op":"baseline_broken","schema":"s","table":"t","command":"X","reason":"bad luck"}`,
		`{"op":"baseline_broken","schema":"s","table":"t","command":"X","reason":"rewrite","rewrite":["type"]}`, // under the wrong prefix
		`{"op":"baseline_broken","schema":"s","table":"t","command":"X","reason":"columns"}`, `{"op":"baseline_broken","schema":"s","table":"t","command":"X","reason":"type"}`,
		`{"op":"baseline_broken","schema":"s","table":"t","command":"X","reason":"renamed"}`,
		`{"op":"publication","command":"X"}`, `{"op":"publication","command":"X","publication":{"name":"p","change":"joined"}}`,
		`{"op":"publication","schema":"s","command":"X","publication":{"name":"p","change":"changed"}}`,
		`{"op":"privilege","command":"X"}`, `{"op":"unexamined","command":"X","sqlstate":"1"}`,
	} {
		var quoted []byte
		want := `"op":"unverified","key":null,"message":{"prefix":"pgwitness.ddl","transactional":true,"content":`
		for _, c := range content {
			if c == '"' {
				quoted = append(quoted, '\\')
			}
			quoted = append(quoted, byte(c))
		}
		want += `"` + string(quoted) + `"}`
		if got := control(t, origin, "pgwitness.ddl", content); got != want {
			t.Errorf("\n got %s\nwant %s", got, want)
		}
	}
	if got := control(t, origin, "pgwitness.rewrite", sound); !strings.Contains(got, `"op":"unverified"`) {
		t.Error("a definition under the prefix of rewrites is believed")
	}
	if got := control(t, origin, "pgwitness.ddl", "\xff"); !strings.Contains(got, `"content_hex":"ff"`) {
		t.Error(got)
	}
	for _, size := range []int{2 << 10, 1 << 20} {
		large := strings.Replace(sound, `"t"`, `"`+strings.Repeat("t", size)+`"`, 1)
		got := control(t, origin, "pgwitness.ddl", large)
		if believed := size < 256<<10; believed != strings.Contains(got, `"op":"identity"`) || !believed && len(got) > 200 {
			t.Errorf("%d bytes: %.300s", size, got)
		}
		large = "x" + large
		if got = control(t, origin, "pgwitness.ddl", large); !strings.HasSuffix(got, fmt.Sprintf(`"transactional":true,"bytes":%d}`, len(large))) {
			t.Errorf("%d bytes: %.300s", size, got)
		}
	}
}

// TestLooseDefinition: our functions write transactional messages only.
func TestLooseDefinition(t *testing.T) {
	d := decode.NewDecoder(origin, &catalogue{})
	mark, err := d.Decode(t.Context(), decode.Message{LSN: 0x900, Data: logical(0, 0x900, "pgwitness.ddl",
		`{"op":"identity","table":"t","schema":"s","command":"ALTER TABLE","identity":"full"}`)}, func(r *decode.Record) error {
		readSchema(t).holds(t, r.Value)
		if r.Target != decode.Control || !bytes.Contains(r.Value, []byte(`"op":"unverified","key":null,"message":{"prefix":"pgwitness.ddl","transactional":false`)) {
			t.Errorf("%s", r.Value)
		}
		return nil
	})
	if mark != 0x900 || err != nil {
		t.Error(mark, err)
	}
}

// TestDefinitionOfOtherEncoding: the server sends messages in the database's encoding.
func TestDefinitionOfOtherEncoding(t *testing.T) {
	source := origin
	source.Encoding, source.Charset = "LATIN1", latin1{new(int), nil}
	const content = "{\"op\":\"identity\",\"table\":\"caf\xe9\",\"schema\":\"s\",\"command\":\"ALTER TABLE\",\"identity\":\"full\"}"
	if got := control(t, source, "pgwitness.ddl", content); !strings.Contains(got, `"table":"café"`) {
		t.Error(got)
	}
}
