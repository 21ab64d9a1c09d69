package ledger

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pglogrepl"
)

const width = 3 // partitions of each topic

// A trail is a random workload's books and what a faultless product makes of it.
type trail struct {
	books      *Books
	partitions map[partition][]Record
}

func newTrail(random *rand.Rand) *trail {
	tr := &trail{books: &Books{}, partitions: make(map[partition][]Record)}
	lsn, seq := pglogrepl.LSN(0x1000), int64(0)
	next := 1 // key
	for i := range 40 {
		xid := uint64(5_000_000_000 + random.IntN(2)*7 + i*20)
		lsn += pglogrepl.LSN(64 + 8*random.IntN(100))
		tr.books.Commits = append(tr.books.Commits, Commit{XID: xid, LSN: lsn, End: lsn + 40})
		count := random.IntN(6)
		for n := range count {
			seq++
			table := []string{"public.a", "public.b"}[random.IntN(2)]
			c := Change{XID: xid, Seq: seq, Table: table}
			switch random.IntN(5) {
			case 0, 1:
				c.Op, c.After = "insert", fmt.Sprintf(`{"id":%d,"v":"x %d"}`, next, seq)
				next++
			case 2:
				id := random.IntN(next)
				c.Op, c.Before, c.After = "update", fmt.Sprintf(`{"id":%d,"v":null}`, id), fmt.Sprintf(`{"id":%d,"v":%d}`, id, seq)
			case 3: // of the key
				c.Op, c.Before, c.After = "update", fmt.Sprintf(`{"id":%d,"v":1}`, random.IntN(next)), fmt.Sprintf(`{"id":%d,"v":1}`, next)
				next++
			case 4:
				c.Op, c.Before = "delete", fmt.Sprintf(`{"id":%d,"v":1}`, random.IntN(next))
			}
			tr.books.Changes = append(tr.books.Changes, c)
			tr.deliver(c, lsn, n+1, n+1 == count)
		}
	}
	return tr
}

// deliver does what the product promises to do with a change.
func (tr *trail) deliver(c Change, lsn pglogrepl.LSN, ordinal int, last bool) {
	schema, table, _ := strings.Cut(c.Table, ".")
	r := Record{Topic: "p." + c.Table, Op: c.Op, Schema: schema, Table: table, Before: []byte(c.Before), After: []byte(c.After)}
	r.ID = fmt.Sprintf("77.1.5-%016X-%d", uint64(lsn), ordinal)
	r.Source.System, r.Source.Timeline = "77", 1
	r.Tx.XID, r.Tx.Ordinal, r.Tx.Last, r.Tx.CommitLSN = c.XID, uint64(ordinal), last, lsn.String()
	done := map[int]bool{}
	for _, img := range []string{c.Before, c.After} {
		key := pick([]byte(img), []string{"id"})
		if key == nil || done[partitionOf(key, width)] {
			continue
		}
		r.Key, r.RecordKey, r.Partition = key, string(key), partitionOf(key, width)
		done[r.Partition] = true
		at := partition{r.Topic, r.Partition}
		r.Offset = int64(len(tr.partitions[at]))
		tr.partitions[at] = append(tr.partitions[at], r)
	}
}

func (tr *trail) widths() map[string]int {
	return map[string]int{"p.public.a": width, "p.public.b": width}
}

func (tr *trail) failures() []Failure {
	v := NewValidator(tr.books, tr.widths())
	for _, records := range tr.partitions {
		for _, r := range records {
			v.Note(r)
		}
	}
	return v.Finish(0)
}

// somewhere picks a partition with at least n records.
func (tr *trail) somewhere(random *rand.Rand, n int) partition {
	all := slices.SortedFunc(maps.Keys(tr.partitions), func(a, b partition) int {
		return strings.Compare(fmt.Sprint(a), fmt.Sprint(b))
	})
	for {
		if at := all[random.IntN(len(all))]; len(tr.partitions[at]) >= n {
			return at
		}
	}
}

