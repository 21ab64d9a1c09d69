//go:build integration

package nemesis

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"pgwitness/integration/proxy"
)

// A disturbance is one thing that fails, and for how long.
type disturbance struct {
	what   what
	target int           // a broker, from 0
	key    int16         // a request of Kafka's
	skip   int           // so many of them pass before
	at     time.Duration // since the round began
	last   time.Duration
}

// What fails.
type what string

const (
	killWitness  what = "kill -9 pgwitness"
	termWitness  what = "SIGTERM pgwitness, start"
	stopWitness  what = "SIGSTOP pgwitness, SIGCONT"
	takeover     what = "SIGSTOP pgwitness, another takes over, SIGCONT"
	killAtAnswer what = "kill -9 pgwitness before it has Kafka's answer to"
	killAtAsking what = "kill -9 pgwitness before Kafka has its request"

	killBroker     what = "kill -9 broker"
	killAllBrokers what = "kill -9 all brokers"
	pauseBroker    what = "SIGSTOP broker, SIGCONT"
	pauseAll       what = "SIGSTOP all brokers, SIGCONT"
	moveLeaders    what = "move all leaders to broker"
	cutBroker      what = "cut connections to broker"
	silenceBroker  what = "connections go silent to broker"
	deafenBroker   what = "answers are lost of broker"
	slowBroker     what = "connections are slow to broker"
	strandBroker   what = "connections are half open to broker"
	loseAnswer     what = "an answer is lost to"

	killPostgres      what = "kill -9 postmaster, start"
	immediatePostgres what = "immediate restart of PostgreSQL"
	fastPostgres      what = "fast restart of PostgreSQL"
	crashBackend      what = "kill -9 a backend"
	pausePostgres     what = "SIGSTOP PostgreSQL, SIGCONT"
	endWalsender      what = "pg_terminate_backend of the walsender"
	cutPostgres       what = "cut connections to PostgreSQL"
	silencePostgres   what = "connections go silent to PostgreSQL"
	deafenPostgres    what = "PostgreSQL's words are lost"
	mutePostgres      what = "our words to PostgreSQL are lost"
	slowPostgres      what = "connections are slow to PostgreSQL"
	orphanPostgres    what = "connections are half open at PostgreSQL's side"

	endWitness  what = "pg_terminate_backend of the witness's walsender"
	endSessions what = "pg_terminate_backend of all sessions that pgwitness asks on"
	endWaiting  what = "pg_terminate_backend of a session that waits"
	cancelOne   what = "pg_cancel_backend of a session that waits"
)

// A kind says how often something comes, how long it lasts at most, and what it concerns: of the things named alike only
// one fails at a time.
type kind struct {
	what
	weight  int
	longest time.Duration
	on      string
}

var kinds = []kind{
	{killWitness, 16, 0, ""},
	{termWitness, 5, 0, ""},
	{stopWitness, 4, 4 * time.Second, "witness"},
	{takeover, 4, 3 * time.Second, "witness"},
	{killAtAnswer, 12, 4 * time.Second, "witness"},
	{killAtAsking, 8, 4 * time.Second, "witness"},

	{killBroker, 4, 3 * time.Second, "broker"},
	{killAllBrokers, 1, 2 * time.Second, "brokers"},
	{pauseBroker, 5, 4 * time.Second, "broker"},
	{pauseAll, 2, 3 * time.Second, "brokers"},
	{moveLeaders, 6, 0, ""},
	{cutBroker, 5, 0, ""},
	{silenceBroker, 4, 4 * time.Second, "net"},
	{deafenBroker, 5, 3 * time.Second, "net"},
	{slowBroker, 3, 4 * time.Second, "net"},
	{strandBroker, 2, 0, ""},
	{loseAnswer, 8, 4 * time.Second, ""},

	{killPostgres, 4, 0, "postgres"},
	{immediatePostgres, 3, 0, "postgres"},
	{fastPostgres, 2, 0, "postgres"},
	{crashBackend, 4, 0, "postgres"},
	{pausePostgres, 3, 3 * time.Second, "postgres"},
	{endWalsender, 4, 0, ""},
	{cutPostgres, 5, 0, ""},
	{silencePostgres, 3, 3 * time.Second, "postgres net"},
	{deafenPostgres, 3, 3 * time.Second, "postgres net"},
	{mutePostgres, 3, 3 * time.Second, "postgres net"},
	{slowPostgres, 2, 3 * time.Second, "postgres net"},
	{orphanPostgres, 3, 0, ""},
}

