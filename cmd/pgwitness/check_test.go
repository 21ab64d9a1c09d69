package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
)

// texts lists the findings of a state, "name: message" each.
func (f findings) texts(l state) string {
	var lines []string
	for _, one := range f {
		if one.State == l {
			lines = append(lines, one.title()+": "+one.Message)
		}
	}
	return strings.Join(lines, "\n")
}

// expect compares the findings of a state with what each line has to contain.
func expect(t *testing.T, f findings, l state, want ...string) {
	t.Helper()
	var got []string
	if text := f.texts(l); text != "" {
		got = strings.Split(text, "\n")
	}
	if len(got) != len(want) {
		t.Errorf("%s: %d findings, want %d:\n%s", l, len(got), len(want), strings.Join(got, "\n"))
		return
	}
	for i := range want {
		if !strings.Contains(got[i], want[i]) {
			t.Errorf("%s: %s\nwant %s", l, got[i], want[i])
		}
	}
}

// published is a survey whose tables are all published.
func published(version int, tables ...*table) *survey {
	s := &survey{version: version, database: "shop", tables: tables,
		publication: &publication{insert: true, update: true, delete: true, truncate: true}}
	for i, t := range tables {
		t.oid, t.listed, t.persistence = uint32(i+1), true, "p"
		if t.kind == "" {
			t.kind = "r"
		}
		if t.identity == "" {
			t.identity = "f"
		}
	}
	s.link()
	return s
}

func TestCheckIdentities(t *testing.T) {
	s := published(180000,
		&table{schema: "s", name: "full"},
		&table{schema: "s", name: "keyed", identity: "d", primaryKey: true},
		&table{schema: "s", name: "keyless", identity: "d"},
		&table{schema: "s", name: "nothing", identity: "n", primaryKey: true},
		&table{schema: "s", name: "indexed", identity: "i", identityIndex: true},
		&table{schema: "s", name: "index_gone", identity: "i"},
		&table{schema: "s", name: "parent", identity: "d", kind: "p"},
		&table{schema: "s", name: "stored", stored: []string{"g"}},
		&table{schema: "s", name: "virtual", virtual: []string{"g"}},
		&table{schema: "s", name: "virtual_keyed", identity: "d", primaryKey: true, virtual: []string{"g"}},
		&table{schema: "s", name: "elsewhere", publishedElsewhere: "other"},
	)
	var f findings
	f.tables(s, defaultConfig())
	expect(t, f, stateOK, "full (published tables: 1)", "row-filters: none", "column-lists: none", "unpublished-tables: none", "unlogged-tables: none", "foreign-tables: none")
	expect(t, f, stateWarning, "s.keyed carries the key", "s.indexed carries the key")
	expect(t, f, stateWrong, "s.keyless has none", "s.nothing has none", "s.index_gone has none",
		"s.stored has a stored generated column that is not published", "s.virtual has a virtual generated column", "publication other leaves out")
	expect(t, f, stateNote, "s.virtual_keyed carries the key", "generated-columns: tables with columns that are not in the log (3): s.stored (g), s.virtual (g), s.virtual_keyed (g)")
	for _, one := range f {
		if (one.State == stateWrong || one.State == stateWarning) && one.Mend == "" {
			t.Errorf("nothing mends: %s", one.Message)
		}
	}
}

func TestCheckListsWhatIsNotCovered(t *testing.T) {
	s := shop(160000)
	var f findings
	f.tables(s, defaultConfig())
	expect(t, f, stateNote, `unpublished-tables: tables not in the trail (5): "My Schema"`,
		"unlogged-tables: tables that are not in the log and cannot be in the trail (1): public.scratch", "foreign-tables: foreign tables")
}

func TestCheckEventTriggers(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*triggerState)
		state  state
		want   string
	}{
		{"all there", func(*triggerState) {}, stateOK, "are told"},
		{"none", func(s *triggerState) { *s = triggerState{trusted: true} }, stateWarning, "none: rewritten tables"},
		{"disabled", func(s *triggerState) { s.enabled["pgwitness_ddl"] = false }, stateWarning, "pgwitness_ddl is disabled"},
		{"missing", func(s *triggerState) { delete(s.triggers, "pgwitness_drop") }, stateWarning, "pgwitness_drop is missing"},
		{"other functions", func(s *triggerState) { s.functions["look"] = "x" }, stateWarning, "not those of this version"},
		{"other tags", func(s *triggerState) { s.triggers["pgwitness_ddl"] = "x" }, stateWarning, "not those of this version"},
		{"another publication", func(s *triggerState) { s.publications = []string{"p"} }, stateWarning, "do not watch publication pgwitness"},
		{"switched off", func(s *triggerState) { s.off = true }, stateWarning, "event_triggers is off"},
		{"somebody else's", func(s *triggerState) { s.trusted = false }, stateWarning, "can be changed by others"},
	} {
		s := shop(180000)
		tt.change(&s.triggers)
		var f findings
		f.triggers(s, defaultConfig())
		got := f[slices.IndexFunc(f, func(one finding) bool { return strings.Contains(one.Message, tt.want) })]
		if got.State != tt.state || got.State != stateOK && got.Mend == "" {
			t.Errorf("%s: %+v", tt.name, f)
		}
	}
}

