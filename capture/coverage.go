package capture

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// A Coverage is what decides how much of the database the trail sees, as the catalogue has it at one moment. Event
// triggers tell of most changes within the stream, at their very place; where there are none, or somebody switched them
// off, looking again is what is left.
type Coverage struct {
	Publication   *Terms            `json:"publication"` // nil when it is gone
	Tables        []Covered         `json:"tables"`      // sorted by schema and table
	EventTriggers map[string]string `json:"event_triggers"`
	Messages      bool              `json:"messages"` // everybody may write logical messages
	Writers       []string          `json:"writers"`  // who but superusers may, sorted; PUBLIC in lower case
	Rights        string            `json:"rights"`   // who changed that last: the transaction's id, of each overload
	Sealed        string            `json:"sealed"`   // the position since which nobody may; empty while somebody may
}

// Terms are a publication's own.
type Terms struct {
	Insert    bool `json:"insert"`
	Update    bool `json:"update"`
	Delete    bool `json:"delete"`
	Truncate  bool `json:"truncate"`
	ViaRoot   bool `json:"via_root"`
	AllTables bool `json:"all_tables"`
}

// Covered is a published table.
type Covered struct {
	Schema    string   `json:"schema"`
	Table     string   `json:"table"`
	Identity  string   `json:"identity"` // default, index, full, nothing
	RowFilter string   `json:"row_filter,omitempty"`
	Columns   []string `json:"columns,omitempty"` // where not all are published
}

// A Change is one difference between two looks.
type Change struct {
	Op     string `json:"-"` // publication, identity, event_trigger, privilege
	Change string `json:"change,omitempty"`
	Schema string `json:"schema,omitempty"`
	Table  string `json:"table,omitempty"`
	Name   string `json:"name,omitempty"`
	Was    any    `json:"was,omitempty"`
	Now    any    `json:"now,omitempty"`
}

// looked is a Coverage with what a seal needs to know of the moment.
type looked struct {
	Coverage
	From    string   `json:"from"`    // the server's position before Running was read
	Running []string `json:"running"` // the transactions that ran, without those of superusers
	At      string   `json:"at"`      // the server's position afterwards
}

// Coverage looks at the catalogue.
func (s *Source) Coverage(ctx context.Context) (*Coverage, error) {
	ctx, cancel := context.WithTimeout(ctx, watchEvery) // others wait for the connection meanwhile
	defer cancel()
	c, err := s.look(ctx)
	if err == nil && c.Sealed == "" && len(c.Writers) == 0 {
		c, err = s.look(ctx) // a seal takes two
	}
	if err != nil {
		return nil, fmt.Errorf("look at what publication %q covers: %w", s.publication, err)
	}
	slices.SortFunc(c.Tables, compareCovered)
	return &c.Coverage, nil
}

func (s *Source) look(ctx context.Context) (*looked, error) {
	var text []byte
	err := s.catalogue.query(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, coverageQuery, s.publication, int32(s.pid)).Scan(&text)
	})
	c := &looked{}
	if err == nil {
		err = json.Unmarshal(text, c)
	}
	if err != nil {
		return nil, err
	}
	c.Sealed = s.seal.look(c)
	return c, nil
}

func compareCovered(a, b Covered) int {
	if c := strings.Compare(a.Schema, b.Schema); c != 0 {
		return c
	}
	return strings.Compare(a.Table, b.Table)
}

// The view's row filters and columns come with 15; its columns are all of them where none are chosen. The arguments are
// read in this order, all after the statement's snapshot was taken.
const coverageQuery = `
select json_build_object(
  'from', (` + positionQuery + `),
  'running', (` + runningQuery + `),
  'publication', (select json_build_object('insert', pubinsert, 'update', pubupdate, 'delete', pubdelete,
      'truncate', pubtruncate, 'via_root', pubviaroot, 'all_tables', puballtables)
    from pg_catalog.pg_publication where pubname = $1),
  'tables', (select coalesce(json_agg(json_build_object('schema', n.nspname, 'table', c.relname,
      'identity', case c.relreplident when 'd' then 'default' when 'i' then 'index' when 'f' then 'full' else 'nothing' end,
      'row_filter', v.row->>'rowfilter',
      'columns', case when exists (select from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attnum > 0
          and not a.attisdropped and a.attgenerated = '' and not v.row->'attnames' ? a.attname::text)
        then v.row->'attnames' end)), '[]')
    from pg_catalog.pg_publication_tables t
    cross join lateral (select to_jsonb(t)) v(row)
    join pg_catalog.pg_namespace n on n.nspname = t.schemaname
    join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = t.tablename
    where t.pubname = $1),
  'event_triggers', (select coalesce(json_object_agg(e.evtname,
      case e.evtenabled when 'D' then 'disabled' when 'R' then 'replica' when 'A' then 'always' else 'origin' end), '{}')
    from pg_catalog.pg_event_trigger e join pg_catalog.pg_proc p on p.oid = e.evtfoid
    join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    where n.nspname = 'pgwitness'),
  'messages', (select bool_or(has_function_privilege('public', p.oid, 'EXECUTE')) from pg_catalog.pg_proc p
    where p.proname = 'pg_logical_emit_message' and p.pronamespace = 'pg_catalog'::regnamespace),
  'writers', (` + writersQuery + `),
  'rights', (select string_agg(p.xmin::text, ' ' order by p.oid) from pg_catalog.pg_proc p
    where p.proname = 'pg_logical_emit_message' and p.pronamespace = 'pg_catalog'::regnamespace),
  'at', (` + positionQuery + `))::text`

