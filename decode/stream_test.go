package decode_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/jackc/pglogrepl"

	"pgwitness/decode"
)

// versions are the servers whose streams were recorded (testdata/README.md says how).
var versions = []int{14, 15, 16, 17, 18}

// readStream returns the messages that a server sent.
func readStream(t testing.TB, name string) []decode.Message {
	t.Helper()
	f, err := os.Open("testdata/" + name + ".gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	var list []decode.Message
	for len(all) > 0 {
		size := 12 + int(binary.BigEndian.Uint32(all[8:]))
		list = append(list, decode.Message{LSN: pglogrepl.LSN(binary.BigEndian.Uint64(all)), Data: all[12:size:size]})
		all = all[size:]
	}
	return list
}

// catalogue answers as a server did. A type or relation that it has not is gone.
type catalogue struct {
	Relations map[uint32]*decode.RelationInfo
	Types     map[uint32]*decode.TypeInfo
	Named     map[decode.Target]*decode.TableInfo

	asked map[string]int
}

func (c *catalogue) Relation(_ context.Context, oid uint32) (*decode.RelationInfo, error) {
	c.count("relation", oid)
	return c.Relations[oid], nil
}

func (c *catalogue) Type(_ context.Context, oid uint32) (*decode.TypeInfo, error) {
	c.count("type", oid)
	return c.Types[oid], nil
}

func (c *catalogue) Tables(_ context.Context, names []decode.Target) ([]*decode.TableInfo, error) {
	infos := make([]*decode.TableInfo, len(names))
	for i, name := range names {
		infos[i] = c.Named[name]
	}
	return infos, nil
}

func (c *catalogue) count(what string, oid uint32) {
	if c.asked == nil {
		c.asked = make(map[string]int)
	}
	c.asked[fmt.Sprint(what, " ", oid)]++
}

// readCatalogue reads what a server's catalogue said of the relations and types of a recording.
func readCatalogue(t testing.TB, name string) *catalogue {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Relations map[uint32]*decode.RelationInfo
		Types     map[uint32]*struct {
			decode.TypeInfo
			Kind, Delimiter string
		}
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	c := &catalogue{Relations: file.Relations, Types: make(map[uint32]*decode.TypeInfo)}
	for oid, info := range file.Types {
		info.TypeInfo.Kind, info.TypeInfo.Delimiter = info.Kind[0], info.Delimiter[0]
		c.Types[oid] = &info.TypeInfo
	}
	return c
}

var origin = decode.Source{
	System: 7412345678901234567, Database: "shop", Oid: 16401, Slot: "pgwitness", Encoding: "UTF8",
	TimelineOf: func(pglogrepl.LSN) uint32 { return 1 }, NextXID: 1 << 20,
}

// keptRecord is a record whose bytes are its own.
func keptRecord(r *decode.Record) *decode.Record {
	k := *r
	k.Key, k.Value = bytes.Clone(r.Key), bytes.Clone(r.Value)
	k.NewKey, k.NewValue = bytes.Clone(r.NewKey), bytes.Clone(r.NewValue)
	return &k
}

// decodeAll gives the records of a stream. Each message is overwritten afterwards: it was borrowed.
func decodeAll(t testing.TB, d *decode.Decoder, messages []decode.Message) []*decode.Record {
	t.Helper()
	var list []*decode.Record
	for i, m := range messages {
		data := bytes.Clone(m.Data)
		m.Data = data
		if _, err := d.Decode(t.Context(), m, func(r *decode.Record) error {
			list = append(list, keptRecord(r))
			return nil
		}); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
		for i := range data {
			data[i] = 0xA5
		}
	}
	if !d.Between() {
		t.Fatal("the stream ends inside a transaction")
	}
	return list
}

// image is the part of a record that tests look at.
type image struct {
	ID, Op, Schema, Table, Identity string
	Key, Before, After              json.RawMessage
	Changed, Missing, Opaque        []string
}

func parseRecord(t testing.TB, value []byte) image {
	t.Helper()
	var r image
	if err := json.Unmarshal(value, &r); err != nil {
		t.Fatalf("not JSON: %v\n%s", err, value)
	}
	return r
}
