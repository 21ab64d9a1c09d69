package ledger

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
)

// Schema holds the log table and its trigger function. It is not among the tables that a test gives to the product.
const Schema = "audit"

// The audit trigger is the kind that teams come from. Its function pins the settings under which PostgreSQL prints
// values (DESIGN.md, "Values"): without them it would print in the writer's.
const auditSQL = `
create schema audit;
create table audit.audit_log (
	id bigint generated always as identity primary key,
	table_name text not null, action text not null, changed_by text not null, changed_at timestamptz not null,
	old_data json, new_data json, xid bigint not null
);
create function audit.note() returns trigger language plpgsql security definer
	set timezone = 'UTC' set datestyle = 'ISO' set intervalstyle = 'postgres' set extra_float_digits = 1
	set bytea_output = 'hex' set lc_monetary = 'C' set search_path = '' set quote_all_identifiers = off
as $$
begin
	insert into audit.audit_log (table_name, action, changed_by, changed_at, old_data, new_data, xid)
	values (tg_table_schema || '.' || tg_table_name, tg_op, session_user, now(),
		case when tg_op in ('UPDATE', 'DELETE') then pg_catalog.row_to_json(old) end,
		case when tg_op in ('INSERT', 'UPDATE') then pg_catalog.row_to_json(new) end,
		pg_catalog.pg_current_xact_id()::text::bigint);
	return null;
end $$;
`

// InstallAudit makes the log table and the trigger function, and a slot that remembers the order of commits.
func InstallAudit(ctx context.Context, c *pgx.Conn, slot string) error {
	if _, err := c.Exec(ctx, auditSQL); err != nil {
		return fmt.Errorf("install the audit trigger: %w", err)
	}
	// pgoutput looks the publication up as it was at each change: it must be there before the slot.
	if _, err := c.Exec(ctx, "create publication "+commitsPublication); err != nil {
		return err
	}
	_, err := c.Exec(ctx, "select pg_create_logical_replication_slot($1, 'pgoutput')", slot)
	return err
}

// commitsPublication has no tables but the log's, so that a transaction that changes anything has a Begin in it.
const commitsPublication = "audit_commits for table audit.audit_log with (publish = 'insert')"

// Audit puts the trigger on tables (schema.table).
func Audit(ctx context.Context, c *pgx.Conn, tables ...string) error {
	for _, name := range tables {
		schema, table, _ := strings.Cut(name, ".")
		quoted := pgx.Identifier{schema, table}.Sanitize()
		_, err := c.Exec(ctx, fmt.Sprintf(`
			create trigger audit after insert or update or delete on %[1]s for each row execute function audit.note();
			create trigger audit_truncate after truncate on %[1]s for each statement execute function audit.note();
			alter table %[1]s enable always trigger audit;
			alter table %[1]s enable always trigger audit_truncate`, quoted))
		if err != nil {
			return fmt.Errorf("audit %s: %w", name, err)
		}
	}
	return nil
}

// ReadBooks reads what the database says happened since InstallAudit. The slot keeps its place, so that the books can
// be read again.
func ReadBooks(ctx context.Context, c *pgx.Conn, slot string) (*Books, error) {
	var b Books
	rows, err := c.Query(ctx, `select xid, id, table_name, lower(action), coalesce(old_data::text, ''),
		coalesce(new_data::text, '') from audit.audit_log order by id`)
	if err != nil {
		return nil, err
	}
	b.Changes, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (Change, error) {
		var n Change
		return n, row.Scan(&n.XID, &n.Seq, &n.Table, &n.Op, &n.Before, &n.After)
	})
	if err != nil {
		return nil, fmt.Errorf("read the log table: %w", err)
	}
	b.Commits, err = readCommits(ctx, c, slot)
	return &b, err
}

// readCommits reads Begin and Commit of every transaction (protocol-logicalrep-message-formats in PostgreSQL's manual):
// B, final_lsn int64, commit time int64, xid int32; C, flags, commit_lsn int64, end_lsn int64, time int64.
func readCommits(ctx context.Context, c *pgx.Conn, slot string) ([]Commit, error) {
	var recent int64
	if err := c.QueryRow(ctx, "select pg_snapshot_xmax(pg_current_snapshot())::text::bigint").Scan(&recent); err != nil {
		return nil, err
	}
	rows, err := c.Query(ctx, `select data from pg_logical_slot_peek_binary_changes($1, null, null,
		'proto_version', '1', 'publication_names', 'audit_commits') where get_byte(data, 0) in (66, 67)`, slot)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var commits []Commit
	var xid uint64
	for rows.Next() {
		var m []byte
		if err := rows.Scan(&m); err != nil {
			return nil, err
		}
		switch {
		case m[0] == 'B' && len(m) == 21:
			xid = extend(binary.BigEndian.Uint32(m[17:]), uint64(recent))
		case m[0] == 'C' && len(m) == 26:
			commits = append(commits, Commit{
				XID: xid,
				LSN: pglogrepl.LSN(binary.BigEndian.Uint64(m[2:])), End: pglogrepl.LSN(binary.BigEndian.Uint64(m[10:])),
			})
		default:
			return nil, fmt.Errorf("the slot %s sent a %c of %d bytes", slot, m[0], len(m))
		}
	}
	return commits, rows.Err()
}

// extend makes 64 bits of a transaction id's low 32, near a recent one.
func extend(xid uint32, recent uint64) uint64 {
	return recent + uint64(int64(int32(xid-uint32(recent))))
}
