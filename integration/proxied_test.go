//go:build integration

package integration

import (
	"cmp"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgwitness/integration/ledger"
	"pgwitness/integration/product"
	"pgwitness/integration/proxy"
	"pgwitness/integration/servers"
)

// A proxiedTrail is a trail whose pgwitness reaches its servers through proxies.
type proxiedTrail struct {
	*trail
	brokers []*proxy.Proxy
	source  *proxy.Proxy
	through servers.Postgres // the server as it is seen through the proxy
}

func newProxiedTrail(t *testing.T, version int) *proxiedTrail {
	t.Helper()
	return proxied(t, newTrail(t, version))
}

func proxied(t *testing.T, tr *trail) *proxiedTrail {
	t.Helper()
	p := &proxiedTrail{trail: tr, through: *tr.Server}
	var err error
	if p.brokers, err = proxy.Kafka(tr.kafka.Bootstrap()); err != nil {
		t.Fatal(err)
	}
	if p.source, err = proxy.Listen(net.JoinHostPort(tr.Server.Host, strconv.Itoa(tr.Server.Port))); err != nil {
		t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(p.source.Address)
	if err != nil {
		t.Fatal(err)
	}
	p.through.Host = host
	if p.through.Port, err = strconv.Atoi(port); err != nil {
		t.Fatal(err)
	}
	for _, each := range append(p.brokers, p.source) {
		t.Cleanup(each.Close)
	}
	return p
}

// run starts `pgwitness run` behind the proxies.
func (p *proxiedTrail) run(t *testing.T, args ...string) *product.Process {
	t.Helper()
	var brokers []string
	for _, b := range p.brokers {
		brokers = append(brokers, b.Address)
	}
	environment := append(p.environment(),
		"PGWITNESS_SOURCE_URL="+p.through.URLAs(p.slot, rolePassword, p.Name),
		"PGWITNESS_KAFKA_BROKERS="+strings.Join(brokers, ","))
	return product.Start(t, environment, append([]string{"run"}, args...)...)
}

// crashUnconfirmed runs pgwitness, which delivers what work does but cannot confirm it, and kills it: the next run is
// sent all of it again.
func (p *proxiedTrail) crashUnconfirmed(t *testing.T, work func()) {
	t.Helper()
	run := p.run(t)
	p.awaitConfirmed(t, time.Minute)
	p.source.Set(proxy.Unconfirmed)
	before, there := p.confirmed(t), len(p.records(t))
	work()
	p.awaitRecords(t, there+1)
	// Everything that was committed goes on in one order: what is behind the last message is there as well.
	run.Kill(t)
	p.source.Set(proxy.Through)
	p.awaitFree(t)
	if after := p.confirmed(t); after != before {
		t.Fatalf("the slot went from %s to %s although nobody could tell it anything", before, after)
	}
}

// awaitRecords waits until the tables' topics hold so many records, and no more come.
func (tr *trail) awaitRecords(t *testing.T, least int) {
	t.Helper()
	last, since := -1, time.Now()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		n := len(tr.records(t))
		if n != last {
			last, since = n, time.Now()
		}
		if n >= least && time.Since(since) > 1500*time.Millisecond {
			return
		}
	}
	t.Fatalf("%d records, want %d", last, least)
}

// awaitFree waits until nobody holds the slot.
func (tr *trail) awaitFree(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if tr.Text(t, "select active from pg_replication_slots where slot_name = $1", tr.slot) == "false" {
			return
		}
	}
	t.Fatal("the slot is still held")
}

// ordered lists the records of all tables' topics in the order of the log; a record that is there twice is twice in it.
func (tr *trail) ordered(t *testing.T) []ledger.Record {
	t.Helper()
	all := tr.records(t)
	slices.SortStableFunc(all, func(a, b ledger.Record) int {
		return cmp.Or(lsnCompare(t, a.Tx.CommitLSN, b.Tx.CommitLSN), cmp.Compare(a.Tx.Ordinal, b.Tx.Ordinal))
	})
	return all
}

func lsnCompare(t *testing.T, a, b string) int { return cmp.Compare(lsn(t, a), lsn(t, b)) }

// expectOnce compares the records of all tables' topics together, in the order of the log, with what they should be.
func (tr *trail) expectOnce(t *testing.T, want []string) {
	t.Helper()
	var got []string
	for _, r := range tr.ordered(t) {
		got = append(got, summary(r))
	}
	if !slices.Equal(got, want) {
		t.Fatalf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}
