package publish

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pglogrepl"

	"pgwitness/decode"
)

// ErrRerouted ends a run, after an ordinary Finish, whose routing is to change: the next run, which has nothing to
// skip, begins with the new one.
var ErrRerouted = errors.New("the routing of records changes; start again")

// A route says where a target's records go. Skipping what is already there is safe only by the route that it was sent
// by: under another one, a record meant for one partition would be compared with the tail of another. So routes stand
// in the control topic before they are used, and hold until nothing that was sent by them can come again: a change is
// taken up by a run that has nothing to skip.
type route struct {
	Schema     string    `json:"schema"`
	Table      string    `json:"table"`
	Topic      string    `json:"topic"`
	Partitions int       `json:"partitions"`
	Key        []string  `json:"key"`            // the columns of the record key
	Root       *name     `json:"root,omitempty"` // whose topic it is, where that is not the table itself
	Masking    *masking  `json:"masking,omitempty"`
	Earlier    []masking `json:"earlier,omitempty"` // of other tables that bore the name

	used bool // by this run
}

type name struct {
	Schema string `json:"schema"`
	Table  string `json:"table"`
}

// leaf is the table.
func (r *route) leaf() decode.Target { return decode.Target{Schema: r.Schema, Table: r.Table} }

// owner is the table that the topic is named after.
func (r *route) owner() decode.Target {
	if r.Root != nil {
		return decode.Target(*r.Root)
	}
	return r.leaf()
}

// aim makes the route lead to the topic that the configuration asks for.
func (s *Sink) aim(r *route, root *decode.Target) {
	r.Root, r.Partitions = nil, 0
	if root != nil && !s.cfg.Leaf {
		r.Root = &name{root.Schema, root.Table}
	}
	owner := r.owner()
	r.Topic = s.topicName(&owner)
}

func (s *Sink) topicName(t *decode.Target) string {
	if name, ok := s.cfg.Names[t.Schema+"."+t.Table]; ok && t.Schema != "" {
		return name
	}
	return TopicName(s.cfg.Prefix, t)
}

// A Table is a table to come: its own target, and its partitioned root's when it is a partition.
type Table struct {
	decode.Target
	Root *decode.Target
}

// Prepare takes up the routing of the run before, opens the topics of the tables together and says in the control topic
// that a run has started. A table that is not prepared is opened by its first record.
func (s *Sink) Prepare(ctx context.Context, tables []Table) error {
	if err := s.checkGaps(ctx); err != nil {
		return err
	}
	recorded, err := s.recorded(ctx)
	if err != nil {
		return err
	}
	for _, r := range recorded.Routes {
		s.routes[r.leaf()] = &r
	}
	s.former = recorded.Former
	var fresh []*route
	for _, t := range tables {
		if s.routes[t.Target] == nil {
			fresh = append(fresh, s.add(t.Target, t.Root))
		}
	}
	if err := s.openRoutes(ctx, fresh); err != nil {
		return err
	}
	if err := s.checkEnds(ctx, recorded.Ends); err != nil {
		return err
	}
	if err := s.checkStart(ctx); err != nil {
		return err
	}
	if err := s.noteRoutes(ctx); err != nil {
		return err
	}
	start := lsn(s.cfg.Start)
	if err := s.noteNow(ctx, note{Op: "started", Position: &start}); err != nil {
		return err
	}
	s.flights.Go(func() { s.renew(s.ctx) })
	return nil
}

// recorded reads the routes and the topics' ends as the run before left them.
func (s *Sink) recorded(ctx context.Context) (note, error) {
	var routes, ends note
	route, end := s.state.Route, s.state.Ends
	var err error
	if route >= 0 {
		if routes, route, err = s.noteFrom(ctx, route, func(n *note) bool { return n.Op == "routing" }); err != nil {
			return note{}, err
		}
	}
	if end >= 0 {
		hasEnds := func(n *note) bool { return n.Op == "bound" || n.Op == "routing" || n.Op == "stopped" }
		if ends, end, err = s.noteFrom(ctx, end, hasEnds); err != nil {
			return note{}, err
		}
	}
	s.mu.Lock()
	s.state.Route, s.state.Ends = route, end
	s.mu.Unlock()
	routes.Ends = ends.Ends
	return routes, nil
}

// add makes a route for a table that has none: no record of it was ever sent.
func (s *Sink) add(leaf decode.Target, root *decode.Target) *route {
	r := &route{Schema: leaf.Schema, Table: leaf.Table}
	s.aim(r, root)
	s.routes[leaf] = r
	s.dirty = true
	return r
}

