package publish

import (
	"fmt"
	"strconv"
	"strings"

	"pgwitness/decode"
)

// MaxTopicName is the longest name Kafka allows (Topic.java, MAX_NAME_LENGTH).
const MaxTopicName = 249

// TopicName names the topic of a target: prefix.schema.table, or prefix.control and the like for a service stream.
// Letters, digits and underscores stay; every other byte of a schema's or table's name becomes a hyphen and two upper
// case hexadecimal digits, the hyphen itself too, so that the name can be read back: public.a-b.c is
// prefix.public.a-2Db-2Ec.
func TopicName(prefix string, t *decode.Target) string {
	if t.Schema == "" {
		return prefix + "." + t.Table
	}
	return prefix + "." + escapeName(t.Schema) + "." + escapeName(t.Table)
}

// ParseTopicName is TopicName's inverse. A name that TopicName cannot have made is not ok.
func ParseTopicName(prefix, topic string) (t decode.Target, ok bool) {
	rest, ok := strings.CutPrefix(topic, prefix+".")
	if !ok {
		return t, false
	}
	schema, table, two := strings.Cut(rest, ".")
	if !two {
		return decode.Target{Table: rest}, rest == decode.Control.Table || rest == decode.Who.Table || rest == decode.Messages.Table
	}
	s, okS := unescapeName(schema)
	n, okN := unescapeName(table)
	return decode.Target{Schema: s, Table: n}, okS && okN
}

// CheckTopicName says what Kafka has against a name.
func CheckTopicName(topic string) error {
	if topic == "" || topic == "." || topic == ".." {
		return fmt.Errorf("topic name %q is not allowed by Kafka", topic)
	}
	if len(topic) > MaxTopicName {
		return fmt.Errorf("topic name %s is %d characters long, Kafka allows %d", topic, len(topic), MaxTopicName)
	}
	for i := 0; i < len(topic); i++ {
		if c := topic[i]; !plain(c) && c != '.' && c != '-' {
			return fmt.Errorf("topic name %q has the character %q; Kafka allows letters, digits, '.', '_' and '-'", topic, c)
		}
	}
	return nil
}

// Collision is the form under which Kafka takes two names for one: metric names know no difference between '.' and '_'
// (Topic.java, unifyCollisionChars), so a second topic of the same form is refused.
func Collision(topic string) string { return strings.ReplaceAll(topic, ".", "_") }

func escapeName(name string) string {
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if plain(name[i]) {
			b.WriteByte(name[i])
		} else {
			fmt.Fprintf(&b, "-%02X", name[i])
		}
	}
	return b.String()
}

func unescapeName(s string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case plain(s[i]):
			b.WriteByte(s[i])
		case s[i] == '-' && i+2 < len(s):
			v, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				return "", false
			}
			b.WriteByte(byte(v))
			i += 2
		default:
			return "", false
		}
	}
	name := b.String()
	return name, name != "" && escapeName(name) == s
}

func plain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_'
}