func TestCheckTopicNames(t *testing.T) {
	long := strings.Repeat("ü", 31) // 62 bytes, 186 characters of a topic's name
	for _, tt := range []struct {
		name     string
		tables   []*table
		names    map[string]string
		leaf     bool
		existing []string
		want     []string
	}{
		{name: "ordinary", tables: []*table{{schema: "a", name: "b"}, {schema: "A", name: "b"}}},
		{name: "dot and underscore", tables: []*table{{schema: "a_b", name: "c"}, {schema: "a", name: "b_c"}},
			want: []string{"topic pgwitness.a_b.c of table a_b.c collides with pgwitness.a.b_c"}},
		{name: "mended", tables: []*table{{schema: "a_b", name: "c"}, {schema: "a", name: "b_c"}}, names: map[string]string{"a_b.c": "audit.abc"}},
		{name: "too long", tables: []*table{{schema: long, name: long}}, want: []string{"Kafka allows 249"}},
		{name: "shared", tables: []*table{{schema: "a", name: "b"}, {schema: "a", name: "c"}}, names: map[string]string{"a.b": "x", "a.c": "x"},
			want: []string{"table a.b and table a.c would share topic x"}},
		{name: "shared with a service stream", tables: []*table{{schema: "a", name: "b"}}, names: map[string]string{"a.b": "pgwitness.control"},
			want: []string{"table a.b and the control stream would share topic pgwitness.control"}},
		{name: "somebody else's topic", tables: []*table{{schema: "a", name: "b_c"}}, existing: []string{"pgwitness_a_b_c"},
			want: []string{"collides with pgwitness_a_b_c"}},
		{name: "our own topic", tables: []*table{{schema: "a", name: "b_c"}}, existing: []string{"pgwitness.a.b_c"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := defaultConfig()
			cfg.Topics.Names = tt.names
			existing := map[string]kafka.Topic{}
			for _, name := range tt.existing {
				existing[name] = kafka.Topic{Name: name}
			}
			var f findings
			f.topicNames(wantedTopics(cfg, published(150000, tt.tables...)), existing)
			expect(t, f, stateWrong, tt.want...)
		})
	}
}

