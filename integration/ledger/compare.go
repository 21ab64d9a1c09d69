package ledger

import (
	"cmp"
	"maps"
	"slices"
)

// compare holds what was found of a transaction's changes of one table against the books. Both are in order; what does
// not fit is told apart by looking ahead.
func (v *Validator) compare(t *transaction, table string, whole bool) {
	want, got := t.tables[table], v.found[t.XID][table]
	slices.SortFunc(got, func(a, b *sighting) int { return cmp.Compare(a.Tx.Ordinal, b.Tx.Ordinal) })
	for len(got) > 0 {
		g := got[0]
		if len(want) == 0 {
			v.fail(Phantom, "%s: %s of %s is one more than transaction %d made", g.place(), g.Op, table, t.XID)
			got = got[1:]
			continue
		}
		if equal(&want[0], g) {
			v.checkPlaces(g, whole)
			want, got = want[1:], got[1:]
			continue
		}
		ahead := slices.IndexFunc(want, func(c Change) bool { return equal(&c, g) })
		switch {
		case ahead > 0:
			v.missing(want[:ahead], whole)
			want = want[ahead:]
		case want[0].Op == g.Op:
			v.fail(Altered, "%s: %s of %s\n got before %s\nwant before %s\n got after  %s\nwant after  %s", g.place(), g.Op, table,
				g.Before, want[0].Before, g.After, want[0].After)
			want, got = want[1:], got[1:]
		default:
			v.fail(Phantom, "%s: %s of %s, which transaction %d did not make there", g.place(), g.Op, table, t.XID)
			got = got[1:]
		}
		if len(v.failures) > 1000 {
			return // enough to see what is wrong, and looking ahead costs
		}
	}
	v.missing(want, whole)
}

func (v *Validator) missing(changes []Change, whole bool) {
	if !whole {
		return
	}
	for _, c := range changes {
		v.fail(Missing, "%s of %s in transaction %d (number %d in the log table)", c.Op, c.Table, c.XID, c.Seq)
		if len(v.failures) > 1000 {
			return
		}
	}
}

func equal(c *Change, s *sighting) bool {
	return c.Op == s.Op && image(s.Before) == c.Before && image(s.After) == c.After
}

// image is an image's text; a record that has none may say so by null.
func image(raw []byte) string {
	if string(raw) == "null" {
		return ""
	}
	return string(raw)
}

// checkLast looks for the transaction's one record that says it is the last.
func (v *Validator) checkLast(t *transaction) {
	var last, marked *sighting
	all := append(slices.Collect(maps.Values(v.found[t.XID])), v.messages[t.XID])
	for _, sightings := range all {
		for _, s := range sightings {
			if last == nil || s.Tx.Ordinal > last.Tx.Ordinal {
				last = s
			}
			if s.Tx.Last {
				if marked != nil {
					v.fail(Altered, "transaction %d has two last records: %s and %s", t.XID, marked.ID, s.ID)
				}
				marked = s
			}
		}
	}
	if marked != last {
		v.fail(Altered, "transaction %d: the last record, %s, is not marked as the last", t.XID, last.ID)
	}
}