// openRoutes opens the topics of all routes that are not open yet. The topics of fresh ones are new to the trail, unless
// another route leads there.
func (s *Sink) openRoutes(ctx context.Context, fresh []*route) error {
	var topics []*topic
	for _, target := range slices.SortedFunc(maps.Keys(s.routes), compareTargets) {
		r := s.routes[target]
		t := s.topics[r.Topic]
		if t == nil {
			if err := CheckTopicName(r.Topic); err != nil {
				return fmt.Errorf("table %s.%s: %w: give it a name in topics.names", r.Schema, r.Table, err)
			}
			t = &topic{name: r.Topic, target: r.owner()}
			s.topics[r.Topic] = t
			topics = append(topics, t)
		}
		if t.target != r.owner() {
			return fmt.Errorf("tables %s.%s and %s.%s would share topic %s: give one of them another name in topics.names",
				t.target.Schema, t.target.Table, r.owner().Schema, r.owner().Table, r.Topic)
		}
	}
	if len(topics) > 0 {
		scans, err := s.openTopics(ctx, topics)
		if err != nil {
			return err
		}
		for _, sc := range scans {
			if err := s.takeTail(ctx, sc); err != nil {
				return err
			}
		}
	}
	for _, r := range s.routes {
		t := s.topics[r.Topic]
		switch n := len(t.partitions); {
		case r.Partitions == 0:
			r.Partitions = n
		case r.Partitions < n && s.leaves(r):
			// Somebody added partitions, and the operator gave the table another topic. Until it is taken up, records
			// go where they went before: there are none of ours in the partitions that were added.
			t.partitions = t.partitions[:r.Partitions]
		case r.Partitions != n:
			return fmt.Errorf("topic %s has %d partitions, but its records were sent to %d: keys would move to other partitions; "+
				"give table %s.%s a new topic in topics.names", r.Topic, n, r.Partitions, r.Schema, r.Table)
		}
	}
	return s.checkFresh(ctx, fresh)
}

