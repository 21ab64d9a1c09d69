//go:build integration

package servers

import (
	"fmt"
	"os"
	"strings"
)

// envKafka takes the cluster that PGWITNESS_TEST_KAFKA names.
func envKafka() (*Kafka, error) {
	value := os.Getenv("PGWITNESS_TEST_KAFKA")
	if value == "" {
		return nil, fmt.Errorf("%w: PGWITNESS_TEST_KAFKA is not set to host:port,…", errAbsent)
	}
	k := &Kafka{}
	for i, address := range strings.Split(value, ",") {
		k.Brokers = append(k.Brokers, &Broker{ID: i + 1, Address: address})
	}
	for _, b := range k.Brokers {
		if err := k.ask(b); err != nil {
			return nil, fmt.Errorf("PGWITNESS_TEST_KAFKA: %s: %w", b.Address, err)
		}
	}
	return k, nil
}
