//go:build integration

package nemesis

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/segmentio/kafka-go"

	"pgwitness/integration/proxy"
	"pgwitness/integration/servers"
)

// An ending ends a disturbance that lasts.
type ending struct {
	at   time.Duration
	what string
	do   func()
}

// next waits for what comes next, the beginning of a disturbance or the end of one, and does it.
func (r *round) next(t *testing.T) {
	first := -1
	for i := range r.ends {
		if first < 0 || r.ends[i].at < r.ends[first].at {
			first = i
		}
	}
	if len(r.plan) > 0 && (first < 0 || r.plan[0].at <= r.ends[first].at) {
		d := r.plan[0]
		r.plan = r.plan[1:]
		rest(t.Context(), time.Until(r.began.Add(d.at)))
		r.tell("%s", d)
		if end := r.disturb(t, d); end != nil {
			r.ends = append(r.ends, ending{time.Since(r.began) + d.last, string(d.what), end})
		}
		return
	}
	e := r.ends[first]
	r.ends = append(r.ends[:first], r.ends[first+1:]...)
	rest(t.Context(), time.Until(r.began.Add(e.at)))
	r.tell("end of: %s", e.what)
	e.do()
}

// disturb does what a disturbance says, and returns how to end it, nil when it is over.
func (r *round) disturb(t *testing.T, d disturbance) (end func()) {
	switch d.what {
	case killWitness, termWitness, stopWitness, takeover, killAtAnswer, killAtAsking:
		return r.disturbWitness(t, d)
	case killPostgres, immediatePostgres, fastPostgres, crashBackend, pausePostgres, endWalsender:
		return r.disturbPostgres(t, d)
	case killBroker, killAllBrokers, pauseBroker, pauseAll, moveLeaders:
		return r.disturbBrokers(t, d)
	case endWitness, endSessions, endWaiting, cancelOne:
		r.disturbSessions(t, d)
		return nil
	}
	return r.disturbNet(d)
}

func (r *round) disturbWitness(t *testing.T, d disturbance) func() {
	s := r.supervisor
	switch d.what {
	case killWitness:
		s.kill()
	case termWitness:
		s.signal(syscall.SIGTERM)
	case stopWitness:
		i := s.signal(syscall.SIGSTOP)
		return func() { i.Signal(syscall.SIGCONT) }
	case takeover:
		zombie := s.abandon()
		taken := r.endWalsender(t, r.slot)
		if r.hold {
			r.endWalsender(t, r.witness())
		}
		return func() { s.wake(zombie, taken) }
	case killAtAnswer, killAtAsking:
		hold := proxy.CatchRequest
		if d.what == killAtAnswer {
			hold = proxy.CatchAnswer
		}
		c := hold(r.brokers, d.key, d.skip)
		over := make(chan struct{})
		var killing sync.WaitGroup
		killing.Go(func() {
			select {
			case <-c.Caught():
				r.tell("caught: %s", d)
				s.kill()
			case <-over:
			}
			c.Forward()
		})
		return func() { close(over); killing.Wait() }
	}
	return nil
}

func (r *round) disturbPostgres(t *testing.T, d disturbance) func() {
	p := r.source.Postgres
	if r.restarting.Load() > 0 {
		r.tell("left out: PostgreSQL is still starting")
		return nil
	}
	switch d.what {
	case killPostgres:
		p.Kill(t)
		r.restart(func() { p.Start(t) })
	case immediatePostgres:
		r.restart(func() { p.Restart(t, servers.Immediate) })
	case fastPostgres:
		r.restart(func() { p.Restart(t, servers.Fast) })
	case crashBackend:
		// The server's own user kills, whichever machine it is on; everybody is sent away, and it recovers.
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := r.ask(ctx, func(c *pgx.Conn) error { return c.Ping(ctx) }); err != nil {
			r.tell("crash of a backend: %v", err)
			return nil
		}
		err := r.exec(ctx, `do $$ declare victim int; begin
			select pid into victim from pg_stat_activity where application_name like 'nemesis %' limit 1;
			if victim is not null then execute format('copy (select 1) to program %L', 'kill -9 ' || victim); end if;
			end $$`)
		if err != nil {
			r.tell("crash of a backend: %v", err)
		}
		p.Await(t)
	case pausePostgres:
		p.Pause(t)
		return func() { p.Resume(t) }
	case endWalsender:
		r.endWalsender(t, r.slot)
	}
	return nil
}

// disturbSessions ends sessions under hold.
func (r *round) disturbSessions(t *testing.T, d disturbance) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	switch d.what {
	case endWitness:
		r.endWalsender(t, r.witness())
	case endSessions:
		r.endSessions(ctx)
	case endWaiting:
		r.endOne(ctx, "pg_terminate_backend")
	case cancelOne:
		r.endOne(ctx, "pg_cancel_backend")
	}
}

