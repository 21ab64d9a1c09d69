package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"pgwitness/decode"
)

// masks judges what mask names against the catalogue as run does, and says what each mask covers.
func (f *findings) masks(ctx context.Context, conn *pgx.Conn, cfg *config) error {
	if len(cfg.Mask) == 0 {
		return nil
	}
	if err := cfg.loadMasks(); err != nil {
		f.wrong(aboutMask, "mend the file, or the key that names it", "%s", err)
	}
	list, _, err := cfg.maskList()
	if err != nil {
		return err
	}
	for _, m := range list {
		if err := f.mask(ctx, conn, m); err != nil {
			return fmt.Errorf("look at mask %s: %w", displayMask(m), err)
		}
	}
	return nil
}

func (f *findings) mask(ctx context.Context, conn *pgx.Conn, m decode.Mask) error {
	const mend = "mend mask, or list it in mask_absent (docs/masking.md)"
	var table, column bool
	var heirs int
	var keyOf string
	if err := conn.QueryRow(ctx, maskQuery, m.Table.Schema, m.Table.Table, m.Column).Scan(&table, &column, &heirs, &keyOf); err != nil {
		return err
	}
	name := displayMask(m)
	about := aboutMask.of(name)
	switch {
	case !table && m.MayBeAbsent, !column && m.MayBeAbsent:
		f.note(about, "%s is not there, as mask_absent allows", name)
	case !table:
		f.wrong(about, mend, "%s: there is no such table: run stops", name)
	case !column:
		f.wrong(about, mend, "%s: the table has no such column: run stops", name)
	case keyOf != "" && m.Kind != decode.MaskHash:
		f.wrong(about, "mask it by hash", "%s: it is part of the key of %s, and %s is not for keys: run stops", name, keyOf, m.Kind)
	case heirs > 0:
		f.ok(about, "%s: %s, also in its partitions and children (%d)", name, m.Kind, heirs)
	default:
		f.ok(about, "%s: %s", name, m.Kind)
	}
	return nil
}

func displayMask(m decode.Mask) string {
	return displayName(m.Table.Schema, m.Table.Table) + "." + displayPart(m.Column)
}

// maskQuery asks whether table and column are there, how many inherit them, and of which of them the column is in the key:
// the replica identity where that is an index, otherwise the primary key.
const maskQuery = `
with recursive named as (
  select c.oid from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where n.nspname = $1 and c.relname = $2 and c.relkind in ('r', 'p')),
family(oid) as (select oid from named union select i.inhrelid from pg_catalog.pg_inherits i join family f on f.oid = i.inhparent)
select exists (select from named),
  exists (select from named join pg_catalog.pg_attribute a on a.attrelid = named.oid where a.attname = $3 and a.attnum > 0 and not a.attisdropped),
  (select count(*) from family) - (select count(*) from named),
  coalesce((select min(c.oid::regclass::text) from family join pg_catalog.pg_class c using (oid)
    join pg_catalog.pg_index i on i.indrelid = c.oid and case c.relreplident when 'i' then i.indisreplident else i.indisprimary end
    join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attname = $3
    where a.attnum = any ((i.indkey::int2[])[0:i.indnkeyatts - 1])), '')`
