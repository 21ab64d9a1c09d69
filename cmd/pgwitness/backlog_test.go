package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
)

func TestProgress(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	b := backlog{from: 1000 << 20, to: 3000 << 20, began: start, last: mark{start.Add(30 * time.Second), 1200 << 20, 1000}}
	var out bytes.Buffer
	log := hclog.New(&hclog.LoggerOptions{Output: &out, DisableTime: true})
	p := b.progress(mark{start.Add(50 * time.Second), 1500 << 20, 3000})
	p.tell(log)
	if want := "[INFO]  backlog: percent=25.0 wal_per_second=\"15 MB\" records_per_second=100 left=2m30s\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
	if want := "[#######-----------------------]  25.0 %  15 MB/s  100 records/s  2m30s left"; p.bar() != want {
		t.Errorf("%q, want %q", p.bar(), want)
	}
	if p := b.progress(mark{start.Add(50 * time.Second), 1000 << 20, 0}); p.leftText() != "unknown time" {
		t.Errorf("nothing has moved, and it is left %s", p.leftText())
	}
}

// The log goes on above the bar, which a narrow terminal cuts; without a terminal there is none.
func TestConsole(t *testing.T) {
	var out bytes.Buffer
	width := 40
	c := &console{out: &out, width: func() int { return width }}
	c.Write([]byte("one\n"))
	if !c.show(bar(.5) + " 50 % and more than fits") {
		t.Error("it has a terminal")
	}
	c.Write([]byte("two\n"))
	c.show("")
	c.Write([]byte("three\n"))
	drawn := "[###############---------------] 50 % a"
	if want := "one\n" + clearLine + drawn + clearLine + "two\n" + drawn + clearLine + "three\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
	out.Reset()
	if width = 0; c.show("bar") || strings.Contains(out.String(), "bar") {
		t.Error("a bar without a terminal")
	}
}
