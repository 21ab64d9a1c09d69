// walrecord makes the recordings of raw WAL below capture/witness/testdata anew: it sets up a PostgreSQL in a temporary
// directory, runs the transactions of workload.go, asks the server what it wrote (expect.go), and copies the segments.
//
//	go run ./integration/walrecord -bin DIR -out capture/witness/testdata
//
// DIR holds initdb and postgres of any version from 14 to 18, such as those that integration/servers keeps in its cache.
// Root runs them as nobody. It takes some seconds.
package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/jackc/pglogrepl"
)

const (
	segment  = 1 << 20 // the smallest that initdb makes
	pageSize = 8192
)

func main() {
	bin := flag.String("bin", "", "directory of initdb and postgres")
	out := flag.String("out", "capture/witness/testdata", "directory to write to")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := record(ctx, *bin, *out); err != nil {
		fmt.Fprintln(os.Stderr, "walrecord:", err)
		os.Exit(1)
	}
}

// A recording is what the server says of the WAL that was copied.
type recording struct {
	Version int    `json:"version"` // server_version_num
	Segment int    `json:"segment"`
	Start   string `json:"start"`
	Events  []told `json:"events"`
}

// told is what a server says of a record that ends a transaction or prepares it.
type told struct {
	Kind  string `json:"kind"`
	Start string `json:"start,omitempty"` // absent where the server does not tell
	End   string `json:"end"`
	XID   uint32 `json:"xid"`
	GID   string `json:"gid,omitempty"`
	Time  string `json:"time,omitempty"`
}

func record(ctx context.Context, bin, out string) error {
	c, err := newCluster(bin)
	if err != nil {
		return err
	}
	defer c.remove()
	if err := c.start(ctx); err != nil {
		return err
	}
	start, err := play(ctx, c)
	if err != nil {
		return fmt.Errorf("workload: %w", err)
	}
	r := recording{Segment: segment, Start: start.String()}
	end, err := ask(ctx, c, start, &r)
	if err != nil {
		return fmt.Errorf("ask the server: %w", err)
	}
	wal, err := c.wal(start, end)
	if err != nil {
		return err
	}
	return write(out, r, wal)
}

func write(dir string, r recording, wal []byte) error {
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	var packed bytes.Buffer
	z, _ := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if _, err := z.Write(wal); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	name := filepath.Join(dir, fmt.Sprintf("wal-%d", r.Version/10000))
	if err := os.WriteFile(name+".json", append(text, '\n'), 0o644); err != nil {
		return err
	}
	fmt.Printf("PostgreSQL %d: %d events in %d bytes of WAL, %d packed\n", r.Version, len(r.Events), len(wal), packed.Len())
	return os.WriteFile(name+".gz", packed.Bytes(), 0o644)
}

// wal copies whole segments.
func (c *cluster) wal(start, end pglogrepl.LSN) ([]byte, error) {
	var all []byte
	for at := start; at < end; at += segment {
		data, err := os.ReadFile(c.segmentFile(at))
		if err != nil {
			return nil, err
		}
		all = append(all, data...)
	}
	return all, nil
}
