package main

import (
	"cmp"
	"strings"
)

// A tailRecord is one record of a topic.
type tailRecord struct {
	partition partitionID
	offset    int64
	millis    int64  // commit time
	id        string // of the change, from the header
	value     []byte
}

// A tailPartition is a partition that is being followed. Its records wait here until no other partition can have an
// older one.
type tailPartition struct {
	id      partitionID
	leader  int
	away    bool  // no leader at the moment
	next    int64 // offset to fetch next
	end     int64 // the high watermark that was seen last, or where to stop
	waiting []tailRecord
}

// atEnd reports whether everything that was known to be in the partition has been fetched.
func (p *tailPartition) atEnd() bool { return p.next >= p.end }

// merge takes the records that are next in the order of commits. It stops where a partition has nothing waiting and is
// known to have more: that could be older.
func merge(partitions []*tailPartition, show func(tailRecord) error) error {
	for {
		var first *tailPartition
		for _, p := range partitions {
			switch {
			case len(p.waiting) == 0 && !p.atEnd():
				return nil
			case len(p.waiting) > 0 && (first == nil || olderRecord(p.waiting[0], first.waiting[0])):
				first = p
			}
		}
		if first == nil {
			return nil
		}
		record := first.waiting[0]
		first.waiting = first.waiting[1:]
		if err := show(record); err != nil {
			return err
		}
	}
}

// olderRecord compares commit times, which Kafka keeps in milliseconds, and within one the positions in the log.
func olderRecord(a, b tailRecord) bool {
	if c := cmp.Compare(a.millis, b.millis); c != 0 {
		return c < 0
	}
	aLog, aOrdinal := positionOf(a.id)
	bLog, bOrdinal := positionOf(b.id)
	return cmp.Or(strings.Compare(aLog, bLog), cmp.Compare(len(aOrdinal), len(bOrdinal)), strings.Compare(aOrdinal, bOrdinal)) < 0
}

// positionOf takes the commit's position (16 hexadecimal digits) and the ordinal out of a record's id:
// 7412345678901234567.1.16401-00000000016B3748-3.
func positionOf(id string) (log, ordinal string) {
	_, rest, _ := strings.Cut(id, "-")
	log, ordinal, _ = strings.Cut(rest, "-")
	return log, ordinal
}
