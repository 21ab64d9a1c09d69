// Package servers gives a test a PostgreSQL of a chosen version and an Apache Kafka of one or three brokers, from the
// first source that works:
//
//   - env: servers named by PGWITNESS_TEST_POSTGRES_18 (a superuser's URL; one variable a version) and
//     PGWITNESS_TEST_KAFKA (host:port,…). Tests that stop, kill or pause a server do not touch these: they start their
//     own from the other sources.
//   - docker: containers of postgres:VERSION and apache/kafka:4.3.0, where a Docker daemon answers and has the image or
//     can pull it. PGWITNESS_TEST_POSTGRES_IMAGE (in which %d stands for the version) and PGWITNESS_TEST_KAFKA_IMAGE
//     name other images.
//   - local: processes of this machine. PostgreSQL's binaries and Apache Kafka come from Maven Central through mvn and
//     are kept in PGWITNESS_TEST_CACHE (by default the user's cache directory; for root /var/cache, because PostgreSQL
//     then runs as postgres or nobody, who must be able to read it). Kafka needs Java 17.
//
// PGWITNESS_TEST_SERVERS=env, docker or local allows one source only. Where no source works the test fails and says
// what to install; nothing is skipped.
//
// Everything listens on loopback, and is stopped when the test, or with Main the test process, ends.
package servers
