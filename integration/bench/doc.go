// Package bench measures pgwitness against the server's own client on the same backlog: how long it takes until
// 600,000 rows that a slot holds are acknowledged by Kafka, beside pg_recvlogical, which throws them away. What it
// prints holds for the machine and the minute it ran in; only the ratio travels. Every delivery is checked: a rate of
// rows that did not arrive is none.
package bench
