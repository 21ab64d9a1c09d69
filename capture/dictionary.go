package capture

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"pgwitness/decode"
)

// A dictionary answers the decoder's questions. Names come as the bytes that they are in the database and are shown as
// the stream's own are: in SQL_ASCII, and where a character has no counterpart in UTF-8, the server could not send them
// as UTF-8.
type dictionary struct {
	catalogue *catalogue
	source    *decode.Source
}

// Relation implements decode.Catalogue.
func (d *dictionary) Relation(ctx context.Context, oid uint32) (*decode.RelationInfo, error) {
	var schema, table []byte
	var key [][]byte
	err := d.catalogue.lookup(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, relationQuery, oid).Scan(&schema, &table, &key)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look up relation %d: %w", oid, err)
	}
	names, err := d.names(ctx, append([][]byte{schema, table}, key...))
	if err != nil {
		return nil, err
	}
	return &decode.RelationInfo{RootSchema: names[0], RootTable: names[1], PrimaryKey: names[2:]}, nil
}

func (d *dictionary) names(ctx context.Context, raw [][]byte) ([]string, error) {
	names := make([]string, len(raw))
	for i, name := range raw {
		var err error
		if names[i], err = d.source.Name(ctx, name); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// Columns of an INCLUDE clause stand in indkey behind the key's own (pg_index.indnkeyatts).
const relationQuery = `
select convert_to(n.nspname, getdatabaseencoding()), convert_to(root.relname, getdatabaseencoding()),
  (select array_agg(convert_to(a.attname, getdatabaseencoding()) order by k.place)
   from pg_catalog.pg_index i
   cross join lateral unnest(i.indkey::int2[]) with ordinality k(attnum, place)
   join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
   where i.indrelid = c.oid and i.indisprimary and k.place <= i.indnkeyatts)
from pg_catalog.pg_class c
left join pg_catalog.pg_class root on c.relispartition and root.oid = pg_partition_root(c.oid)
left join pg_catalog.pg_namespace n on n.oid = root.relnamespace
where c.oid = $1`

// Type implements decode.Catalogue.
func (d *dictionary) Type(ctx context.Context, oid uint32) (*decode.TypeInfo, error) {
	var info decode.TypeInfo
	var kind, delimiter string
	var schema, name []byte
	var fields [][]byte
	var types []uint32
	err := d.catalogue.lookup(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, typeQuery, oid).Scan(&schema, &name, &kind, &info.Base, &info.Element,
			&delimiter, &info.CastToJSON, &fields, &types)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look up type %d: %w", oid, err)
	}
	if len(kind) != 1 || len(delimiter) != 1 || len(fields) != len(types) {
		return nil, fmt.Errorf("look up type %d: the catalogue's answer makes no sense", oid)
	}
	info.Kind, info.Delimiter = kind[0], delimiter[0]
	names, err := d.names(ctx, append([][]byte{schema, name}, fields...))
	if err != nil {
		return nil, err
	}
	info.Schema, info.Name = names[0], names[1]
	for i, name := range names[2:] {
		info.Fields = append(info.Fields, decode.FieldInfo{Name: name, Type: types[i]})
	}
	return &info, nil
}

const typeQuery = `
select convert_to(n.nspname, getdatabaseencoding()), convert_to(t.typname, getdatabaseencoding()), t.typtype::text, t.typbasetype,
  case when t.typsubscript = 'pg_catalog.array_subscript_handler'::regproc then t.typelem else 0 end,
  t.typdelim::text,
  exists (select from pg_catalog.pg_cast x
          where x.castsource = t.oid and x.casttarget = 'pg_catalog.json'::regtype and x.castmethod = 'f'),
  f.names, f.types
from pg_catalog.pg_type t
join pg_catalog.pg_namespace n on n.oid = t.typnamespace
left join lateral (
  select array_agg(convert_to(a.attname, getdatabaseencoding()) order by a.attnum) as names, array_agg(a.atttypid order by a.attnum) as types
  from pg_catalog.pg_attribute a
  where t.typtype = 'c' and a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped) f on true
where t.oid = $1`
