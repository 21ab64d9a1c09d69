package capture

import (
	"context"
	"errors"
	"fmt"
	"slices"

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
	var info decode.RelationInfo
	var schema, table, rootSchema, rootTable []byte
	var key, schemas, tables, columns [][]byte
	var numbers []int
	err := d.catalogue.lookup(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, relationQuery, oid).Scan(&schema, &table, &info.Partitioned, &rootSchema, &rootTable, &key, &schemas, &tables, &columns, &numbers)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look up relation %d: %w", oid, err)
	}
	names, err := d.names(ctx, slices.Concat([][]byte{schema, table, rootSchema, rootTable}, key, schemas, tables, columns))
	if err != nil {
		return nil, err
	}
	info.Schema, info.Table, info.RootSchema, info.RootTable = names[0], names[1], names[2], names[3]
	info.PrimaryKey, names = names[4:4+len(key)], names[4+len(key):]
	for i := range schemas {
		info.Parents = append(info.Parents, decode.Target{Schema: names[i], Table: names[len(schemas)+i]})
	}
	info.Columns = make(map[string]int, len(columns))
	for i, name := range names[2*len(schemas):] {
		info.Columns[name] = numbers[i]
	}
	return &info, nil
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
select convert_to(own.nspname, getdatabaseencoding()), convert_to(c.relname, getdatabaseencoding()), c.relkind = 'p',
  convert_to(n.nspname, getdatabaseencoding()), convert_to(root.relname, getdatabaseencoding()),
  (select array_agg(convert_to(a.attname, getdatabaseencoding()) order by k.place)
   from pg_catalog.pg_index i
   cross join lateral unnest(i.indkey::int2[]) with ordinality k(attnum, place)
   join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
   where i.indrelid = c.oid and i.indisprimary and k.place <= i.indnkeyatts),
  parents.schemas, parents.tables, columns.names, columns.numbers
from pg_catalog.pg_class c
join pg_catalog.pg_namespace own on own.oid = c.relnamespace
cross join lateral (
  with recursive up(oid) as (
    select inhparent from pg_catalog.pg_inherits where inhrelid = c.oid
    union select i.inhparent from pg_catalog.pg_inherits i join up on i.inhrelid = up.oid)
  select array_agg(convert_to(s.nspname, getdatabaseencoding()) order by p.oid) as schemas,
    array_agg(convert_to(p.relname, getdatabaseencoding()) order by p.oid) as tables
  from up join pg_catalog.pg_class p on p.oid = up.oid join pg_catalog.pg_namespace s on s.oid = p.relnamespace) parents
cross join lateral (
  select array_agg(convert_to(a.attname, getdatabaseencoding()) order by a.attnum) as names, array_agg(a.attnum::int order by a.attnum) as numbers
  from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) columns
left join pg_catalog.pg_class root on c.relispartition and root.oid = pg_partition_root(c.oid)
left join pg_catalog.pg_namespace n on n.oid = root.relnamespace
where c.oid = $1`

// Tables implements decode.Catalogue.
func (d *dictionary) Tables(ctx context.Context, names []decode.Target) ([]*decode.TableInfo, error) {
	var schemas, tables []string
	for _, t := range names {
		schemas, tables = append(schemas, t.Schema), append(tables, t.Table)
	}
	type row struct {
		Place                int
		Partition, Inherited bool
		Columns, Generated   [][]byte
	}
	var found []row
	err := d.catalogue.lookup(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, tablesQuery, schemas, tables)
		if err == nil {
			found, err = pgx.CollectRows(rows, pgx.RowToStructByPos[row])
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look up tables by name: %w", err)
	}
	infos := make([]*decode.TableInfo, len(names))
	for _, r := range found {
		info := &decode.TableInfo{Partition: r.Partition, Inherited: r.Inherited}
		if info.Columns, err = d.names(ctx, r.Columns); err != nil {
			return nil, err
		}
		if info.Generated, err = d.names(ctx, r.Generated); err != nil {
			return nil, err
		}
		infos[r.Place-1] = info
	}
	return infos, nil
}

const tablesQuery = `
select w.place, c.relispartition, c.relkind = 'p' or c.relhassubclass, a.columns, a.generated
from unnest($1::text[], $2::text[]) with ordinality w(schema, name, place)
join pg_catalog.pg_namespace n on n.nspname = w.schema
join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = w.name and c.relkind in ('r', 'p')
cross join lateral (
  select array_agg(convert_to(attname, getdatabaseencoding())) as columns,
    array_agg(convert_to(attname, getdatabaseencoding())) filter (where attgenerated <> '') as generated
  from pg_catalog.pg_attribute where attrelid = c.oid and attnum > 0 and not attisdropped) a`

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
