package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/segmentio/kafka-go"
)

// Values that weaken a promise do it only where the configuration says by a second word that this is meant: one that
// slipped in, by a copied file or a template, is refused.
const (
	shortRetention  = "short-retention"  // the trail expires
	fewerCopies     = "fewer-copies"     // an acknowledged record can be lost with one broker
	fewerOperations = "fewer-operations" // what the publication leaves out is not in the trail
)

var allowances = []string{shortRetention, fewerCopies, fewerOperations}

func (c *config) allows(what string) bool { return slices.Contains(c.Allow, what) }

// checkAllowed refuses values that weaken a promise and are not allowed, as far as the configuration alone shows it.
func (c *config) checkAllowed() error {
	for _, word := range c.Allow {
		if !slices.Contains(allowances, word) {
			return c.refuse("allow", word, strings.Join(allowances, ", "))
		}
	}
	if c.Topics.Retention != -1 && !c.allows(shortRetention) {
		return c.refuseWeak("topics.retention", c.Topics.Retention.String(), "the trail would expire", shortRetention)
	}
	return nil
}

// checkCopies refuses fewer copies than a cluster of this size can keep.
func (c *config) checkCopies(brokers int) error {
	n := c.Topics.Replication
	if n == 0 || n >= min(3, brokers) || c.allows(fewerCopies) {
		return nil
	}
	return c.refuseWeak("topics.replication", fmt.Sprint(n),
		fmt.Sprintf("there are %d brokers, and acknowledged records could be lost with one of them", brokers), fewerCopies)
}

func (c *config) refuseWeak(path, value, why, word string) error {
	where := ""
	if o, ok := c.origins[path]; ok {
		where = o.where + ": "
	}
	return usagef("%s%s: %q: %s; leave it out, or say that it is meant: allow: [%s]", where, path, value, why, word)
}

// weighCopies asks the brokers how many they are, where that decides. Brokers that do not answer are the session's
// business.
func (c *config) weighCopies(ctx context.Context) error {
	if n := c.Topics.Replication; n == 0 || n >= 3 || c.allows(fewerCopies) {
		return nil
	}
	cluster := openCluster(c, patience)
	defer cluster.close()
	m, err := cluster.client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{}})
	if err != nil {
		return nil
	}
	return c.checkCopies(len(m.Brokers))
}