// TestValidatorFindsEveryFault breaks a faultless trail in one place, in each of the ways that a product could.
func TestValidatorFindsEveryFault(t *testing.T) {
	faults := []struct {
		name string
		want []Kind
		do   func(tr *trail, at partition, i int) bool // false: cannot be done there
	}{
		{"nothing", nil, func(*trail, partition, int) bool { return true }},
		{"a record is dropped", []Kind{Missing}, func(tr *trail, at partition, i int) bool {
			tr.partitions[at] = slices.Delete(tr.partitions[at], i, i+1)
			return true
		}},
		{"a record is doubled", []Kind{Twice}, func(tr *trail, at partition, i int) bool {
			tr.partitions[at] = slices.Insert(tr.partitions[at], i, tr.partitions[at][i])
			return true
		}},
		{"a record comes again at the end", []Kind{Twice}, func(tr *trail, at partition, i int) bool {
			tr.partitions[at] = append(tr.partitions[at], tr.partitions[at][i])
			return true
		}},
		{"neighbours are swapped", []Kind{Order}, func(tr *trail, at partition, i int) bool {
			p := tr.partitions[at]
			if i+1 == len(p) {
				return false
			}
			p[i], p[i+1] = p[i+1], p[i]
			return true
		}},
		{"an image is altered", []Kind{Altered}, func(tr *trail, at partition, i int) bool {
			r := &tr.partitions[at][i]
			if r.After == nil || len(tr.copies(r.ID)) > 1 {
				return false
			}
			r.After = bytes.Replace(r.After, []byte(`"v":`), []byte(`"v": `), 1)
			return len(r.After) > 0
		}},
		{"a before image is forgotten", []Kind{Altered}, func(tr *trail, at partition, i int) bool {
			r := &tr.partitions[at][i]
			if r.Op != "delete" {
				return false
			}
			r.Before = json.RawMessage("null")
			return true
		}},
		{"an operation is altered", []Kind{Missing, Phantom, Altered}, func(tr *trail, at partition, i int) bool {
			r := &tr.partitions[at][i]
			r.Op = map[string]string{"insert": "update", "update": "delete", "delete": "insert"}[r.Op]
			return true
		}},
		{"a record of a rolled back transaction", []Kind{Phantom}, func(tr *trail, at partition, i int) bool {
			r := tr.partitions[at][i]
			r.Tx.XID += 3
			tr.partitions[at] = slices.Insert(tr.partitions[at], i, r)
			return true
		}},
		{"a record of a rolled back savepoint", []Kind{Phantom}, func(tr *trail, at partition, i int) bool {
			r := tr.partitions[at][len(tr.partitions[at])-1]
			r.Op, r.Before, r.After, r.Tx.Ordinal = "insert", nil, []byte(`{"id":1000000}`), 99
			r.ID = strings.TrimRight(r.ID, "0123456789") + "99"
			tr.partitions[at] = append(tr.partitions[at], r)
			return true
		}},
		{"a record in a wrong partition", []Kind{Order}, func(tr *trail, at partition, i int) bool {
			r := tr.partitions[at][i]
			if len(tr.copies(r.ID)) > 1 {
				return false
			}
			tr.partitions[at] = slices.Delete(tr.partitions[at], i, i+1)
			r.Partition = (r.Partition + 1) % width
			to := partition{r.Topic, r.Partition}
			tr.partitions[to] = append(tr.partitions[to], r)
			slices.SortStableFunc(tr.partitions[to], func(a, b Record) int { return strings.Compare(a.ID, b.ID) })
			return true
		}},
		{"another commit's position", []Kind{Altered}, func(tr *trail, at partition, i int) bool {
			tr.partitions[at][i].Tx.CommitLSN = "0/7"
			return true
		}},
		{"another transaction's id", []Kind{Altered}, func(tr *trail, at partition, i int) bool {
			tr.partitions[at][i].ID += "0"
			return true
		}},
		{"the last is not marked", []Kind{Altered}, func(tr *trail, at partition, i int) bool {
			r := &tr.partitions[at][i]
			was := r.Tx.Last
			r.Tx.Last = false
			return was
		}},
		{"another key", []Kind{Altered}, func(tr *trail, at partition, i int) bool {
			tr.partitions[at][i].RecordKey += " "
			return len(tr.copies(tr.partitions[at][i].ID)) == 1
		}},
	}
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			done := 0
			for seed := uint64(1); done < 20; seed++ {
				if seed == 5000 {
					t.Fatalf("the fault could be made only %d times", done)
				}
				random := rand.New(rand.NewPCG(seed, 0))
				tr := newTrail(random)
				at := tr.somewhere(random, 2)
				if !f.do(tr, at, random.IntN(len(tr.partitions[at]))) {
					continue
				}
				done++
				found := tr.failures()
				if len(f.want) == 0 != (len(found) == 0) {
					t.Fatalf("seed %d: found %v", seed, found)
				}
				if len(f.want) > 0 && !slices.ContainsFunc(found, func(x Failure) bool { return slices.Contains(f.want, x.Kind) }) {
					t.Fatalf("seed %d: found %v, want %v", seed, found, f.want)
				}
			}
		})
	}
}

// copies finds the records of a change.
func (tr *trail) copies(id string) []Record {
	var all []Record
	for _, records := range tr.partitions {
		for _, r := range records {
			if r.ID == id {
				all = append(all, r)
			}
		}
	}
	return all
}

// TestConfirmedTooEarly: what a slot has confirmed must be there whole, what comes later need not.
func TestConfirmedTooEarly(t *testing.T) {
	tr := newTrail(rand.New(rand.NewPCG(4, 0)))
	half := tr.books.Commits[20]
	for at, records := range tr.partitions {
		tr.partitions[at] = slices.DeleteFunc(records, func(r Record) bool {
			lsn, _ := r.commit()
			return lsn > half.LSN
		})
	}
	finish := func(upTo pglogrepl.LSN) []Failure {
		v := NewValidator(tr.books, tr.widths())
		for _, records := range tr.partitions {
			for _, r := range records {
				v.Note(r)
			}
		}
		return v.Finish(upTo)
	}
	if found := finish(half.End); len(found) > 0 {
		t.Errorf("up to what is there: %v", found)
	}
	if found := finish(tr.books.Commits[39].End); len(found) == 0 {
		t.Error("nothing found although later transactions are confirmed")
	}
}
