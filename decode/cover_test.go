package decode_test

import (
	"strings"
	"testing"

	"pgwitness/decode"
)

// A step is a relation message of the table orders, oid 1, and what the catalogue says when it comes.
type maskStep struct {
	columns  []string
	identity byte
	info     *decode.RelationInfo
	named    map[decode.Target]*decode.TableInfo
}

// TestCover holds which masks concern a relation, and which doubts end the session.
func TestCover(t *testing.T) {
	people := decode.Target{Schema: "public", Table: "people"}
	other := decode.Target{Schema: "public", Table: "other"}
	ofPeople := decode.Mask{Table: people, Column: "ssn", Kind: decode.MaskRedact}
	columns := []string{"id", "ssn"}
	has := func(columns ...string) *decode.TableInfo { return &decode.TableInfo{Columns: columns} }
	top := func(columns ...string) *decode.TableInfo {
		return &decode.TableInfo{Columns: columns, Inherited: true}
	}
	named := func(target decode.Target, info *decode.TableInfo) map[decode.Target]*decode.TableInfo {
		return map[decode.Target]*decode.TableInfo{target: info}
	}
	self := func(more ...decode.Target) *decode.RelationInfo {
		return &decode.RelationInfo{Schema: "public", Table: "orders", Parents: more}
	}
	numbered := func(columns map[string]int) *decode.RelationInfo {
		return &decode.RelationInfo{Schema: "public", Table: "orders", Columns: columns}
	}
	ofOrders := aMask("ssn", decode.MaskRedact)
	for _, test := range []struct {
		name   string
		masks  []decode.Mask
		alone  []decode.Target
		steps  []maskStep
		masked string // in the last record: the column's value
		err    string // of the last step
	}{
		{"its own name", []decode.Mask{ofOrders}, nil, []maskStep{{columns, 'f', self(), named(orders, has("id", "ssn"))}}, `"redacted"`, ""},
		{"another table's", []decode.Mask{ofPeople}, nil, []maskStep{{columns, 'f', self(), named(people, has("ssn"))}}, `"v1"`, ""},
		{"the same name in another schema", []decode.Mask{{Table: decode.Target{Schema: "x", Table: "orders"}, Column: "ssn", Kind: decode.MaskRedact}}, nil,
			[]maskStep{{columns, 'f', self(), named(decode.Target{Schema: "x", Table: "orders"}, has("ssn"))}}, `"v1"`, ""},
		{"a parent's", []decode.Mask{ofPeople}, nil, []maskStep{{columns, 'f', self(other, people), named(people, top("ssn"))}}, `"redacted"`, ""},
		{"the root's, which is all that is known", []decode.Mask{ofPeople}, nil,
			[]maskStep{{columns, 'f', &decode.RelationInfo{RootSchema: "public", RootTable: "people"}, named(people, top("ssn"))}}, `"redacted"`, ""},
		{"its name of today", []decode.Mask{ofPeople}, nil,
			[]maskStep{{columns, 'f', &decode.RelationInfo{Schema: "public", Table: "people"}, named(people, has("ssn"))}}, `"redacted"`, ""},
		{"its name of then", []decode.Mask{absent(ofOrders)}, nil,
			[]maskStep{{columns, 'f', &decode.RelationInfo{Schema: "public", Table: "people"}, named(people, has("ssn"))}}, `"redacted"`, ""},
		{"a relation that is gone, by its name", []decode.Mask{absent(ofOrders)}, nil, []maskStep{{columns, 'f', nil, nil}}, `"redacted"`, ""},
		{"one that was a child before it went", []decode.Mask{ofPeople}, nil,
			[]maskStep{{columns, 'f', self(people), named(people, top("ssn"))}, {columns, 'f', nil, named(people, top("ssn"))}}, `"redacted"`, ""},
		{"one that a run before has known as a child", []decode.Mask{ofPeople}, nil, []maskStep{{columns, 'f', nil, named(people, top("ssn"))}}, `"redacted"`, ""},
		{"equal masks of child and parent", []decode.Mask{ofPeople, ofOrders}, nil, []maskStep{{columns, 'f', self(people),
			map[decode.Target]*decode.TableInfo{people: top("ssn"), orders: has("ssn")}}}, `"redacted"`, ""},
		{"a generated column that is not in the log", []decode.Mask{aMask("sum", decode.MaskRedact)}, nil,
			[]maskStep{{columns, 'f', self(), named(orders, &decode.TableInfo{Columns: []string{"id", "ssn", "sum"}, Generated: []string{"sum"}})}}, `"v1"`, ""},
		{"a column that was dropped and made anew", []decode.Mask{ofOrders}, nil, []maskStep{
			{columns, 'f', numbered(map[string]int{"id": 1, "ssn": 2}), named(orders, has("id", "ssn"))},
			{columns, 'f', numbered(map[string]int{"id": 1, "ssn": 3}), named(orders, has("id", "ssn"))}}, `"redacted"`, ""},
		{"a column that was renamed and is masked by both names", []decode.Mask{ofOrders, aMask("ssn_old", decode.MaskRedact)}, nil, []maskStep{
			{columns, 'f', numbered(map[string]int{"id": 1, "ssn": 2, "ssn_old": 4}), named(orders, &decode.TableInfo{Columns: []string{"ssn", "ssn_old"}, Generated: []string{"ssn_old"}})},
			{columns, 'f', numbered(map[string]int{"id": 1, "ssn_old": 2, "ssn": 3}), named(orders, &decode.TableInfo{Columns: []string{"ssn", "ssn_old"}, Generated: []string{"ssn_old"}})}}, `"redacted"`, ""},
		{"a column that may be absent", []decode.Mask{absent(aMask("late", decode.MaskRedact))}, nil,
			[]maskStep{{columns, 'f', self(), named(orders, has("id", "ssn", "late"))}}, `"v1"`, ""},
		{"a gone relation that is known to stand alone", []decode.Mask{ofPeople}, []decode.Target{orders},
			[]maskStep{{columns, 'f', nil, named(people, top("ssn"))}}, `"v1"`, ""},
		{"a gone relation without the column", []decode.Mask{ofPeople}, nil,
			[]maskStep{{[]string{"id", "code"}, 'f', nil, named(people, top("ssn"))}}, `"v1"`, ""},
		{"a gone relation beside a table without children", []decode.Mask{ofPeople}, nil, []maskStep{{columns, 'f', nil, named(people, has("ssn"))}}, `"v1"`, ""},

		{"no such table", []decode.Mask{ofPeople}, nil, []maskStep{{columns, 'f', self(), nil}}, "", "mask public.people.ssn: there is no table public.people"},
		{"no such column", []decode.Mask{ofOrders}, nil, []maskStep{{columns, 'f', self(), named(orders, has("id", "social"))}}, "",
			"mask public.orders.ssn: the table has no column ssn"},
		{"renamed in the stream", []decode.Mask{ofPeople}, nil, []maskStep{{columns, 'f', &decode.RelationInfo{Schema: "public", Table: "people"}, named(people, has("ssn"))},
			{columns, 'f', self(), nil}}, "", "there is no table public.people"},
		{"renamed, and another bears its name", []decode.Mask{ofPeople}, nil,
			[]maskStep{{columns, 'f', &decode.RelationInfo{Schema: "public", Table: "people"}, named(people, has("ssn"))},
				{columns, 'f', self(), named(people, has("ssn"))}}, "", "mask public.people.ssn does not concern it any more"},
		{"no child any more, as a run before has known", []decode.Mask{ofPeople}, nil, []maskStep{{columns, 'f', self(), named(people, top("ssn"))}}, "",
			"mask public.people.ssn does not concern it any more"},
		{"no child any more", []decode.Mask{ofPeople}, nil,
			[]maskStep{{columns, 'f', self(people), named(people, top("ssn"))}, {columns, 'f', self(), named(people, top("ssn"))}}, "",
			"mask public.people.ssn does not concern it any more"},
		{"no such column at this place", []decode.Mask{ofOrders}, nil, []maskStep{{[]string{"id", "social"}, 'f', self(), named(orders, has("id", "ssn"))}}, "",
			"mask public.orders.ssn: at this place of the log there is no column ssn"},
		{"a column that was renamed, while another bears its name", []decode.Mask{ofOrders}, nil, []maskStep{
			{columns, 'f', numbered(map[string]int{"id": 1, "ssn": 2}), named(orders, has("id", "ssn"))},
			{[]string{"id", "ssn"}, 'f', numbered(map[string]int{"id": 1, "ssn_old": 2, "ssn": 3}), named(orders, has("id", "ssn", "ssn_old"))}}, "",
			"mask public.orders.ssn: the column that it concerned is called ssn_old now"},
		{"two masks that disagree", []decode.Mask{ofPeople, aMask("ssn", decode.MaskNull)}, nil, []maskStep{{columns, 'f', self(people),
			map[decode.Target]*decode.TableInfo{people: top("ssn"), orders: has("ssn")}}}, "", "another mask says"},
		{"a gone relation that may have been a child", []decode.Mask{ofPeople}, nil, []maskStep{{columns, 'f', nil, named(people, top("ssn"))}}, "",
			"it is gone from the catalogue, and may have inherited the masks of public.people: list public.orders in mask_absent"},
		{"a key of the replica identity", []decode.Mask{aMask("id", decode.MaskRedact)}, nil, []maskStep{{columns, 'd', self(), named(orders, has("id"))}}, "",
			"column id is part of the key and masked by redact: a key can be masked by hash only"},
		{"a primary key", []decode.Mask{aMask("id", decode.MaskLast4)}, nil,
			[]maskStep{{columns, 'f', &decode.RelationInfo{PrimaryKey: []string{"id"}}, named(orders, has("id"))}}, "", "a key can be masked by hash only"},
		{"rows under the root's name", []decode.Mask{ofPeople}, nil, []maskStep{{columns, 'f', &decode.RelationInfo{Schema: "public", Table: "orders", Partitioned: true},
			named(people, &decode.TableInfo{Columns: columns, Partition: true})}}, "", "publish_via_partition_root"},
	} {
		t.Run(test.name, func(t *testing.T) {
			source := origin
			source.Masks = newMasks(t, test.alone, test.masks...)
			if strings.Contains(test.name, "a run before") {
				source.Recall = func(oid uint32, table *decode.Target) []decode.Masking {
					return []decode.Masking{{Oid: oid, Masks: []string{"public.people.ssn", "public.former.ssn"}, Columns: map[string]int{"ssn": 2}}}
				}
			}
			c := &catalogue{Relations: map[uint32]*decode.RelationInfo{}}
			d := decode.NewDecoder(source, c)
			var last string
			decodeOne := func(data []byte) error {
				_, err := d.Decode(t.Context(), decode.Message{LSN: 0x900, Data: data}, func(r *decode.Record) error {
					last = string(r.Value)
					return nil
				})
				return err
			}
			if err := decodeOne(begin(0x1000)); err != nil {
				t.Fatal(err)
			}
			var err error
			for i, step := range test.steps {
				if err != nil {
					t.Fatalf("step %d: %v", i-1, err)
				}
				c.Relations[1], c.Named = step.info, step.named
				flagged := map[byte]int{'d': 1, 'f': 2}[step.identity]
				if err = decodeOne(relationOf(1, step.identity, step.columns, []uint32{23, 25}, flagged)); err == nil {
					err = decodeOne(insert(1, "1", "v1"))
				}
			}
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) || !strings.HasPrefix(err.Error(), "decode relation of public.orders at 0/900: ") {
					t.Errorf("error %v, want %s", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := decodeOne(commit(0x1000)); err != nil {
				t.Fatal(err)
			}
			column := test.steps[len(test.steps)-1].columns[1]
			if want := `"` + column + `":` + test.masked; !strings.Contains(last, want) {
				t.Errorf("%s lacks %s", last, want)
			}
			if has, want := strings.Contains(last, `"masked":{"ssn":"redact"}`), test.masked == `"redacted"`; has != want {
				t.Errorf("masked is said: %v, want %v: %s", has, want, last)
			}
		})
	}
}
