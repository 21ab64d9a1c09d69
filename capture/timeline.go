package capture

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/jackc/pglogrepl"
)

// A history tells which timeline wrote which part of the log: in ascending order, each with the position at which it
// ends; the last one has not ended.
type history []period

type period struct {
	timeline uint32
	end      pglogrepl.LSN // first position that belongs to the next timeline
}

// timelineOf tells the timeline that the record at a position belongs to.
func (h history) timelineOf(pos pglogrepl.LSN) uint32 {
	for _, p := range h {
		if pos < p.end {
			return p.timeline
		}
	}
	return h[len(h)-1].timeline
}

// parseHistory reads a timeline history file: a line for each earlier timeline with its number, the position at which
// the next one left it, and a reason in words; empty lines and # comments (timeline.c, readTimeLineHistory).
func parseHistory(current uint32, file string) (history, error) {
	var h history
	for n, line := range strings.Split(file, "\n") {
		line = strings.TrimLeft(line, " \t")
		if line == "" || line[0] == '#' || line == "\r" {
			continue
		}
		fields := strings.Fields(line)
		if len(fields) < 2 {
			return nil, fmt.Errorf("history of timeline %d, line %d: no switch point", current, n+1)
		}
		timeline, err := strconv.ParseUint(fields[0], 10, 32)
		if err != nil {
			return nil, fmt.Errorf("history of timeline %d, line %d: timeline: %w", current, n+1, err)
		}
		end, err := pglogrepl.ParseLSN(fields[1])
		if err != nil {
			return nil, fmt.Errorf("history of timeline %d, line %d: switch point: %w", current, n+1, err)
		}
		p := period{uint32(timeline), end}
		if len(h) > 0 && (p.timeline <= h[len(h)-1].timeline || p.end < h[len(h)-1].end) {
			return nil, fmt.Errorf("history of timeline %d, line %d: timelines out of order", current, n+1)
		}
		h = append(h, p)
	}
	if len(h) > 0 && h[len(h)-1].timeline >= current {
		return nil, fmt.Errorf("history of timeline %d ends with timeline %d", current, h[len(h)-1].timeline)
	}
	return append(h, period{current, math.MaxUint64}), nil
}