// endWalsender ends the session that holds a slot, and reports whether there was one.
func (r *round) endWalsender(t *testing.T, slot string) bool {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	ended := false
	err := r.ask(ctx, func(c *pgx.Conn) error {
		return c.QueryRow(ctx, "select coalesce(pg_terminate_backend(active_pid), false) from pg_replication_slots where slot_name = $1", slot).Scan(&ended)
	})
	if err != nil {
		r.tell("pg_terminate_backend: %v", err)
	}
	return ended
}

func (r *round) disturbBrokers(t *testing.T, d disturbance) func() {
	all := r.kafka.Brokers
	one := all[d.target]
	if d.what != moveLeaders && r.rising.Load() > 0 {
		r.tell("left out: a broker is still starting")
		return nil
	}
	switch d.what {
	case killBroker:
		one.Kill(t)
		return func() { r.raise(func() { r.tell("the brokers run again") }) }
	case killAllBrokers:
		for _, b := range all {
			b.Kill(t)
		}
		return func() { r.raise(func() { r.tell("the brokers run again") }) }
	case pauseBroker:
		one.Pause(t)
		return func() { one.Resume(t) }
	case pauseAll:
		for _, b := range all {
			b.Pause(t)
		}
		return func() {
			for _, b := range all {
				b.Resume(t)
			}
		}
	case moveLeaders:
		if err := r.moveLeaders(t.Context(), d.target); err != nil {
			r.tell("move leaders: %v", err)
		}
	}
	return nil
}

// restart lets PostgreSQL start while the round goes on.
func (r *round) restart(start func()) {
	r.restarting.Add(1)
	r.restarts.Go(func() {
		defer r.restarting.Add(-1)
		start()
		r.tell("PostgreSQL runs again")
	})
}

// moveLeaders makes a broker the preferred leader of all partitions of the round, and elects it.
func (r *round) moveLeaders(ctx context.Context, target int) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var replicas []int
	for i := range r.kafka.Brokers {
		replicas = append(replicas, r.kafka.Brokers[(target+i)%3].ID)
	}
	reader := *r.reader
	reader.Patience = 0 // other disturbances are due
	bounds, err := reader.Bounds(ctx, r.prefix)
	if err != nil || len(bounds) == 0 {
		return err
	}
	move := &kafka.AlterPartitionReassignmentsRequest{Timeout: 5 * time.Second}
	for _, p := range bounds {
		move.Assignments = append(move.Assignments, kafka.AlterPartitionReassignmentsRequestAssignment{
			Topic: p.Topic, PartitionID: p.ID, BrokerIDs: replicas,
		})
	}
	c := &kafka.Client{Addr: kafka.TCP(r.kafka.Bootstrap()...), Timeout: 5 * time.Second, Transport: &kafka.Transport{}}
	defer c.Transport.(*kafka.Transport).CloseIdleConnections()
	moved, err := c.AlterPartitionReassignments(ctx, move)
	if err == nil {
		err = moved.Error
	}
	if err != nil {
		return fmt.Errorf("reassign: %w", err)
	}
	ids := make(map[string][]int)
	for _, p := range bounds {
		ids[p.Topic] = append(ids[p.Topic], p.ID)
	}
	for topic, partitions := range ids {
		elected, err := c.ElectLeaders(ctx, &kafka.ElectLeadersRequest{Topic: topic, Partitions: partitions, Timeout: 5 * time.Second})
		if err == nil {
			err = elected.Error
		}
		if err != nil {
			return fmt.Errorf("elect leaders of %s: %w", topic, err)
		}
	}
	return nil
}

func (r *round) disturbNet(d disturbance) func() {
	broker, postgres := r.brokers[d.target], r.source.proxy
	fault := func(p *proxy.Proxy, f proxy.Fault) func() {
		p.Set(f)
		return func() {
			p.Set(proxy.Through)
			if d.skip%2 == 0 { // what comes late is worse than what does not come
				p.Cut()
			}
		}
	}
	slow := func(p *proxy.Proxy) func() {
		p.Slow(time.Duration(1+d.skip%40) * time.Millisecond)
		return func() { p.Slow(0) }
	}
	switch d.what {
	case cutBroker:
		broker.Cut()
	case strandBroker:
		broker.Strand()
	case silenceBroker:
		return fault(broker, proxy.Silent)
	case deafenBroker:
		return fault(broker, proxy.Deaf)
	case slowBroker:
		return slow(broker)
	case loseAnswer:
		c := proxy.CatchAnswer(r.brokers, d.key, d.skip)
		c.Lose()
		return func() {
			select {
			case <-c.Caught():
				r.tell("lost: %s", d)
			default:
				c.Cancel()
			}
		}
	case cutPostgres:
		postgres.Cut()
	case orphanPostgres:
		postgres.Orphan()
	case silencePostgres:
		return fault(postgres, proxy.Silent)
	case deafenPostgres:
		return fault(postgres, proxy.Deaf)
	case mutePostgres:
		return fault(postgres, proxy.Mute)
	case slowPostgres:
		return slow(postgres)
	}
	return nil
}
