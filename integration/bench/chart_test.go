//go:build integration

package bench

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

const (
	panelWidth, panelHeight = 300.0, 190.0
	margin                  = 45.0
)

// chart draws a panel for each quantity that grew: the rate in megabytes of log a second and the peak memory in megabytes,
// against the quantity. All axes are logarithmic, so what grows linearly is a straight line.
func chart(points []point) string {
	var names []string
	for _, p := range points {
		if !slices.Contains(names, p.Growth) {
			names = append(names, p.Growth)
		}
	}
	var s strings.Builder
	rows := (len(names) + 1) / 2
	fmt.Fprintf(&s, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" font-family="sans-serif" font-size="11">`+"\n",
		2*panelWidth, float64(rows)*panelHeight+20)
	s.WriteString(`<rect width="100%" height="100%" fill="#fff"/>` + "\n")
	s.WriteString(`<text x="45" y="14" fill="#1f6fb2">● MB of log a second</text><text x="200" y="14" fill="#c0392b">■ peak MB resident</text>` + "\n")
	for i, name := range names {
		fmt.Fprintf(&s, `<g transform="translate(%.0f %.0f)">`+"\n", float64(i%2)*panelWidth, 20+float64(i/2)*panelHeight)
		panel(&s, name, slices.DeleteFunc(slices.Clone(points), func(p point) bool { return p.Growth != name }))
		s.WriteString("</g>\n")
	}
	s.WriteString("</svg>\n")
	return s.String()
}

// panel draws one quantity's two lines.
func panel(s *strings.Builder, name string, points []point) {
	var x, rate, memory []float64
	for _, p := range points {
		x = append(x, float64(p.Value))
		rate = append(rate, float64(p.Bytes)/1e6/p.Seconds)
		memory = append(memory, float64(p.Memory>>20))
	}
	across := newAxis(x, margin, panelWidth-15)
	up := newAxis(slices.Concat(rate, memory), panelHeight-35, 15)
	fmt.Fprintf(s, `<text x="%.0f" y="%.0f" text-anchor="middle">%s</text>`+"\n", (margin+panelWidth-15)/2, panelHeight-6, name)
	for _, tick := range across.ticks() {
		fmt.Fprintf(s, `<text x="%.1f" y="%.0f" text-anchor="middle" fill="#666">%s</text>`+"\n", across.at(tick), panelHeight-20, short(tick))
	}
	for _, tick := range up.ticks() {
		fmt.Fprintf(s, `<path d="M%.0f %.1fH%.0f" stroke="#ddd"/><text x="%.0f" y="%.1f" text-anchor="end" fill="#666">%s</text>`+"\n",
			margin, up.at(tick), panelWidth-15, margin-4, up.at(tick)+4, short(tick))
	}
	line(s, across, up, x, rate, "#1f6fb2", func(x, y float64) string { return fmt.Sprintf(`<circle cx="%.1f" cy="%.1f" r="3"`, x, y) })
	line(s, across, up, x, memory, "#c0392b", func(x, y float64) string {
		return fmt.Sprintf(`<rect x="%.1f" y="%.1f" width="6" height="6"`, x-3, y-3)
	})
}

func line(s *strings.Builder, across, up axis, x, y []float64, colour string, mark func(x, y float64) string) {
	var way []string
	for i := range x {
		way = append(way, fmt.Sprintf("%.1f,%.1f", across.at(x[i]), up.at(y[i])))
		fmt.Fprintf(s, `%s fill="%s"/>`+"\n", mark(across.at(x[i]), up.at(y[i])), colour)
	}
	fmt.Fprintf(s, `<polyline points="%s" fill="none" stroke="%s"/>`+"\n", strings.Join(way, " "), colour)
}

// An axis is logarithmic, from a power of ten to another one.
type axis struct{ low, high, from, to float64 } // of powers, and in the picture

func newAxis(values []float64, from, to float64) axis {
	low := math.Floor(math.Log10(max(slices.Min(values), 0.1)))
	high := math.Ceil(math.Log10(max(slices.Max(values), 0.1)))
	return axis{low, max(high, low+1), from, to}
}

func (a axis) at(value float64) float64 {
	return a.from + (a.to-a.from)*(math.Log10(max(value, 0.1))-a.low)/(a.high-a.low)
}

func (a axis) ticks() []float64 {
	var ticks []float64
	for power := a.low; power <= a.high; power++ {
		ticks = append(ticks, math.Pow(10, power))
	}
	return ticks
}

func short(value float64) string {
	switch {
	case value >= 1e6:
		return fmt.Sprintf("%gM", value/1e6)
	case value >= 1e3:
		return fmt.Sprintf("%gk", value/1e3)
	}
	return fmt.Sprintf("%g", value)
}
