package publish

import (
	"slices"
	"testing"

	"pgwitness/decode"
)

// TestRecall remembers masks by the oid of a table that was renamed, also once another one bears its name.
func TestRecall(t *testing.T) {
	target := decode.Target{Schema: "public", Table: "a"}
	r := &route{Schema: "public", Table: "a", Partitions: 1}
	s := &Sink{routes: map[decode.Target]*route{target: r}}
	for i, step := range []struct {
		masking *decode.Masking
		dirty   bool
	}{
		{&decode.Masking{Oid: 1, Masks: []string{"public.a.x"}}, true},
		{&decode.Masking{Oid: 1, Masks: []string{"public.a.x"}}, false},
		{&decode.Masking{Oid: 2, Masks: []string{"public.a.x", "public.p.y"}}, true},
		{&decode.Masking{Oid: 3, Masks: []string{"public.a.x"}, Hashed: "id"}, true},
	} {
		s.dirty = false
		if err := s.remember(r, &decode.Record{Target: &target, Masking: step.masking}); err != nil || s.dirty != step.dirty {
			t.Errorf("step %d: dirty %v, error %v", i, s.dirty, err)
		}
	}
	for _, test := range []struct {
		oid   uint32
		table string
		want  []uint32 // the oids of what is remembered
	}{
		{1, "b", []uint32{1}}, {2, "b", []uint32{2}}, {3, "b", []uint32{3}}, {9, "a", []uint32{3}}, {1, "a", []uint32{1, 3}}, {9, "b", nil},
	} {
		var got []uint32
		for _, m := range s.Recall(test.oid, &decode.Target{Schema: "public", Table: test.table}) {
			if len(m.Masks) == 0 {
				t.Errorf("oid %d: no masks", m.Oid)
			}
			got = append(got, m.Oid)
		}
		if slices.Sort(got); !slices.Equal(got, test.want) {
			t.Errorf("oid %d, %s: %d, want %d", test.oid, test.table, got, test.want)
		}
	}
	for oid := range uint32(3 * mostEarlier) {
		s.remember(r, &decode.Record{Target: &target, Masking: &decode.Masking{Oid: oid + 10}})
	}
	if len(r.Earlier) != mostEarlier {
		t.Errorf("%d tables are remembered", len(r.Earlier))
	}
	if err := s.remember(r, &decode.Record{Target: &target}); err != nil || r.Masking != nil {
		t.Errorf("a table without masks: %v, %v", r.Masking, err)
	}
}
