package main

import (
	"fmt"
	"time"
)

// bytesText shows a size the way PostgreSQL's pg_size_pretty does: in binary units.
func bytesText(n int64) string {
	units := []string{"bytes", "kB", "MB", "GB", "TB", "PB"}
	i, f := 0, float64(n)
	for f >= 10240 && i < len(units)-1 {
		f /= 1024
		i++
	}
	if i == 0 {
		return fmt.Sprintf("%d bytes", n)
	}
	return fmt.Sprintf("%.0f %s", f, units[i])
}

// secondsText shows a lag.
func secondsText(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	if d < time.Minute {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
