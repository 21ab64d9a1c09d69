package rebuild

import (
	"encoding/json"
	"slices"
)

// An announcement is what a control record says of a table's definition (docs/record.schema.json).
type announcement struct {
	Reason  string `json:"reason"`
	From    *Name  `json:"from"`
	Columns struct {
		Added   []string `json:"added"`
		Filled  []string `json:"filled"`
		Dropped []string `json:"dropped"`
		Renamed []struct {
			Was string `json:"was"`
			Now string `json:"now"`
		} `json:"renamed"`
		Retyped []string `json:"retyped"`
	} `json:"columns"`
	Publication struct {
		Change string `json:"change"`
	} `json:"publication"`
}

func announces(op string) bool { return op == "baseline_broken" || op == "publication" }

// announcesIn reports whether a control record tells of a table's definition from its place in the log. What a run has
// observed from outside has none: it may come long after the rows that it concerns.
func announcesIn(value []byte) bool {
	var r struct {
		Op       string          `json:"op"`
		Table    string          `json:"table"`
		Observed json.RawMessage `json:"observed"`
	}
	return json.Unmarshal(value, &r) == nil && announces(r.Op) && r.Table != "" && r.Observed == nil
}

// announced takes a control record: what it says exactly is done, what it only says to have happened makes the table's
// rows unknown.
func (s *State) announced(r *Record) {
	a, at := &r.announcement, r.name()
	switch {
	case r.Op == "publication" && a.Publication.Change == "left":
		delete(s.tables, at)
	case r.Op == "publication":
	case a.Reason == "renamed":
		if t := s.tables[*a.From]; t != nil {
			delete(s.tables, *a.From)
			s.tables[at] = t
		}
	case a.Reason == "partition":
	case a.Reason == "columns" && len(a.Columns.Filled) == 0 && len(a.Columns.Retyped) == 0:
		s.table(at).each(func(row Row) Row {
			row = row.Without(a.Columns.Dropped)
			for i := range row {
				for _, c := range a.Columns.Renamed {
					if row[i].Name == c.Was {
						row[i].Name = c.Now
						break
					}
				}
			}
			for _, name := range a.Columns.Added {
				row = append(row, Member{name, "null"})
			}
			return row
		})
	default:
		s.table(at).broken = a.Reason
	}
}

// Broken lists the tables whose rows an announcement has made unknown.
func (s *State) Broken() []string {
	var list []string
	for name, t := range s.tables {
		if t.broken != "" {
			list = append(list, name.String()+" ("+t.broken+")")
		}
	}
	slices.Sort(list)
	return list
}