// writersQuery lists who may write logical messages besides superusers.
const writersQuery = `select coalesce(json_agg(distinct coalesce(r.rolname::text, 'public')), '[]')
    from pg_catalog.pg_proc p cross join lateral aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
    left join pg_catalog.pg_roles r on r.oid = a.grantee
    where p.proname = 'pg_logical_emit_message' and p.pronamespace = 'pg_catalog'::regnamespace
      and a.privilege_type = 'EXECUTE' and not coalesce(r.rolsuper, false)`

// runningQuery lists the transactions of this database that a message could come from. A superuser's may write one
// anyway, and a walsender that streams ($2) writes none; autovacuum's workers have no user. Each transaction holds a lock on
// its own virtual id until it has ended, also while its commit waits for a standby (lock.c, xact.c).
const runningQuery = `select coalesce(json_agg(l.virtualxid), '[]')
    from pg_catalog.pg_locks l
    join pg_catalog.pg_stat_activity a on a.pid = l.pid and a.datname = current_database()
    join pg_catalog.pg_roles r on r.oid = a.usesysid and not r.rolsuper
    where l.locktype = 'virtualxid' and l.granted and l.pid <> $2`

const positionQuery = `select case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_insert_lsn() end`

// Since tells what has changed from an earlier look to this one.
func (c *Coverage) Since(was *Coverage) []Change {
	var changes []Change
	if !reflect.DeepEqual(was.Publication, c.Publication) {
		changes = append(changes, Change{Op: "publication", Change: changed(was.Publication == nil, c.Publication == nil, "created", "dropped"),
			Was: orNone(was.Publication), Now: orNone(c.Publication)})
	}
	changes = append(changes, tablesSince(was.Tables, c.Tables)...)
	for _, name := range sortedNames(was.EventTriggers, c.EventTriggers) {
		if old, now := was.EventTriggers[name], c.EventTriggers[name]; old != now {
			changes = append(changes, Change{Op: "event_trigger", Name: name,
				Change: changed(old == "", now == "", "created", "dropped"), Was: textOrNone(old), Now: textOrNone(now)})
		}
	}
	for _, name := range append(slices.Clone(was.Writers), c.Writers...) {
		before, now := slices.Contains(was.Writers, name), slices.Contains(c.Writers, name)
		if name != "public" && before != now {
			changes = append(changes, Change{Op: "privilege", Name: "pg_logical_emit_message", Change: changed(!before, !now, "granted", "revoked"),
				Was: textOrNone(map[bool]string{true: name}[before]), Now: textOrNone(map[bool]string{true: name}[now])})
		}
	}
	if was.Messages != c.Messages {
		changes = append(changes, Change{Op: "privilege", Name: "pg_logical_emit_message",
			Change: changed(!was.Messages, !c.Messages, "granted", "revoked")})
	}
	return changes
}

// tablesSince walks two sorted lists.
func tablesSince(was, now []Covered) []Change {
	var changes []Change
	for len(was) > 0 || len(now) > 0 {
		order := 0
		switch {
		case len(was) == 0:
			order = 1
		case len(now) == 0:
			order = -1
		default:
			order = compareCovered(was[0], now[0])
		}
		switch {
		case order < 0:
			changes = append(changes, Change{Op: "publication", Change: "left", Schema: was[0].Schema, Table: was[0].Table})
			was = was[1:]
		case order > 0:
			changes = append(changes, Change{Op: "publication", Change: "joined", Schema: now[0].Schema, Table: now[0].Table})
			now = now[1:]
		default:
			changes = append(changes, tableSince(was[0], now[0])...)
			was, now = was[1:], now[1:]
		}
	}
	return changes
}

// limits are what a publication leaves out of a table.
type limits struct {
	RowFilter string   `json:"row_filter,omitempty"`
	Columns   []string `json:"columns,omitempty"`
}

func tableSince(was, now Covered) []Change {
	var changes []Change
	old, fresh := limits{was.RowFilter, was.Columns}, limits{now.RowFilter, now.Columns}
	if old.RowFilter != fresh.RowFilter || !slices.Equal(old.Columns, fresh.Columns) {
		changes = append(changes, Change{Op: "publication", Change: "changed", Schema: now.Schema, Table: now.Table, Was: old, Now: fresh})
	}
	if was.Identity != now.Identity {
		changes = append(changes, Change{Op: "identity", Change: "changed", Schema: now.Schema, Table: now.Table, Was: was.Identity, Now: now.Identity})
	}
	return changes
}

// changed is the word for a change of something that may have come or gone.
func changed(wasNone, isNone bool, come, gone string) string {
	switch {
	case wasNone:
		return come
	case isNone:
		return gone
	}
	return "changed"
}

func orNone(t *Terms) any {
	if t == nil {
		return nil
	}
	return t
}

func textOrNone(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func sortedNames(a, b map[string]string) []string {
	var names []string
	for _, m := range []map[string]string{a, b} {
		for name := range m {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
