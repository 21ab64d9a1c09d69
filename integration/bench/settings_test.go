//go:build integration

package bench

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// chosen keeps those whose names an environment variable lists, separated by commas; all of them where it is not set.
func chosen[T any](b *testing.B, variable string, all []T, name func(T) string) []T {
	b.Helper()
	list := os.Getenv(variable)
	if list == "" {
		return all
	}
	var known []string
	for _, x := range all {
		known = append(known, name(x))
	}
	var picked []T
	for _, want := range strings.Split(list, ",") {
		i := slices.Index(known, want)
		if i < 0 {
			b.Fatalf("%s: there is no %q among %s", variable, want, strings.Join(known, ","))
		}
		picked = append(picked, all[i])
	}
	return picked
}

// number is the value of an environment variable, or what it is otherwise.
func number(b *testing.B, variable string, otherwise int) int {
	b.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		b.Fatalf("%s=%s: want a number above 0", variable, text)
	}
	return n
}
