//go:build integration

package nemesis

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"pgwitness/integration/topics"
)

// dump writes down what the topics hold and what the database says, for whoever looks into a failure.
func (r *round) dump() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return errors.Join(r.dumpTopics(ctx), r.dumpBooks(ctx))
}

func (r *round) dumpTopics(ctx context.Context) error {
	bounds, err := r.reader.Bounds(ctx, r.prefix)
	if err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(r.dir, "topics"))
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	for _, p := range bounds {
		fmt.Fprintf(w, "%s/%d [%d, %d)\n", p.Topic, p.ID, p.Start, p.End)
		err := r.reader.Each(ctx, p.Topic, p.ID, p.Start, p.End, func(rec topics.Record) error {
			value := rec.Value
			if len(value) > 1000 {
				value = value[:1000]
			}
			_, err := fmt.Fprintf(w, "%d %s %s %s\n", rec.Offset, rec.Header("id"), rec.Key, value)
			return err
		})
		if err != nil {
			return err
		}
	}
	return w.Flush()
}

func (r *round) dumpBooks(ctx context.Context) error {
	f, err := os.Create(filepath.Join(r.dir, "books"))
	if err != nil {
		return err
	}
	defer f.Close()
	if r.admin == nil || r.admin.IsClosed() {
		return errors.New("no connection for the books")
	}
	w := bufio.NewWriter(f)
	_, err = r.admin.PgConn().CopyTo(ctx, w, "copy (select id, xid, table_name, action, left(old_data::text, 300), left(new_data::text, 300) from audit.audit_log order by id) to stdout")
	return errors.Join(err, w.Flush())
}
