// Package nemesis lets everything that can fail fail, at random, while a random workload runs, and then judges the
// topics: in the spirit of CockroachDB's changefeed nemeses and validators.
//
// A round has a seed. From it come the workload (workload.go), the settings of pgwitness and a plan of disturbances
// (plan.go); the round carries them out (round.go) while a supervisor keeps pgwitness running as a service manager would
// (supervisor.go) and a sampler notes what the slot has been told together with where the topics end (sample.go). Then
// the books of the database are held against the topics (judge.go).
//
// Every second round is one with hold (hold.go): each commit of the workload waits for pgwitness, from before it runs and
// through whatever happens to it. The books also say who made each transaction (who.go): a named actor must never be
// wrong, and under hold every transaction whose commit the client saw succeed must have one. Exempt are the others whose
// commit stands, because the session did not wait to the end: the server crashed or was shut down, the session was killed
// or ended, or its wait was cancelled. These may be named or not.
//
//	NEMESIS_ROUNDS   how many rounds (10)
//	NEMESIS_SEED     the first round's seed; the next ones follow it
//	NEMESIS_HOLD     1: every round is one with hold; 0: none is
//	NEMESIS_SHRINK   1: a round that failed is played again with fewer disturbances, down to the ones that it needs
//	NEMESIS_KEEP     a directory for what failed rounds leave: logs, topics, books (one is made otherwise)
//	NEMESIS_PLAN     with a seed: which of its disturbances to play, such as 0,3,4 (what shrinking prints)
package nemesis
