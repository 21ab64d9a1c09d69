package decode_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pglogrepl"

	"pgwitness/decode"
)

var (
	alice = &decode.Session{User: "alice", PID: 4711, Start: 1795375828123456, Application: "psql", Client: "10.1.2.3:51234", BackendType: "client backend", Database: "shop"}
	bob   = &decode.Session{User: "bob", PID: 4711 + 64, Client: "local"} // in alice's place of the roster
	held  = &decode.Actor{Evidence: decode.EvidenceHold, Session: alice}
	seen  = &decode.Actor{Evidence: decode.EvidenceSample, Session: alice}
)

const asAlice = `"user":"alice","application":"psql","client":"10.1.2.3:51234","pid":4711,"session_start":"2026-11-22T19:30:28.123456Z","backend_type":"client backend"`

// An attributed is what a record says of who made it.
type attributed struct{ evidence, actor string }

// attribution feeds a transaction after its Begin with that actor, and gives what its records say, in order.
func attribution(t *testing.T, d *decode.Decoder, actor *decode.Actor, messages ...[]byte) (list []attributed) {
	t.Helper()
	s := readSchema(t)
	for i, data := range slices.Concat([][]byte{begin(0x1000)}, messages, [][]byte{commit(0x1000)}) {
		m := decode.Message{LSN: 0x900, Data: bytes.Clone(data)}
		if i == 0 {
			m.Actor = actor
		}
		if _, err := d.Decode(t.Context(), m, func(r *decode.Record) error {
			s.holds(t, r.Value)
			list = append(list, attributed{r.Evidence, actorOf(r.Value)})
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		for i := range m.Data { // it was borrowed
			m.Data[i] = 0xA5
		}
	}
	return list
}

// actorOf cuts the actor out of a record, but for its braces.
func actorOf(value []byte) string {
	_, rest, _ := strings.Cut(string(value), `,"actor":{`)
	actor, _, _ := strings.Cut(rest, `},"tx":{`)
	return actor
}

// TestActor shows who made the transaction, as the Begin's actor says.
func TestActor(t *testing.T) {
	d := decode.NewDecoder(origin, &catalogue{})
	for _, test := range []struct {
		actor *decode.Actor
		want  string
	}{
		{nil, `"evidence":"none","reason":"no hold, not seen by sampling"`},
		{&decode.Actor{Evidence: "none", Reason: "not \"waiting\""}, `"evidence":"none","reason":"not \"waiting\""`},
		{held, `"evidence":"hold",` + asAlice},
		{&decode.Actor{Evidence: "hold", Session: bob}, `"evidence":"hold","user":"bob","client":"local","pid":4775`},
		{held, `"evidence":"hold",` + asAlice},
		{seen, `"evidence":"sample",` + asAlice},
		{&decode.Actor{Evidence: "hold", Session: &decode.Session{User: alice.User, PID: alice.PID}}, `"evidence":"hold","user":"alice","pid":4711`},
		{&decode.Actor{Evidence: "hold", Session: &decode.Session{}}, `"evidence":"hold"`},
		{&decode.Actor{Evidence: "hold", Session: &decode.Session{User: "ü\"\n", PID: 1, Application: "a\xff", BackendType: "logical replication worker", Database: "other"}},
			`"evidence":"hold","user":"ü\"\n","application":"\\x61ff","pid":1,"backend_type":"logical replication worker","database":"other"`},
		{&decode.Actor{Evidence: "hold", Session: alice, GID: "g\"1", Committer: bob},
			`"evidence":"hold",` + asAlice + `,"gid":"g\"1","committer":{"user":"bob","client":"local","pid":4775}`},
		{&decode.Actor{Evidence: "hold", Session: alice, GID: "g", Committer: alice}, `"evidence":"hold",` + asAlice + `,"gid":"g","committer":{` + asAlice + `}`},
		{&decode.Actor{Evidence: "hold", Session: alice, GID: "g"}, `"evidence":"hold",` + asAlice + `,"gid":"g"`},
		{&decode.Actor{Evidence: "none", Reason: "prepared before the witness began", GID: "g", Committer: &decode.Session{}},
			`"evidence":"none","reason":"prepared before the witness began","gid":"g","committer":{}`},
	} {
		evidence := "none"
		if test.actor != nil {
			evidence = test.actor.Evidence
		}
		got := attribution(t, d, test.actor, logical(1, 0x800, "a", ""), logical(1, 0x810, "a", ""))
		if want := (attributed{evidence, test.want}); !slices.Equal(got, []attributed{want, want}) {
			t.Errorf("got  %q\nwant %q twice", got, want)
		}
	}
}

// TestImpossibleActor stops at what nobody can know.
func TestImpossibleActor(t *testing.T) {
	d := decode.NewDecoder(origin, &catalogue{})
	for _, a := range []*decode.Actor{{}, {Evidence: "hold"}, {Evidence: "sample"}, {Evidence: "none", Session: alice},
		{Evidence: "context", Session: alice}, {Evidence: "context-unverified"}, {Evidence: "guess", Session: alice}} {
		_, err := d.Decode(t.Context(), decode.Message{Data: begin(0x1000), Actor: a}, discard)
		if err == nil || !strings.Contains(err.Error(), "evidence") || strings.Contains(err.Error(), "alice") || !d.Between() {
			t.Errorf("%+v: %v", a, err)
		}
	}
}

// TestLooseActor: a message that belongs to no transaction has no Begin that could say who wrote it.
func TestLooseActor(t *testing.T) {
	d := decode.NewDecoder(origin, &catalogue{})
	for _, prefix := range []string{"app", "pgwitness"} {
		var got []attributed
		for _, data := range [][]byte{begin(0x1000), logical(0, 0x820, prefix, aContext), commit(0x1000), logical(0, 0x2000, prefix, aContext)} {
			if _, err := d.Decode(t.Context(), decode.Message{LSN: 0x900, Data: data, Actor: held}, func(r *decode.Record) error {
				readSchema(t).holds(t, r.Value)
				if own := r.Target == decode.Control; own != (prefix == "pgwitness") || own != bytes.Contains(r.Value, []byte(`"op":"unverified"`)) {
					t.Errorf("%s in %v", r.Value, r.Target)
				}
				got = append(got, attributed{r.Evidence, actorOf(r.Value)})
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		want := attributed{"none", `"evidence":"none","reason":"not transactional"`}
		if !slices.Equal(got, []attributed{want, want}) {
			t.Errorf("%q", got)
		}
	}
}

// TestEvidence holds each rule of what a change is attributed to: the Begin's actor, a context, and whether that can be
// forged.
func TestEvidence(t *testing.T) {
	const (
		facts    = `"user":"alice","application":"psql","client":"10.1.2.3:51234","pid":4711`
		words    = `,"context":{"user_id": "u_42"}`
		mallory  = `{"v": 1, "user": "mallory", "pid": 4711, "application": "x", "client": null, "context": null}`
		otherPID = `{"v": 1, "user": "alice", "pid": 7, "application": "x", "client": null, "context": {}}`
		both     = `{"v": 1, "user": "m\u00e4l\"", "pid": 7, "application": "", "client": "[::1]:5", "context": null}`
	)
	none := &decode.Actor{Evidence: "none", Reason: "look-up failed"}
	for _, test := range []struct {
		name        string
		actor       *decode.Actor
		unforgeable bool
		context     string
		want        attributed
	}{
		{"hold", held, true, aContext, attributed{"hold", `"evidence":"hold",` + asAlice + words}},
		{"hold, forgeable", held, false, aContext, attributed{"hold", `"evidence":"hold",` + asAlice + words}},
		{"hold, another user", held, true, mallory, attributed{"hold", `"evidence":"hold",` + asAlice + `,"conflict":{"user":"mallory"}`}},
		{"hold, another process", held, false, otherPID, attributed{"hold", `"evidence":"hold",` + asAlice + `,"context":{},"conflict":{"pid":7}`}},
		{"hold, both", held, true, both, attributed{"hold", `"evidence":"hold",` + asAlice + `,"conflict":{"user":"mäl\"","pid":7}`}},
		{"hold of an unknown session", &decode.Actor{Evidence: "hold", Session: &decode.Session{Application: "y"}}, true, both, attributed{"hold", `"evidence":"hold","application":"y"`}},
		{"prepared", &decode.Actor{Evidence: "hold", Session: alice, GID: "g", Committer: bob}, true, otherPID,
			attributed{"hold", `"evidence":"hold",` + asAlice + `,"gid":"g","committer":{"user":"bob","client":"local","pid":4775},"context":{},"conflict":{"pid":7}`}},
		{"context", nil, true, aContext, attributed{"context", `"evidence":"context",` + facts + words}},
		{"context, looked up in vain", none, true, aContext, attributed{"context", `"evidence":"context",` + facts + words}},
		{"context without words", none, true, mallory, attributed{"context", `"evidence":"context","user":"mallory","application":"x","client":"local","pid":4711`}},
		{"context before sample", seen, true, aContext, attributed{"context", `"evidence":"context",` + facts + words}},
		{"context, other sample", seen, true, both, attributed{"context", `"evidence":"context","user":"mäl\"","client":"[::1]:5","pid":7,"conflict":{"user":"alice","pid":4711}`}},
		{"context, prepared", &decode.Actor{Evidence: "none", Reason: "x", GID: "g"}, true, mallory,
			attributed{"context", `"evidence":"context","user":"mallory","application":"x","client":"local","pid":4711,"gid":"g"`}},
		{"sample, forgeable", seen, false, aContext, attributed{"sample", `"evidence":"sample",` + asAlice + words}},
		{"sample, forgeable, other", seen, false, both, attributed{"sample", `"evidence":"sample",` + asAlice + `,"conflict":{"user":"mäl\"","pid":7}`}},
		{"unverified", nil, false, aContext, attributed{"context-unverified", `"evidence":"context-unverified",` + facts + words}},
		{"unverified, looked up in vain", none, false, mallory, attributed{"context-unverified", `"evidence":"context-unverified","user":"mallory","application":"x","client":"local","pid":4711`}},
	} {
		source := origin
		source.Unforgeable = func(message pglogrepl.LSN) bool { return message == 0x800 && test.unforgeable }
		d := decode.NewDecoder(source, &catalogue{})
		got := attribution(t, d, test.actor, logical(1, 0x800, "pgwitness", test.context), logical(1, 0x810, "a", ""))
		if !slices.Equal(got, []attributed{test.want}) {
			t.Errorf("%s:\ngot  %q\nwant %q", test.name, got, test.want)
		}
	}
}

// TestUnsealed tells the source of each statement of the stream that changes who may write messages, before what comes
// after it is judged.
func TestUnsealed(t *testing.T) {
	grant := func(public string) []byte {
		return logical(1, 0x800, "pgwitness.ddl", `{"op":"privilege","command":"GRANT","privilege":{"public":`+public+`,"function":"pg_logical_emit_message"}}`)
	}
	source, sealed := origin, true
	source.Unforgeable = func(pglogrepl.LSN) bool { return sealed }
	source.Unsealed = func(pglogrepl.LSN) { sealed = false }
	d := decode.NewDecoder(source, &catalogue{})
	said, row := logical(1, 0x800, "pgwitness", aContext), logical(1, 0x810, "a", "")
	for i, test := range []struct {
		messages [][]byte
		want     []string
	}{
		{[][]byte{said, row}, []string{"context"}},
		{[][]byte{logical(1, 0x800, "pgwitness.ddl", `{"op":"privilege"}`), said, row}, []string{"none", "context"}},
		{[][]byte{said, row, grant("true"), row, said, row}, []string{"context", "context", "context", "context-unverified"}},
		{[][]byte{grant("false"), said, row}, []string{"none", "context-unverified"}},
	} {
		var got []string
		for _, a := range attribution(t, d, nil, test.messages...) {
			got = append(got, a.evidence)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%d: %q, want %q", i, got, test.want)
		}
	}
}
