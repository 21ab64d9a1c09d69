package ledger

import (
	"bytes"
	"encoding/json"

	"github.com/segmentio/kafka-go"
)

// checkPlaces checks that a change is in the partitions that its row's key belongs to, and in no other: the old key's
// and the new key's; a truncate is in all of them. The partition of a key is the Java client's (murmur2).
func (v *Validator) checkPlaces(s *sighting, whole bool) {
	width := v.widths[s.Topic]
	want := make(map[int]bool)
	switch {
	case s.Op == "truncate":
		for id := range width {
			want[id] = true
		}
	case len(image(s.Key)) == 0:
		// Without a key all records of the topic are in one partition, whichever it is.
		want[s.partitions[0]] = true
	default:
		columns := names(s.Key)
		for _, key := range [][]byte{pick(s.Before, columns), pick(s.After, columns)} {
			if key != nil {
				want[partitionOf(key, width)] = true
			}
		}
		if s.RecordKey != string(s.Key) {
			v.fail(Altered, "%s: Kafka's key is %s, the record's %s", s.place(), s.RecordKey, s.Key)
		}
	}
	for _, id := range s.partitions {
		if !want[id] {
			v.fail(Order, "%s: %s is in partition %d, where its key %s does not belong", s.place(), s.ID, id, s.Key)
		}
		delete(want, id)
	}
	if len(want) > 0 && whole {
		for id := range want {
			v.fail(Missing, "%s is not in partition %d of %s", s.ID, id, s.Topic)
		}
	}
}

var murmur2 kafka.Murmur2Balancer

func partitionOf(key []byte, width int) int {
	ids := make([]int, width)
	for i := range ids {
		ids[i] = i
	}
	return murmur2.Balance(kafka.Message{Key: key}, ids...)
}

// names lists the members of a JSON object in order.
func names(object []byte) []string {
	var list []string
	d := json.NewDecoder(bytes.NewReader(object))
	for depth, isName := 0, false; ; {
		token, err := d.Token()
		if err != nil {
			return list
		}
		if delim, ok := token.(json.Delim); ok {
			switch delim {
			case '{', '[':
				depth++
				isName = depth == 1
			default:
				depth--
				isName = depth == 1
			}
			continue
		}
		if depth != 1 {
			continue
		}
		if name, ok := token.(string); ok && isName {
			list, isName = append(list, name), false
			continue
		}
		isName = true
	}
}

// pick makes an object of some members of an image, their values as they stand; nil where the image lacks one.
func pick(object []byte, columns []string) []byte {
	if image(object) == "" {
		return nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(object, &members); err != nil {
		return nil
	}
	var key bytes.Buffer
	names := json.NewEncoder(&key)
	names.SetEscapeHTML(false)
	separator := byte('{')
	for _, name := range columns {
		value, ok := members[name]
		if !ok {
			return nil
		}
		key.WriteByte(separator)
		if err := names.Encode(name); err != nil {
			return nil
		}
		key.Truncate(key.Len() - 1) // the encoder's newline
		key.WriteByte(':')
		key.Write(value)
		separator = ','
	}
	key.WriteByte('}')
	return key.Bytes()
}
