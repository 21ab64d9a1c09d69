package publish

import (
	"math/rand/v2"
	"testing"

	"github.com/jackc/pglogrepl"
)

// TestProgressIsThePrefix acknowledges records in random order and compares with the definition.
func TestProgressIsThePrefix(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		var p progress
		var marks []mark
		pending := map[uint64]bool{}
		pos := pglogrepl.LSN(100)
		for range 400 {
			switch random.IntN(4) {
			case 0, 1:
				pending[p.next] = true
				p.next++
			case 2:
				pos += pglogrepl.LSN(random.IntN(3))
				p.mark(pos)
				marks = append(marks, mark{p.next, pos})
			case 3:
				for n := range pending { // any of them
					delete(pending, n)
					break
				}
			}
			oldest := p.next
			for n := range pending {
				oldest = min(oldest, n)
			}
			was := p.durable
			advanced := p.settle(oldest)
			var want pglogrepl.LSN
			for _, m := range marks {
				if m.upto <= oldest {
					want = max(want, m.pos)
				}
			}
			if p.durable != want || advanced != (p.durable > was) {
				t.Fatalf("durable %d (advanced %v, was %d), want %d", p.durable, advanced, was, want)
			}
			if len(p.marks)-p.settled > len(pending)+1 && len(p.marks)-p.settled > int(p.next) {
				t.Fatalf("%d open marks for %d records", len(p.marks)-p.settled, p.next)
			}
		}
	}
}
