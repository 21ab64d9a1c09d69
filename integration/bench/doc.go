// Package bench measures pgwitness beside what else reads the same log: pg_recvlogical, which throws everything away and
// shows what the server can send, and Debezium in Kafka Connect. Contestants take turns on copies of one slot, so each
// finds the same backlog. What is printed holds for the machine and the minute it ran in; only ratios within a round
// travel. Every delivery is checked: a rate of rows that did not arrive is none. docs/performance.md says how to run it.
package bench
