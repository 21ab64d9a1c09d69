//go:build integration

package integration

import (
	"slices"
	"strings"
	"testing"

	"pgwitness/integration/ledger"
	"pgwitness/integration/rebuild"
)

// watchSQL lets a workload put the audit trigger on tables, and publish them. A table with generated columns that the
// log does not carry gets a function of its own, which leaves those out.
const watchSQL = `
create function audit.watch(rel regclass) returns void language plpgsql as $$
declare
	columns text[]; function text := 'audit.note';
	carried text := case when current_setting('server_version_num')::int < 180000 then '' else 's' end;
begin
	if exists (select from pg_attribute where attrelid = rel and attgenerated not in ('', carried)) then
		select array_agg(quote_ident(attname) order by attnum) into columns from pg_attribute
		 where attrelid = rel and attnum > 0 and not attisdropped and attgenerated in ('', carried);
		function := format('audit.%I', 'note_' || rel::oid);
		execute format($f$
			create function %s() returns trigger language plpgsql security definer
				set timezone = 'UTC' set datestyle = 'ISO' set intervalstyle = 'postgres' set extra_float_digits = 1
				set bytea_output = 'hex' set lc_monetary = 'C' set search_path = '' set quote_all_identifiers = off
			as $b$ begin
				insert into audit.audit_log (table_name, action, changed_by, changed_at, old_data, new_data, xid)
				values (tg_table_schema || '.' || tg_table_name, tg_op, session_user, now(),
					case when tg_op in ('UPDATE', 'DELETE') then (select pg_catalog.row_to_json(r) from (select old.%s) r) end,
					case when tg_op in ('INSERT', 'UPDATE') then (select pg_catalog.row_to_json(r) from (select new.%s) r) end,
					pg_catalog.pg_current_xact_id()::text::bigint);
				return null;
			end $b$ $f$, function, array_to_string(columns, ', old.'), array_to_string(columns, ', new.'));
	end if;
	execute format('create trigger audit after insert or update or delete on %s for each row execute function %s()', rel, function);
	execute format('create trigger audit_truncate after truncate on %s for each statement execute function audit.note()', rel);
	execute format('alter table %s enable always trigger audit', rel);
	execute format('alter table %s enable always trigger audit_truncate', rel);
end $$;
create function audit.publish(rel regclass) returns void language plpgsql as $$
begin
	execute format('alter table %s replica identity full', rel);
	execute format('alter publication %I add table only %s', current_setting('test.publication'), rel);
	perform audit.watch(rel);
end $$;
-- A message's place among the rows is the end of its WAL record (logicalmsg_decode in decode.c), which is the start of
-- the next one: where that is of another subtransaction, either may be sent first. So one that says nothing follows.
create function audit.tell(definition json) returns pg_lsn language sql as $$
	select pg_logical_emit_message(true, 'ddl', definition::text);
	select pg_logical_emit_message(true, 'ddl.end', '');
$$;
`

// watched installs the audit and puts it on every table of the database.
func (tr *trail) watched(t *testing.T) {
	t.Helper()
	c := tr.Connect(t)
	if err := ledger.InstallAudit(t.Context(), c, tr.slot+"_audit"); err != nil {
		t.Fatal(err)
	}
	tr.Exec(t, watchSQL, "alter database "+tr.Name+" set test.publication = '"+tr.slot+"'",
		`select audit.watch(c.oid) from pg_class c join pg_namespace n on n.oid = relnamespace
		  where relkind = 'r' and relpersistence = 'p' and nspname !~ '^(pg_|information_schema|audit|pgwitness)'`)
}

// compareWithAudit holds every image of every record against what the audit trigger has written in the same
// transaction. Of one table and transaction the two may be in another order: the trigger speaks after those that a
// statement of another trigger has set off.
func (tr *trail) compareWithAudit(t *testing.T, entries []*entry) {
	t.Helper()
	books, err := ledger.ReadBooks(t.Context(), tr.Connect(t), tr.slot+"_audit")
	if err != nil {
		t.Fatal(err)
	}
	type place struct {
		xid   uint64
		table string
	}
	want := make(map[place][]ledger.Change)
	for _, c := range books.Changes {
		at := place{c.XID, c.Table}
		want[at] = append(want[at], c)
	}
	for _, e := range entries {
		if e.Op == "message" {
			continue
		}
		at := place{e.Tx.XID, e.Schema + "." + e.Table}
		i := slices.IndexFunc(want[at], func(c ledger.Change) bool { return misfit(e, c) == "" })
		if i >= 0 {
			want[at] = slices.Delete(want[at], i, i+1)
			continue
		}
		i = slices.IndexFunc(want[at], func(c ledger.Change) bool { return c.Op == e.Op })
		if i < 0 {
			t.Errorf("%s: %s of %s, of which the trigger knows nothing:\n%.1000s", e.ID, e.Op, at.table, e.value)
			continue
		}
		t.Errorf("%s: %s of %s: %.6000s", e.ID, e.Op, at.table, misfit(e, want[at][i]))
		want[at] = slices.Delete(want[at], i, i+1)
	}
	for at, changes := range want {
		for _, c := range changes {
			t.Errorf("missing: %s of %s in transaction %d: before %.1000s after %.1000s", c.Op, at.table, at.xid, c.Before, c.After)
		}
	}
	t.Logf("%d records compared with %d changes in the log table", len(entries), len(books.Changes))
}

// misfit says how a record differs from what the trigger wrote, "" when it does not.
func misfit(e *entry, c ledger.Change) string {
	if e.Op != c.Op {
		return "the trigger says " + c.Op
	}
	lacking := make(map[string]bool)
	for _, image := range []struct{ what, got, want string }{
		{"before", string(e.Before), c.Before}, {"after", string(e.After), c.After},
	} {
		want := image.want
		if image.got == want {
			continue
		}
		if e.Op == "update" && image.got == "" || want == "" {
			return image.what + " is there on one side only: " + image.got + want
		}
		row, err := rebuild.ParseRow(want)
		if err != nil {
			return err.Error()
		}
		known, err := rebuild.ParseRow(image.got)
		if err != nil {
			return err.Error()
		}
		var absent []string
		for _, m := range row {
			if !known.Has(m.Name) {
				absent = append(absent, m.Name)
				lacking[m.Name] = true
			}
		}
		if want = row.Without(absent).String(); image.got != want {
			return image.what + "\n got " + image.got + "\nwant " + want
		}
	}
	for _, name := range e.Missing {
		if !lacking[name] {
			return name + " is missing, and both images have it"
		}
		delete(lacking, name)
	}
	for name := range lacking {
		return name + " is absent and not in missing"
	}
	if e.Identity == "full" && len(e.Missing) > 0 {
		return "missing under full: " + strings.Join(e.Missing, ", ")
	}
	return wrongChanged(e)
}

// wrongChanged checks the list of changed columns against the images.
func wrongChanged(e *entry) string {
	if e.Op != "update" {
		return ""
	}
	before, err1 := rebuild.ParseRow(string(e.Before))
	after, err2 := rebuild.ParseRow(string(e.After))
	if err1 != nil || err2 != nil {
		return "images that cannot be read"
	}
	for _, m := range after {
		was, known := before.Get(m.Name)
		if listed := slices.Contains(e.Changed, m.Name); known && was != m.Value && !listed {
			return m.Name + " differs and is not in changed: " + strings.Join(e.Changed, ", ")
		}
	}
	for _, name := range e.Changed {
		if !before.Has(name) || !after.Has(name) {
			return name + " is in changed, and one image lacks it"
		}
	}
	return ""
}
