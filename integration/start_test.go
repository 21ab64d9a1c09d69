//go:build integration

package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgwitness/integration/proxy"
	"pgwitness/integration/servers"
)

// TestStartOfManyTables: the topics of all published tables are opened together, in a number of requests that does not
// grow with theirs.
func TestStartOfManyTables(t *testing.T) {
	const tables, most = 500, 50 // requests of a kind: some tries while the brokers learn of the topics
	kafka := servers.SharedKafka(t)
	tr := newTrailOn(t, servers.SharedPostgres(t, 18), kafka)
	proxies, err := proxy.Kafka(kafka.Bootstrap())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxies[0].Close)
	tr.settings = []string{"PGWITNESS_KAFKA_BROKERS=" + proxies[0].Address}
	var make, fill strings.Builder
	for n := range tables {
		fmt.Fprintf(&make, "create table t%d (id int primary key);", n)
		fmt.Fprintf(&fill, "insert into t%d values (1);", n)
	}
	tr.Exec(t, make.String())
	tr.setup(t, "public.*")

	for _, when := range []string{"first start", "second start"} {
		tr.Exec(t, strings.ReplaceAll(fill.String(), "(1)", fmt.Sprintf("(%d)", time.Now().Unix())))
		before, began := proxies[0].Requests(), time.Now()
		tr.catchUp(t, 2*time.Minute)
		took := time.Since(began)
		asked := proxies[0].Requests()
		for key, name := range map[int16]string{
			proxy.ListOffsets: "ListOffsets", proxy.CreateTopics: "CreateTopics", proxy.DescribeConfigs: "DescribeConfigs",
			proxy.AddPartitionsToTxn: "AddPartitionsToTxn", proxy.EndTxn: "EndTxn", proxy.Fetch: "Fetch", proxy.Produce: "Produce", proxy.Metadata: "Metadata",
		} {
			n := asked[key] - before[key]
			t.Logf("%s: %d %s", when, n, name)
			if n > most && key != proxy.Produce && key != proxy.Metadata {
				t.Errorf("%s: %d %s", when, n, name)
			}
		}
		t.Logf("%s: %d tables in %s", when, tables, took.Round(time.Millisecond))
		time.Sleep(1100 * time.Millisecond)
	}
	if n := len(tr.records(t)); n != 2*tables {
		t.Errorf("%d records", n)
	}
}
