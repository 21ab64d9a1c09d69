package main

import (
	"io"
	"strings"
	"sync"
)

// A console is where a run's log goes. On a terminal its last line can be a bar, above which the log goes on.
type console struct {
	out   io.Writer
	width func() int // of the terminal, 0 without one

	mu  sync.Mutex // guards the rest, and out
	bar string
}

func newConsole(w io.Writer) *console { return &console{out: w, width: screenOf(w).width} }

// clearLine brings the cursor to the line's beginning and erases to its end (ECMA-48, CR and EL).
const clearLine = "\r\x1b[K"

func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bar == "" {
		return c.out.Write(p)
	}
	if _, err := io.WriteString(c.out, clearLine); err != nil {
		return 0, err
	}
	n, err := c.out.Write(p)
	if err == nil {
		_, err = io.WriteString(c.out, c.bar)
	}
	return n, err
}

// show makes a text the last line, cut to the terminal's width; "" takes it away. It reports whether there is a terminal.
func (c *console) show(text string) bool {
	width := c.width()
	if width == 0 {
		return false
	}
	if len(text) >= width { // it is ASCII; the last column stays free, where some terminals begin a new line
		text = text[:width-1]
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if text != c.bar {
		c.bar = text
		io.WriteString(c.out, clearLine+text) // a terminal that is gone is the log's to notice
	}
	return true
}

// bar draws a share of a whole, between 0 and 1.
func bar(share float64) string {
	const length = 30
	done := min(max(int(share*length), 0), length)
	return "[" + strings.Repeat("#", done) + strings.Repeat("-", length-done) + "]"
}
