package capture

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"pgwitness/decode"
)

// A Table is a published table: its own target, and its partitioned root's when it is a partition.
type Table struct {
	decode.Target
	Root *decode.Target
}

// Published lists the tables that the publication publishes now, named as the decoder names them.
func (s *Source) Published(ctx context.Context) ([]Table, error) {
	d := &dictionary{s.catalogue, &s.origin}
	rows, err := s.listPublished(ctx)
	for try := 1; err != nil && try < lookupTries && tableWentAway(err); try++ {
		rows, err = s.listPublished(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("list the tables of publication %q: %w", s.publication, err)
	}
	tables := make([]Table, len(rows))
	for i, row := range rows {
		names, err := d.names(ctx, row)
		if err != nil {
			return nil, fmt.Errorf("list the tables of publication %q: %w", s.publication, err)
		}
		tables[i].Target = decode.Target{Schema: names[0], Table: names[1]}
		if names[3] != "" {
			tables[i].Root = &decode.Target{Schema: names[2], Table: names[3]}
		}
	}
	return tables, nil
}

// tableWentAway tells an internal error of pg_get_publication_tables, which opens each table, from others: one was
// dropped between the listing and the opening (relation_open in relation.c).
func tableWentAway(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == "XX000"
}

func (s *Source) listPublished(ctx context.Context) (rows [][][]byte, err error) {
	err = s.catalogue.lookup(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		found, err := conn.Query(ctx, publishedQuery, s.publication)
		if err != nil {
			return err
		}
		rows, err = pgx.CollectRows(found, func(row pgx.CollectableRow) ([][]byte, error) {
			names := make([][]byte, 4)
			return names, row.Scan(&names[0], &names[1], &names[2], &names[3])
		})
		return err
	})
	return rows, err
}

const publishedQuery = `
select convert_to(n.nspname, getdatabaseencoding()), convert_to(c.relname, getdatabaseencoding()),
  convert_to(rn.nspname, getdatabaseencoding()), convert_to(root.relname, getdatabaseencoding())
from pg_catalog.pg_get_publication_tables($1::text) p
join pg_catalog.pg_class c on c.oid = p.relid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
left join pg_catalog.pg_class root on c.relispartition and root.oid = pg_catalog.pg_partition_root(c.oid)
left join pg_catalog.pg_namespace rn on rn.oid = root.relnamespace
order by 1, 2`
