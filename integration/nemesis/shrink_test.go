//go:build integration

package nemesis

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

const attempts = 3 // to fail again: the same seed does not give the same interleaving

// shrink plays a round that failed with fewer and fewer disturbances, as long as it fails.
func shrink(t *testing.T, w *world, seed uint64, plan []disturbance) {
	needed := make([]int, len(plan))
	for i := range plan {
		needed[i] = i
	}
	for size := (len(needed) + 1) / 2; size > 0; size /= 2 {
		for from := 0; from < len(needed); {
			fewer := slices.Delete(slices.Clone(needed), from, min(from+size, len(needed)))
			if failsAgain(t, w, seed, plan, fewer) {
				needed = fewer
			} else {
				from += size
			}
		}
	}
	var list []string
	numbers := []string{}
	for _, i := range needed {
		list = append(list, plan[i].String())
		numbers = append(numbers, fmt.Sprint(i))
	}
	only := strings.Join(numbers, ",")
	if only == "" {
		only = "none"
	}
	t.Logf("seed %d fails with these alone (NEMESIS_SEED=%[1]d NEMESIS_ROUNDS=1 NEMESIS_PLAN=%s):\n%s", seed, only, strings.Join(list, "\n"))
}

func failsAgain(t *testing.T, w *world, seed uint64, plan []disturbance, only []int) bool {
	for range attempts {
		r := newRound(w, seed)
		r.plan = nil
		for _, i := range only {
			r.plan = append(r.plan, plan[i])
		}
		failed := false
		t.Run(fmt.Sprintf("seed %d with %v", seed, only), func(t *testing.T) {
			faults := r.play(t)
			failed = len(faults) > 0
			t.Logf("%v", faults)
		})
		if failed {
			return true
		}
	}
	return false
}
