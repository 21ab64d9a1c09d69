package capture

import (
	"testing"

	"github.com/jackc/pglogrepl"
)

// TestSeal: the seal is set by two looks that find nobody, when what ran at the first has ended.
func TestSeal(t *testing.T) {
	look := func(from, at string, running ...string) *looked {
		return &looked{From: from, At: at, Running: running}
	}
	somebody := &looked{Coverage: Coverage{Writers: []string{"public"}}, From: "0/1", At: "0/1"}
	changed := func(l *looked) *looked {
		l.Rights = "750"
		return l
	}
	type step struct {
		look   *looked
		broken pglogrepl.LSN // instead of a look
		want   string
	}
	for name, test := range map[string]struct {
		before pglogrepl.LSN
		steps  []step
	}{
		"two looks":                         {0, []step{{look: look("0/1", "0/2")}, {look: look("0/3", "0/4"), want: "0/4"}, {look: look("0/5", "0/6"), want: "0/4"}}},
		"somebody":                          {0, []step{{look: look("0/1", "0/2")}, {look: somebody}, {look: look("0/3", "0/4")}, {look: look("0/5", "0/6"), want: "0/6"}}},
		"who ran, ends":                     {0, []step{{look: look("0/1", "0/2", "3/1", "4/1")}, {look: look("0/3", "0/4", "4/1", "5/1")}, {look: look("0/5", "0/6", "5/1", "3/1"), want: "0/6"}}},
		"broken":                            {0, []step{{look: look("0/1", "0/2")}, {look: look("0/3", "0/4"), want: "0/4"}, {broken: 9}, {look: look("0/A", "0/B")}, {look: look("0/C", "0/D"), want: "0/D"}}},
		"not visible yet":                   {0, []step{{look: look("0/1", "0/2")}, {look: look("0/3", "0/4"), want: "0/4"}, {broken: 1}, {look: look("0/5", "0/6")}}},
		"judged":                            {0, []step{{look: look("0/3", "0/4")}, {look: look("0/5", "0/6"), want: "0/6"}, {broken: 2}, {look: look("0/7", "0/8"), want: "0/6"}}},
		"broken between":                    {0, []step{{look: look("0/1", "0/2")}, {broken: 1}, {look: look("0/3", "0/4")}, {look: look("0/5", "0/6"), want: "0/6"}}},
		"run before":                        {3, []step{{look: look("0/9", "0/A", "3/1"), want: "0/3"}, {broken: 1}, {look: look("0/B", "0/C")}}},
		"granted and withdrawn":             {0, []step{{look: look("0/1", "0/2")}, {look: look("0/3", "0/4"), want: "0/4"}, {look: changed(look("0/5", "0/6"))}, {look: changed(look("0/7", "0/8")), want: "0/8"}}},
		"run before, granted and withdrawn": {3, []step{{look: changed(look("0/5", "0/6"))}, {look: changed(look("0/7", "0/8")), want: "0/8"}}},
		"run before, lost":                  {3, []step{{look: somebody}, {look: look("0/9", "0/A")}, {look: look("0/B", "0/C"), want: "0/C"}}},
	} {
		s := seal{before: test.before}
		for i, step := range test.steps {
			if step.look == nil {
				s.broken(step.broken)
			} else if got := s.look(step.look); got != step.want {
				t.Errorf("%s: after look %d it is %q, want %q", name, i, got, step.want)
			}
		}
	}
	s := seal{at: 5}
	if s.holds(5) || !s.holds(6) || (&seal{}).holds(6) {
		t.Error("a message is behind the seal when it ends behind it")
	}
}
