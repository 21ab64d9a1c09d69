package publish

import (
	"strings"
	"testing"

	"pgwitness/decode"
)

func TestTopicName(t *testing.T) {
	for _, c := range []struct {
		target decode.Target
		want   string
	}{
		{decode.Target{Schema: "public", Table: "orders"}, "p.public.orders"},
		{decode.Target{Schema: "public", Table: "a-b.c"}, "p.public.a-2Db-2Ec"},
		{decode.Target{Schema: "Zürich", Table: `a "b"`}, "p.Z-C3-BCrich.a-20-22b-22"},
		{decode.Target{Table: "control"}, "p.control"},
		{decode.Target{Schema: "control", Table: "who"}, "p.control.who"},
	} {
		got := TopicName("p", &c.target)
		if got != c.want {
			t.Errorf("TopicName(%v) = %s, want %s", c.target, got, c.want)
		}
		back, ok := ParseTopicName("p", got)
		if !ok || back != c.target {
			t.Errorf("ParseTopicName(%s) = %v, %v; want %v", got, back, ok, c.target)
		}
	}
	for _, name := range []string{"q.public.orders", "p.public", "p.a.b.c", "p.a.b-2d", "p.a.-5F", "p.a.-4", "p..a", "p.a."} {
		if target, ok := ParseTopicName("p", name); ok {
			t.Errorf("ParseTopicName(%s) = %v, want none", name, target)
		}
	}
}

func TestCheckTopicName(t *testing.T) {
	for name, ok := range map[string]bool{
		"p.a.b": true, "": false, "..": false, "a b": false, "a/b": false, "ä": false,
		strings.Repeat("x", 249): true, strings.Repeat("x", 250): false,
	} {
		if err := CheckTopicName(name); (err == nil) != ok {
			t.Errorf("CheckTopicName(%q) = %v", name, err)
		}
	}
}

// TestMurmur2 holds the values that Kafka's own UtilsTest.java lists.
func TestMurmur2(t *testing.T) {
	for key, want := range map[string]int32{
		"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536,
		"a-little-bit-longer-string": -1486304829, "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		if got := int32(murmur2([]byte(key))); got != want {
			t.Errorf("murmur2(%q) = %d, want %d", key, got, want)
		}
	}
}