// heldKinds come in rounds with hold only.
var heldKinds = []kind{
	{endWitness, 6, 0, ""},
	{endSessions, 6, 0, ""},
	{endWaiting, 6, 0, ""},
	{cancelOne, 4, 0, ""},
}

// keys are the requests whose answers are worth losing, those of the start more often than there are.
var keys = []struct {
	key  int16
	name string
	skip int // at most
}{
	{proxy.Produce, "Produce", 60}, {proxy.Produce, "Produce", 5}, {proxy.Produce, "Produce", 300},
	{proxy.Fetch, "Fetch", 12}, {proxy.ListOffsets, "ListOffsets", 6},
	{proxy.CreateTopics, "CreateTopics", 4}, {proxy.InitProducerID, "InitProducerId", 1},
	{proxy.AddPartitionsToTxn, "AddPartitionsToTxn", 6}, {proxy.EndTxn, "EndTxn", 6},
	{proxy.Metadata, "Metadata", 10}, {proxy.FindCoordinator, "FindCoordinator", 2}, {proxy.DescribeConfigs, "DescribeConfigs", 2},
}

const workingTime = 8 * time.Second // how long the workload of a round goes on

// newPlan draws a round's disturbances, in the order of their beginning.
func newPlan(random *rand.Rand, hold bool) []disturbance {
	var plan []disturbance
	kinds := kinds
	if hold {
		kinds = slices.Concat(kinds, heldKinds)
	}
	total := 0
	for _, k := range kinds {
		total += k.weight
	}
	busy := make(map[string][]disturbance)
	for range 5 + random.IntN(10) {
		i, n := 0, random.IntN(total)
		for ; n >= kinds[i].weight; i++ {
			n -= kinds[i].weight
		}
		k := kinds[i]
		d := disturbance{what: k.what, at: time.Duration(random.Int64N(int64(workingTime)))}
		if k.longest > 0 {
			d.last = k.longest/20 + time.Duration(random.Int64N(int64(k.longest)))
		}
		d.target = random.IntN(3)
		request := keys[random.IntN(len(keys))]
		d.key, d.skip = request.key, random.IntN(request.skip+1)
		if k.on != "" && collides(busy, k.on, d) {
			continue
		}
		plan = append(plan, d)
	}
	slices.SortFunc(plan, func(a, b disturbance) int { return int(a.at - b.at) })
	return plan
}

// collides enters what a disturbance concerns, unless something concerns it at that time already.
func collides(busy map[string][]disturbance, on string, d disturbance) bool {
	things := []string{on}
	switch on {
	case "broker", "net":
		things = []string{fmt.Sprint(on, d.target)}
	case "brokers":
		things = []string{"broker0", "broker1", "broker2"}
	}
	for _, t := range things {
		for _, other := range busy[t] {
			if d.at < other.at+other.last+time.Second && other.at < d.at+d.last+time.Second {
				return true
			}
		}
	}
	for _, t := range things {
		busy[t] = append(busy[t], d)
	}
	return false
}

func (d disturbance) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%5.2fs %s", d.at.Seconds(), d.what)
	switch d.what {
	case killAtAnswer, killAtAsking, loseAnswer:
		name := fmt.Sprint(d.key)
		for _, k := range keys {
			if k.key == d.key {
				name = k.name
			}
		}
		fmt.Fprintf(&b, " %s (after %d)", name, d.skip)
	case killBroker, pauseBroker, moveLeaders, cutBroker, silenceBroker, deafenBroker, slowBroker, strandBroker:
		fmt.Fprintf(&b, " %d", d.target+1)
	}
	if d.last > 0 {
		fmt.Fprintf(&b, ", for %.2fs", d.last.Seconds())
	}
	return b.String()
}
