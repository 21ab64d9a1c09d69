// Package nemesis lets everything that can fail fail, at random, while a random workload runs, and then judges the
// topics: in the spirit of CockroachDB's changefeed nemeses and validators.
//
// A round has a seed. From it come the workload (workload.go), the settings of pgwitness and a plan of disturbances
// (plan.go); the round carries them out (round.go) while a supervisor keeps pgwitness running as a service manager would
// (supervisor.go) and a sampler notes what the slot has been told together with where the topics end (sample.go). Then
// the books of the database are held against the topics (judge.go).
//
//	NEMESIS_ROUNDS   how many rounds (10)
//	NEMESIS_SEED     the first round's seed; the next ones follow it
//	NEMESIS_SHRINK   1: a round that failed is played again with fewer disturbances, down to the ones that it needs
//	NEMESIS_KEEP     a directory for what failed rounds leave: logs, topics, books (one is made otherwise)
//	NEMESIS_PLAN     with a seed: which of its disturbances to play, such as 0,3,4 (what shrinking prints)
package nemesis