// Partitions go to their root's topic, or each to its own.
func TestCheckTopicsOfPartitions(t *testing.T) {
	s := published(150000, &table{schema: "s", name: "parent", kind: "p"}, &table{schema: "s", name: "leaf1", parent: 1}, &table{schema: "s", name: "leaf2", parent: 1})
	for partitioned, want := range map[string]string{
		"root": "pgwitness.control pgwitness.message pgwitness.s.parent",
		"leaf": "pgwitness.control pgwitness.message pgwitness.s.leaf1 pgwitness.s.leaf2",
	} {
		cfg := defaultConfig()
		cfg.Topics.Partitioned = partitioned
		var names []string
		for _, w := range wantedTopics(cfg, s) {
			names = append(names, w.name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s: %s, want %s", partitioned, got, want)
		}
	}
}

func TestCheckTopicSettings(t *testing.T) {
	good := map[string]string{"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1", "min.insync.replicas": "2",
		"max.message.bytes": "8388608", "message.timestamp.type": "CreateTime", "unclean.leader.election.enable": "false",
		"message.timestamp.before.max.ms": "9223372036854775807", "message.timestamp.after.max.ms": "9223372036854775807"}
	topic := kafka.Topic{Name: "pgwitness.s.t", Partitions: []kafka.Partition{{Replicas: make([]kafka.Broker, 3)}}}
	for _, tt := range []struct {
		setting, value string
		state          state
	}{
		{"cleanup.policy", "compact", stateWarning},
		{"cleanup.policy", "compact,delete", stateWarning},
		{"retention.ms", "604800000", stateWarning},
		{"retention.bytes", "1000", stateWarning},
		{"min.insync.replicas", "1", stateWarning},
		{"min.insync.replicas", "4", stateWrong},
		{"max.message.bytes", "1048588", stateWarning},
		{"message.timestamp.type", "LogAppendTime", stateWarning},
		{"unclean.leader.election.enable", "true", stateWarning},
		{"message.timestamp.before.max.ms", "86400000", stateWarning},
		{"message.timestamp.after.max.ms", "3600000", stateWarning},
		{"compression.type", "producer", stateOK},
	} {
		settings := map[string]string{}
		for k, v := range good {
			settings[k] = v
		}
		settings[tt.setting] = tt.value
		cfg := defaultConfig()
		cfg.Kafka.Brokers = []string{"b:1"}
		var f findings
		f.topic(cfg, topic, settings)
		f.topicsAreWell(1)
		if f = slices.DeleteFunc(f, func(one finding) bool { return one.State == stateOK }); tt.state == stateOK && len(f) == 0 {
			continue
		}
		if len(f) != 1 || f[0].State != tt.state || f[0].Subject != topic.Name || !strings.Contains(f[0].Mend, "--topic pgwitness.s.t --add-config "+tt.setting+"=") {
			t.Errorf("%s=%s: %+v", tt.setting, tt.value, f)
		}
	}
}

func TestCheckRoleExcess(t *testing.T) {
	for _, tt := range []struct {
		name   string
		role   roleState
		powers rolePowers
		want   []string
		mend   string
	}{
		{name: "as setup makes it", role: roleState{name: "pgwitness"}},
		{"superuser", roleState{name: "postgres", superuser: true}, rolePowers{createRole: true}, []string{"postgres is a superuser"}, "connect as a role"},
		{"attributes", roleState{name: "My role"}, rolePowers{createRole: true, createDB: true, bypassRLS: true},
			[]string{"CREATEROLE", "CREATEDB", "BYPASSRLS"}, `alter role "My role" nocreaterole;`},
		{"strong roles", roleState{name: "w"}, rolePowers{member: []string{"pg_read_all_data"}, reads: []string{"public.a"}},
			[]string{"may do what pg_read_all_data may", "w may read tables: public.a"}, `revoke "pg_read_all_data" from "w";`},
		{"owner", roleState{name: "w"}, rolePowers{owns: []string{"public.a"}, writes: []string{"public.a"}, reads: []string{"public.a"}},
			[]string{"w owns tables: public.a"}, "connect as a role"},
		{"writer", roleState{name: "w"}, rolePowers{writes: []string{`public."B"`}, reads: []string{`public."B"`}},
			[]string{`w may change the rows of tables: public."B"`}, `on public."B" from "w";`},
	} {
		var f findings
		f.roleExcess(&survey{me: tt.role}, &tt.powers)
		expect(t, f, stateWarning, tt.want...)
		if tt.want == nil {
			expect(t, f, stateOK, "pgwitness may do no more than it has to")
		} else if !strings.Contains(f[0].Mend, tt.mend) {
			t.Errorf("%s: mend %s, want %s", tt.name, f[0].Mend, tt.mend)
		}
	}
}

// A difference of clocks counts when it is more than the time that the question took.
func TestCheckClock(t *testing.T) {
	for _, tt := range []struct {
		ahead, within time.Duration
		state         state
	}{
		{0, time.Millisecond, stateOK},
		{-time.Second, time.Millisecond, stateOK},
		{3 * time.Second, time.Millisecond, stateWarning},
		{-time.Hour, time.Millisecond, stateWarning},
		{3 * time.Second, 2 * time.Second, stateOK},
	} {
		var f findings
		f.clock(&serverState{ahead: tt.ahead, within: tt.within})
		if len(f) != 1 || f[0].State != tt.state {
			t.Errorf("%s ± %s: %+v", tt.ahead, tt.within, f)
		}
	}
}

// What a broker answers to a producer id that nobody has tells whether the right is there.
func TestTried(t *testing.T) {
	for _, tt := range []struct {
		err             error
		denied, unknown bool
	}{
		{nil, false, false},
		{kafka.InvalidProducerIDMapping, false, false},
		{fmt.Errorf("end: %w", kafka.TransactionalIDAuthorizationFailed), true, false},
		{kafka.TopicAuthorizationFailed, true, false},
		{kafka.GroupCoordinatorNotAvailable, false, true},
	} {
		denied, unknown := tried(tt.err)
		if (denied != nil) != tt.denied || (unknown != nil) != tt.unknown {
			t.Errorf("%v: denied %v, unknown %v", tt.err, denied, unknown)
		}
	}
}

// Findings are safe on a terminal, and JSON for machines.
func TestCheckOutput(t *testing.T) {
	var f findings
	f.ok(about{check: "a"}, "fine")
	f.wrong(about{"b", "t"}, "mend\x1b[2J", "evil \x1b[31m\n")
	var text, raw bytes.Buffer
	if err := f.write(&text, false); err != nil {
		t.Fatal(err)
	}
	want := "ok      a: fine\nwrong   b t: evil \\x1b[31m\\n\n         mend: mend\\x1b[2J\n"
	if text.String() != want {
		t.Errorf("%q", text.String())
	}
	if err := f.write(&raw, true); err != nil {
		t.Fatal(err)
	}
	var back findings
	if err := json.Unmarshal(raw.Bytes(), &back); err != nil || fmt.Sprint(back) != fmt.Sprint(f) {
		t.Errorf("%v, error %v", back, err)
	}
}
