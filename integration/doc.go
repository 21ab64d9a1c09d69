// Package integration judges the promises of pgwitness from outside: it runs the real binary against a real PostgreSQL
// and a real Apache Kafka, plays workloads, and compares what the topics hold with what the database says happened.
// Nothing in it looks into the product's packages.
//
// The servers come from the package servers: named by environment variables, in containers, or as local processes,
// whichever works first. The tests that need them carry the build tag "integration", so that "go test ./..." stays
// hermetic; "make test" runs both.
package integration
