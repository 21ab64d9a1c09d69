//go:build integration

package integration

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
)

// TestMarkerTwice: a coordinator that starts anew has a marker written once more, into partitions that the trail writes
// to. That costs a new start within the run, and neither loses nor doubles; a foreign record in the same place ends it.
func TestMarkerTwice(t *testing.T) {
	tr := newTrail(t, 18)
	tr.Exec(t, "create table t (id int primary key)")
	tr.setup(t, "public.*")
	run := tr.run(t)
	tr.insert(t, 1, 2)
	tr.awaitConfirmed(t, time.Minute)
	for n, topic := range []string{tr.prefix + ".public.t", tr.prefix + ".control"} {
		tr.markAgain(t, topic)
		if topic != tr.prefix+".control" {
			tr.insert(t, 3, 3)
		} else {
			tr.Exec(t, "alter table t add column v text") // told in the control topic
		}
		tr.awaitConfirmedBy(t, run.Running, time.Minute)
		if got := strings.Count(run.Stderr(), "starting again"); got != n+1 {
			t.Errorf("%s: it has started again %d times, want %d\n%s", topic, got, n+1, run.Stderr())
		}
	}
	tr.expectOnce(t, inserts(1, 2, 3))
	tr.markAgain(t, tr.prefix+".public.t")
	tr.write(t, tr.prefix+".public.t", "foreign")
	tr.Exec(t, "insert into t values (4, 'x')")
	if r := run.Wait(t, time.Minute); r.Code != 1 || !strings.Contains(lastLine(r.Stderr), "somebody else writes") {
		t.Errorf("exit code %d\n%s", r.Code, r.Stderr)
	}
	if got, want := tr.diary(t, "baseline_broken"), 1; len(got) != want {
		t.Errorf("%d records of the changed definition, want %d", len(got), want)
	}
}

// TestMarkerTwiceBeforeRouting: what the trail itself must read again lies further on than it was told to be.
func TestMarkerTwiceBeforeRouting(t *testing.T) {
	tr := newTrail(t, 18)
	tr.settings = append(tr.settings, "PGWITNESS_TOPICS_PARTITIONS=3")
	tr.Exec(t, "create table t (id int primary key)")
	tr.setup(t, "public.*")
	run := tr.run(t)
	awaitLog(t, run, ".public.t")
	tr.awaitConfirmed(t, time.Minute)
	tr.markAgain(t, tr.prefix+".control")
	tr.insert(t, 1, 3) // with the first row the key goes into the routing
	tr.awaitConfirmedBy(t, run.Running, time.Minute)
	if !strings.Contains(run.Stderr(), "starting again") {
		t.Errorf("it has not started again\n%s", run.Stderr())
	}
	run.Kill(t)
	run = tr.run(t)
	tr.insert(t, 4, 5)
	tr.awaitConfirmedBy(t, run.Running, time.Minute)
	tr.expectOnce(t, inserts(1, 2, 3, 4, 5))
}

// markAgain writes the newest marker of a topic's only partition once more, as its coordinator would.
func (tr *trail) markAgain(t *testing.T, topic string) {
	t.Helper()
	c := &kafka.Client{Addr: kafka.TCP(tr.kafka.Bootstrap()...), Transport: &kafka.Transport{}}
	defer c.Transport.(*kafka.Transport).CloseIdleConnections()
	var newest *protocol.ControlBatch
	res, err := c.Fetch(t.Context(), &kafka.FetchRequest{Topic: topic, MinBytes: 1, MaxBytes: 4 << 20, MaxWait: time.Second})
	if err == nil {
		err = res.Error
	}
	if err != nil {
		t.Fatal(err)
	}
	if stream, ok := res.Records.(*protocol.RecordStream); ok {
		for _, batch := range stream.Records {
			if b, ok := batch.(*protocol.ControlBatch); ok {
				newest = b
			}
		}
	}
	if newest == nil {
		t.Fatalf("%s has no marker", topic)
	}
	if err := writeAbort(tr.kafka.Bootstrap()[0], topic, newest.ProducerID, newest.ProducerEpoch); err != nil {
		t.Fatalf("write a marker to %s: %v", topic, err)
	}
}

// writeAbort has a broker write the marker of an aborted transaction (WriteTxnMarkersRequest.json, version 1: strings and
// arrays are preceded by their length and one, and structures end with the number of their tags).
func writeAbort(broker, topic string, producer int64, epoch int16) error {
	b := []byte{0, 27, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0} // key, version, correlation id, no client id
	b = append(b, 1+1)                                  // markers
	b = binary.BigEndian.AppendUint64(b, uint64(producer))
	b = binary.BigEndian.AppendUint16(b, uint16(epoch))
	b = append(b, 0, 1+1, byte(len(topic)+1)) // abort; topics
	b = append(b, topic...)
	b = append(b, 1+1, 0, 0, 0, 0, 0) // partition 0
	b = append(b, 0, 0, 0, 0, 0, 0)   // the coordinator's epoch
	conn, err := net.DialTimeout("tcp", broker, 10*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)); err != nil {
		return err
	}
	var size [4]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return err
	}
	answer := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(conn, answer); err != nil {
		return err
	}
	// It ends with the partition's error code and the tags of four structures.
	if code := binary.BigEndian.Uint16(answer[len(answer)-6:]); code != 0 {
		return fmt.Errorf("error code %d: %x", code, answer)
	}
	return nil
}