// checkFresh finds topics that have records although the control topic knows nothing of them. One that a route led to
// earlier is known: its records lie below the floor that was set when the route left it.
func (s *Sink) checkFresh(ctx context.Context, fresh []*route) error {
	known := make(map[string]bool)
	for _, topic := range s.former {
		known[topic] = true
	}
	for _, r := range s.routes {
		if !slices.Contains(fresh, r) {
			known[r.Topic] = true
		}
	}
	for _, r := range fresh {
		for _, p := range s.topics[r.Topic].partitions {
			if !p.tail.known || known[r.Topic] {
				continue
			}
			err := s.gap(ctx, Gap{Reason: "unknown", Topic: p.String(),
				Detail: fmt.Sprintf("%s has records, but the control topic does not say how they were routed: it was deleted, or the topic belongs to something else", p)})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// leaves reports whether the configuration asks for another topic than the one that the route leads to.
func (s *Sink) leaves(r *route) bool {
	var root *decode.Target
	if r.Root != nil {
		root = &decode.Target{Schema: r.Root.Schema, Table: r.Root.Table}
	}
	now := *r
	s.aim(&now, root)
	return now.Topic != r.Topic
}

func compareTargets(a, b decode.Target) int {
	if c := strings.Compare(a.Schema, b.Schema); c != 0 {
		return c
	}
	return strings.Compare(a.Table, b.Table)
}

// checkEnds compares the topics' ends with those noted last. They never go back, unless a topic was created anew or
// the brokers lost records.
func (s *Sink) checkEnds(ctx context.Context, ends map[string][]int64) error {
	for _, name := range slices.Sorted(maps.Keys(ends)) {
		t := s.topics[name]
		for i, end := range ends[name] {
			if t == nil || i >= len(t.partitions) || t.partitions[i].next >= end {
				continue
			}
			err := s.gap(ctx, Gap{Reason: "records", Topic: fmt.Sprintf("%s-%d-%d", name, i, end),
				Detail: fmt.Sprintf("%s had records up to offset %d and is shorter now: the topic was created anew, or the brokers lost records", t.partitions[i], end-1)})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// checkStart compares the slot with the trail: it stands at or below the last bound, because nothing beyond it was
// ever confirmed.
func (s *Sink) checkStart(ctx context.Context) error {
	bound, start := s.state.Bound, lsn(s.cfg.Start)
	if s.resumed && start > bound {
		err := s.gap(ctx, Gap{Reason: "moved", From: &bound, To: &start,
			Detail: fmt.Sprintf("the slot stands at %s, but nothing beyond %s was ever confirmed: it was moved or made anew, and what committed between is not in the trail",
				s.cfg.Start, pglogrepl.LSN(bound))})
		if err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Bound = max(s.state.Bound, start) // stands in the next control record, which is this run's start
	s.bounds.checked = true
	return nil
}

// reset makes the slot's position the floor of the routing that is about to change. There must be
// nothing to skip; then all that committed below it is delivered, by whatever routing. The caller holds s.mu.
func (s *Sink) reset() {
	s.state.Floor = max(s.state.Floor, lsn(s.cfg.Start))
	s.dirty = true
}

// noteRoutes writes the routing down before it is used.
func (s *Sink) noteRoutes(ctx context.Context) error {
	if !s.dirty {
		return nil
	}
	routes := make([]route, 0, len(s.routes))
	for _, target := range slices.SortedFunc(maps.Keys(s.routes), compareTargets) {
		routes = append(routes, *s.routes[target])
	}
	s.dirty = false
	s.mu.Lock()
	ends := s.endsNow()
	s.mu.Unlock()
	return s.noteNow(ctx, note{Op: "routing", Routes: routes, Former: s.former, Ends: ends})
}

// endsNow lists the next offset of each partition but the control topic's, 0 where it is not known. The caller holds
// s.mu.
func (s *Sink) endsNow() map[string][]int64 {
	ends := make(map[string][]int64, len(s.fenced))
	for _, p := range s.fenced {
		if p == s.control {
			continue
		}
		ends[p.topic.name] = append(ends[p.topic.name], max(p.next, 0))
	}
	return ends
}

// A lead is a table's topic as Send remembers it.
type lead struct {
	root    *decode.Target  // as it was then: a table may be attached to another one
	masking *decode.Masking // likewise
	topic   *topic
}

// resolve finds the topic of a record's table, and opens it when this is the first record.
func (s *Sink) resolve(ctx context.Context, rec *decode.Record) (*topic, error) {
	r := s.routes[*rec.Target]
	if r == nil {
		r = s.add(*rec.Target, rec.Root)
		if err := s.openRoutes(ctx, []*route{r}); err != nil {
			return nil, err
		}
	} else if err := s.follow(ctx, r, rec.Root); err != nil {
		return nil, err
	}
	if err := s.remember(r, rec); err != nil {
		return nil, err
	}
	if r.Key == nil && len(rec.Columns) > 0 {
		r.Key = rec.Columns
		s.dirty = s.dirty || r.Partitions > 1
	}
	if err := s.noteRoutes(ctx); err != nil {
		return nil, err
	}
	r.used = true
	t := s.topics[r.Topic]
	s.leads[rec.Target] = lead{rec.Root, rec.Masking, t}
	return t, nil
}

// follow lets a route lead where the configuration and the table's root say now, as soon as nothing that was sent by it
// can come again.
func (s *Sink) follow(ctx context.Context, r *route, root *decode.Target) error {
	now := *r
	s.aim(&now, root)
	if now.Topic == r.Topic {
		return nil
	}
	s.mu.Lock()
	wait := r.used || s.unmet > 0
	if !wait {
		s.reset()
	}
	s.mu.Unlock()
	if wait {
		s.reroute = true
		return nil
	}
	if !slices.Contains(s.former, r.Topic) {
		s.former = append(s.former, r.Topic)
	}
	*r = now
	return s.openRoutes(ctx, []*route{r})
}

// Settle is meant for decode.Source. A table that is gone has the key and the root that were recorded. Otherwise the
// catalogue's key holds, unless the topic has several partitions and records under another one may be in them.
func (s *Sink) Settle(table *decode.Target, now *decode.RelationInfo) *decode.RelationInfo {
	r := s.routes[*table]
	if r == nil {
		return now
	}
	if now == nil {
		now = &decode.RelationInfo{PrimaryKey: r.Key}
		if r.Root != nil {
			now.RootSchema, now.RootTable = r.Root.Schema, r.Root.Table
		}
		return now
	}
	if r.Partitions <= 1 || r.Key == nil || sameColumns(r.Key, now.PrimaryKey) {
		return now
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.used || s.unmet > 0 {
		s.reroute = true
		now.PrimaryKey = r.Key
		return now
	}
	r.Key = now.PrimaryKey
	s.reset()
	return now
}

// sameColumns compares without order: a key's JSON has the table's.
func sameColumns(a, b []string) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(name string) bool { return !slices.Contains(b, name) })
}
