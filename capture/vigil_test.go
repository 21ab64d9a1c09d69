package capture

import (
	"testing"
	"time"
)

func TestHolderSilence(t *testing.T) {
	const poll = 250 * time.Millisecond
	for name, test := range map[string]struct {
		looks []holder
		want  time.Duration // at the last one
	}{
		"first":           {[]holder{{pid: 1, reply: "a", waiting: true}}, 0},
		"silent":          {[]holder{{pid: 1, reply: "a", waiting: true}, {pid: 1, reply: "a", waiting: true}, {pid: 1, reply: "a", waiting: true}}, 2 * poll},
		"answers":         {[]holder{{pid: 1, reply: "a", waiting: true}, {pid: 1, reply: "a", waiting: true}, {pid: 1, reply: "b", waiting: true}}, 0},
		"never answered":  {[]holder{{pid: 1, waiting: true}, {pid: 1, waiting: true}}, poll},
		"another session": {[]holder{{pid: 1, reply: "a", waiting: true}, {pid: 2, reply: "a", waiting: true}}, 0},
		"busy, silent":    {[]holder{{pid: 1, reply: "a", sent: "1"}, {pid: 1, reply: "a", sent: "2"}, {pid: 1, reply: "a", sent: "3", waiting: true}}, 2 * poll},
		"busy":            {[]holder{{pid: 1, reply: "a"}, {pid: 1, reply: "a"}, {pid: 1, reply: "a"}}, 0},
		"was busy":        {[]holder{{pid: 1, reply: "a"}, {pid: 1, reply: "a", waiting: true}, {pid: 1, reply: "a", waiting: true}}, 2 * poll},
		"busy now":        {[]holder{{pid: 1, reply: "a", waiting: true}, {pid: 1, reply: "a", waiting: true}, {pid: 1, reply: "a"}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var h holder
			var got time.Duration
			at := time.Unix(1000, 0)
			for _, look := range test.looks {
				got = h.silence(look, at)
				at = at.Add(poll)
			}
			if got != test.want {
				t.Errorf("silent for %s, want %s", got, test.want)
			}
		})
	}
}
