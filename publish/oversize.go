package publish

import (
	"fmt"

	"pgwitness/decode"
)

// oversize applies the configured rule to a record that its topic does not take: trim leaves the images out and says
// so in the record, stop ends the run. Nothing is skipped. The caller holds s.mu.
func (s *Sink) oversize(p *partition, r *decode.Record, value []byte) ([]byte, error) {
	size := len(value)
	if s.cfg.Oversize == "trim" {
		s.trimmed = r.AppendTrimmed(keep(s.trimmed), value)
		if headerSize+len(r.Key)+len(r.NewKey)+len(s.trimmed)+recordOverhead <= p.topic.limit {
			s.cfg.Meter.Oversize(p.topic.name)
			s.log.Warn("record is larger than its topic takes: delivered without its images", "partition", p.String(),
				"id", r.ID.String(), "bytes", size, "limit", p.topic.limit)
			return s.trimmed, nil
		}
	}
	return nil, fmt.Errorf("record %s has %d bytes, but topic %s takes %d (max.message.bytes): "+
		"raise the topic's limit, or set topics.oversize: trim", r.ID, size, p.topic.name, p.topic.limit)
}
