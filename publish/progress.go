package publish

import "github.com/jackc/pglogrepl"

// progress knows the longest prefix of what was sent that is acknowledged. Records are numbered in the order of
// sending; a mark says that all records with a lower number belong to positions at or below its own.
//
//	durable = max { m.pos : every record numbered < m.upto is acknowledged }
type progress struct {
	next    uint64 // the next record's number
	marks   []mark // in order; both fields grow strictly; marks[:settled] are done with
	settled int
	durable pglogrepl.LSN
}

type mark struct {
	upto uint64
	pos  pglogrepl.LSN
}

// mark notes a position. Marks without a record between them become one, so there are never more open marks than
// records under way.
func (p *progress) mark(pos pglogrepl.LSN) {
	if n := len(p.marks); n > p.settled {
		last := &p.marks[n-1]
		if last.pos >= pos {
			return // positions do not go back: nothing new is said
		}
		if last.upto == p.next {
			last.pos = pos
			return
		}
	}
	p.marks = append(p.marks, mark{p.next, pos})
}

// newest is the last position marked.
func (p *progress) newest() pglogrepl.LSN {
	if n := len(p.marks); n > p.settled {
		return p.marks[n-1].pos
	}
	return p.durable
}

// settle takes the number of the oldest record that is not acknowledged and reports whether durable advanced.
func (p *progress) settle(oldest uint64) bool {
	before := p.durable
	for p.settled < len(p.marks) && p.marks[p.settled].upto <= oldest {
		p.durable = max(p.durable, p.marks[p.settled].pos)
		p.settled++
	}
	if 2*p.settled >= len(p.marks) { // amortised: each mark is moved at most once
		p.marks = append(p.marks[:0], p.marks[p.settled:]...)
		p.settled = 0
	}
	return p.durable > before
}
