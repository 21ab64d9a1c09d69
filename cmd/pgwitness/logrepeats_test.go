package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
)

// A warning that comes every second for a day is told at once, then ever more rarely, and none is left uncounted.
func TestRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := calm(hclog.New(&hclog.LoggerOptions{Output: &out, DisableTime: true})).Named("part").With("slot", "a")
		const day = 24 * 60 * 60
		for range day {
			log.Warn("away", "error", io.EOF)
			time.Sleep(time.Second)
		}
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if lines[0] != "[WARN]  part: away: slot=a error=EOF" || lines[1] != "[WARN]  part: away: slot=a error=EOF repeated=9" ||
			lines[2] != "[WARN]  part: away: slot=a error=EOF repeated=19" {
			t.Errorf("it begins with\n%s", strings.Join(lines[:3], "\n"))
		}
		if len(lines) > 160 {
			t.Errorf("%d lines in a day", len(lines))
		}
		told := 0
		for _, line := range lines {
			var held int
			if _, after, found := strings.Cut(line, "repeated="); found {
				fmt.Sscan(after, &held)
			}
			told += held + 1
		}
		if told < day-int(mostSilence.Seconds()) || told > day {
			t.Errorf("%d of %d are counted", told, day)
		}
	})
}

// What is about something else is told as well, as long as it is not too much; after a quiet time everything is new.
func TestRepeatsOfSubjects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := calm(hclog.New(&hclog.LoggerOptions{Output: &out, DisableTime: true}))
		for range 3 {
			for i := range 4 {
				log.Error("refused", "partition", fmt.Sprint("t/", i), "tries", i)
			}
		}
		log.Warn("something else")
		log.Info("an event")
		log.Info("an event")
		if n := strings.Count(out.String(), "\n"); n != 4+1+2 {
			t.Errorf("%d lines:\n%s", n, out.String())
		}
		out.Reset()
		time.Sleep(time.Minute)
		for i := range 1000 {
			log.Error("refused", "partition", fmt.Sprint("t/", i))
		}
		if text := out.String(); strings.Count(text, "\n") != mostSubjects || !strings.HasPrefix(text, "[ERROR] refused: partition=t/0 repeated=8\n") {
			t.Errorf("%d lines:\n%s", strings.Count(text, "\n"), text)
		}
	})
}
