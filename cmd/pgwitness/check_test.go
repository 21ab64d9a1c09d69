package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/segmentio/kafka-go"
)

// texts lists the findings of a level, "about: what" each.
func (f findings) texts(l level) string {
	var lines []string
	for _, one := range f {
		if one.Level == l {
			lines = append(lines, one.About+": "+one.What)
		}
	}
	return strings.Join(lines, "\n")
}

// expect compares the findings of a level with what each line has to contain.
func expect(t *testing.T, f findings, l level, want ...string) {
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
	expect(t, f, levelOK, "full (published tables: 1)")
	expect(t, f, levelWarning, "s.keyed carries the key", "s.indexed carries the key")
	expect(t, f, levelWrong, "s.keyless has none", "s.nothing has none", "s.index_gone has none",
		"s.stored has a stored generated column that is not published", "s.virtual has a virtual generated column", "publication other leaves out")
	expect(t, f, levelNote, "s.virtual_keyed carries the key", "generated columns: tables with columns that are not in the log (3): s.stored (g), s.virtual (g), s.virtual_keyed (g)")
	for _, one := range f {
		if (one.Level == levelWrong || one.Level == levelWarning) && one.Mend == "" {
			t.Errorf("nothing mends: %s", one.What)
		}
	}
}

func TestCheckListsWhatIsNotCovered(t *testing.T) {
	s := shop(160000)
	var f findings
	f.tables(s, defaultConfig())
	expect(t, f, levelNote, `not published: tables not in the trail (5): "My Schema"`, "unlogged: tables that are not in the log and cannot be in the trail (1): public.scratch")
}

func TestCheckEventTriggers(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*triggerState)
		level  level
		want   string
	}{
		{"all there", func(*triggerState) {}, levelOK, "are told"},
		{"none", func(s *triggerState) { *s = triggerState{trusted: true} }, levelWarning, "none: rewritten tables"},
		{"disabled", func(s *triggerState) { s.enabled["pgwitness_ddl"] = false }, levelWarning, "pgwitness_ddl is disabled"},
		{"missing", func(s *triggerState) { delete(s.triggers, "pgwitness_drop") }, levelWarning, "pgwitness_drop is missing"},
		{"other functions", func(s *triggerState) { s.functions["look"] = "x" }, levelWarning, "not those of this version"},
		{"other tags", func(s *triggerState) { s.triggers["pgwitness_ddl"] = "x" }, levelWarning, "not those of this version"},
		{"another publication", func(s *triggerState) { s.publications = []string{"p"} }, levelWarning, "do not watch publication pgwitness"},
		{"switched off", func(s *triggerState) { s.off = true }, levelWarning, "event_triggers is off"},
		{"somebody else's", func(s *triggerState) { s.trusted = false }, levelWarning, "can be changed by others"},
	} {
		s := shop(180000)
		tt.change(&s.triggers)
		var f findings
		f.triggers(s, defaultConfig())
		if f[0].Level != tt.level || !strings.Contains(f[0].What, tt.want) || f[0].Level != levelOK && f[0].Mend == "" {
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
			expect(t, f, levelWrong, tt.want...)
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
		"max.message.bytes": "8388608", "message.timestamp.type": "CreateTime", "unclean.leader.election.enable": "false"}
	topic := kafka.Topic{Name: "pgwitness.s.t", Partitions: []kafka.Partition{{Replicas: make([]kafka.Broker, 3)}}}
	for _, tt := range []struct {
		setting, value string
		level          level
	}{
		{"cleanup.policy", "compact", levelWarning},
		{"cleanup.policy", "compact,delete", levelWarning},
		{"retention.ms", "604800000", levelWarning},
		{"retention.bytes", "1000", levelWarning},
		{"min.insync.replicas", "1", levelWarning},
		{"min.insync.replicas", "4", levelWrong},
		{"max.message.bytes", "1048588", levelWarning},
		{"message.timestamp.type", "LogAppendTime", levelWarning},
		{"unclean.leader.election.enable", "true", levelWarning},
		{"compression.type", "producer", levelOK},
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
		if len(f) != 1 || f[0].Level != tt.level || tt.level != levelOK && !strings.Contains(f[0].Mend, "--topic pgwitness.s.t --add-config "+tt.setting+"=") {
			t.Errorf("%s=%s: %+v", tt.setting, tt.value, f)
		}
	}
}

// Findings are safe on a terminal, and JSON for machines.
func TestCheckOutput(t *testing.T) {
	var f findings
	f.ok("a", "fine")
	f.wrong("b", "mend\x1b[2J", "evil \x1b[31m\n")
	var text, raw bytes.Buffer
	if err := f.write(&text, false); err != nil {
		t.Fatal(err)
	}
	want := "ok      a: fine\nwrong   b: evil \\x1b[31m\\n\n         mend: mend\\x1b[2J\n"
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
