//go:build integration

package nemesis

import "regexp"

var (
	numbers = regexp.MustCompile(`[0-9A-F]+/[0-9A-F]+|[0-9]+`)
	names   = regexp.MustCompile(`(p|w|d)[0-9a-f]{12}`)
)

// reason is a line without what differs from round to round.
func reason(line string) string {
	line = names.ReplaceAllString(line, "$1…")
	line = numbers.ReplaceAllString(line, "#")
	if len(line) > 300 {
		line = line[:300]
	}
	return line
}
