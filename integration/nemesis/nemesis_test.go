//go:build integration

package nemesis

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestRounds plays rounds until the number is reached, or until one fails.
func TestRounds(t *testing.T) {
	rounds, first := number(t, "NEMESIS_ROUNDS", 6), number(t, "NEMESIS_SEED", uint64(time.Now().UnixMilli()))
	w := newWorld(t, 18, 15)
	sum := newSummary()
	defer func() { t.Log(sum) }()
	for seed := first; seed < first+rounds; seed++ {
		r := newRound(w, seed)
		if only := os.Getenv("NEMESIS_PLAN"); only != "" {
			r.plan = choose(t, r.plan, only)
		}
		plan := r.plan
		passed := t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			for _, fault := range r.play(t) {
				t.Error(fault)
			}
			t.Logf("\n%s", strings.Join(r.story, "\n"))
			if t.Failed() {
				t.Logf("play it again with NEMESIS_SEED=%d NEMESIS_ROUNDS=1; everything is in %s", seed, r.dir)
			}
		})
		sum.add(r, plan, passed)
		if !passed {
			if os.Getenv("NEMESIS_SHRINK") == "1" {
				shrink(t, w, seed, plan)
			}
			if os.Getenv("NEMESIS_GO_ON") != "1" {
				return
			}
		}
	}
}

// number reads a setting.
func number(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// choose takes some of a plan, by their numbers.
func choose(t *testing.T, plan []disturbance, only string) []disturbance {
	t.Helper()
	var chosen []disturbance
	for text := range strings.SplitSeq(only, ",") {
		if text == "none" {
			continue
		}
		i, err := strconv.Atoi(text)
		if err != nil || i >= len(plan) {
			t.Fatalf("NEMESIS_PLAN: %q is not one of %d", text, len(plan))
		}
		chosen = append(chosen, plan[i])
	}
	return chosen
}
