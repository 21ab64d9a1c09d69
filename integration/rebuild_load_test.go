//go:build integration

package integration

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// A randomWriter changes tables of its own, rows and definitions, in transactions with savepoints.
type randomWriter struct {
	random *rand.Rand
	types  []valueType
	number int
	names  int // given so far
	topics int // made by new and renamed tables; each costs the product a topic
	tables []*randomTable
	conn   *pgx.Conn
	done   map[string]int
}

const mostNewTopics = 20 // of a writer

func (w *randomWriter) work(ctx context.Context, url string, over time.Time) error {
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer c.Close(context.WithoutCancel(ctx))
	w.conn, w.done = c, make(map[string]int)
	// The values of added columns are told as this session prints them.
	if err := w.exec(ctx, "set timezone = 'UTC'; set search_path = public; set extra_float_digits = 1"); err != nil {
		return err
	}
	for time.Now().Before(over) {
		if err := w.transaction(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (w *randomWriter) exec(ctx context.Context, statements ...string) error {
	for _, s := range statements {
		if _, err := w.conn.Exec(ctx, s); err != nil {
			return fmt.Errorf("%w\nin %.1000s", err, s)
		}
	}
	return nil
}

// attempt does f between two words of SQL; one in eight is undone, and with it what the writer knows of its tables.
func (w *randomWriter) attempt(ctx context.Context, begin, keep, undo string, f func() error) error {
	known := make([]*randomTable, len(w.tables))
	for i, t := range w.tables {
		known[i] = t.clone()
	}
	if err := w.exec(ctx, begin); err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	if w.random.IntN(8) > 0 {
		return w.exec(ctx, keep)
	}
	w.tables = known
	w.done[undo]++
	return w.exec(ctx, undo)
}

func (w *randomWriter) transaction(ctx context.Context) error {
	return w.attempt(ctx, "begin", "commit", "rollback", func() error {
		for range 1 + w.random.IntN(5) {
			var err error
			if w.random.IntN(6) == 0 {
				err = w.attempt(ctx, "savepoint s", "release s", "rollback to s", func() error { return w.step(ctx) })
			} else {
				err = w.step(ctx)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// step changes one table in one way.
func (w *randomWriter) step(ctx context.Context) error {
	t := w.tables[w.random.IntN(len(w.tables))]
	ways := []struct {
		name   string
		weight int
		do     func(*randomTable) []string
	}{
		{"insert", 30, w.insert}, {"update", 30, w.update}, {"rekey", 5, w.rekey}, {"delete", 8, w.remove}, {"truncate", 1, w.truncate},
		{"add column", 3, w.addColumn}, {"drop column", 2, w.dropColumn}, {"rename column", 2, w.renameColumn},
		{"rename table", 1, w.renameTable}, {"drop table", 1, w.dropTable}, {"new table", 1, w.createTable}, {"storage", 1, w.storage}, {"rewrite", 1, w.rewrite},
	}
	sum := 0
	for _, way := range ways {
		sum += way.weight
	}
	n := w.random.IntN(sum)
	for _, way := range ways {
		if n -= way.weight; n < 0 {
			w.done[way.name]++
			return w.exec(ctx, way.do(t)...)
		}
	}
	return nil
}

// value is one of the type's awkward values, or null, or something long where the type takes it.
func (w *randomWriter) value(v valueType) string {
	if w.random.IntN(6) == 0 {
		return "null"
	}
	if v.kind == "text" && w.random.IntN(3) == 0 {
		return fmt.Sprintf("repeat('%x', %d)", w.random.Uint64(), w.random.IntN(600))
	}
	return fmt.Sprintf("cast(%s as %s)", v.literals[w.random.IntN(len(v.literals))], v.kind)
}

func (w *randomWriter) insert(t *randomTable) []string {
	var rows []string
	for range 1 + w.random.IntN(4) {
		w.names++
		row := []string{fmt.Sprint(w.names)}
		for _, c := range t.columns {
			row = append(row, w.value(c.kind))
		}
		rows = append(rows, "("+strings.Join(row, ", ")+")")
	}
	return []string{fmt.Sprintf("insert into r.%s values %s", t.name, strings.Join(rows, ", "))}
}

// some is a condition that holds for a few rows.
func (w *randomWriter) some(t *randomTable) string {
	return fmt.Sprintf("ctid = any (array(select ctid from r.%s order by id limit %d offset %d))", t.name, 1+w.random.IntN(3), w.random.IntN(8))
}

func (w *randomWriter) update(t *randomTable) []string {
	var set []string
	for _, c := range t.columns {
		if w.random.IntN(len(t.columns)) == 0 {
			set = append(set, c.name+" = "+w.value(c.kind))
		}
	}
	if set == nil {
		set = []string{"id = id"}
	}
	return []string{fmt.Sprintf("update r.%s set %s where %s", t.name, strings.Join(set, ", "), w.some(t))}
}

func (w *randomWriter) rekey(t *randomTable) []string {
	w.names += 10
	return []string{fmt.Sprintf("update r.%s set id = %d + r.n from (select ctid c, row_number() over (order by id) n from (select ctid, id from r.%[1]s order by id limit 3) x) r where %[1]s.ctid = r.c", t.name, w.names-10)}
}

func (w *randomWriter) remove(t *randomTable) []string {
	return []string{fmt.Sprintf("delete from r.%s where %s", t.name, w.some(t))}
}

func (w *randomWriter) truncate(t *randomTable) []string { return []string{"truncate r." + t.name} }

func (w *randomWriter) tell(t *randomTable, do string, more ...string) string {
	return strings.Replace(tell(t.name, do, more...), "current_schema()", "'r'", 1)
}

func (w *randomWriter) addColumn(t *randomTable) []string {
	v := w.types[w.random.IntN(len(w.types))]
	name := w.fresh("c")
	add, shown := fmt.Sprintf("alter table r.%s add %s %s", t.name, name, v.kind), "null::json"
	// What a json value has around it does not survive the way into the message, and names of reg types depend on the search path.
	if w.random.IntN(2) == 0 && !strings.Contains(v.kind, "json") && !strings.HasPrefix(v.kind, "reg") {
		value := w.value(v)
		add += " default " + value
		shown = fmt.Sprintf("(select pg_catalog.row_to_json(x)->'v' from (select %s as v) x)", value)
	}
	t.columns = append(t.columns, randomColumn{name, v})
	return []string{add, strings.Replace(w.tell(t, "add column", "column", name, "value", "#null"), "'null'::json", shown, 1)}
}

func (w *randomWriter) dropColumn(t *randomTable) []string {
	if len(t.columns) < 2 {
		return nil
	}
	i := w.random.IntN(len(t.columns))
	name := t.columns[i].name
	t.columns = slices.Delete(t.columns, i, i+1)
	return []string{fmt.Sprintf("alter table r.%s drop %s", t.name, name), w.tell(t, "drop column", "column", name)}
}

func (w *randomWriter) renameColumn(t *randomTable) []string {
	if len(t.columns) == 0 {
		return nil
	}
	c := &t.columns[w.random.IntN(len(t.columns))]
	was := c.name
	c.name = w.fresh("c")
	return []string{fmt.Sprintf("alter table r.%s rename %s to %s", t.name, was, c.name), w.tell(t, "rename column", "column", was, "to", c.name)}
}

func (w *randomWriter) renameTable(t *randomTable) []string {
	if w.topics++; w.topics > mostNewTopics {
		return nil
	}
	was := t.clone()
	t.name = w.fresh("t")
	return []string{fmt.Sprintf("alter table r.%s rename to %s", was.name, t.name), w.tell(was, "rename", "to", t.name)}
}

func (w *randomWriter) dropTable(t *randomTable) []string {
	if len(w.tables) < randomTables/randomWriters/2 {
		return nil
	}
	w.tables = slices.DeleteFunc(w.tables, func(other *randomTable) bool { return other == t })
	return []string{"drop table r." + t.name, w.tell(t, "drop")}
}

func (w *randomWriter) createTable(*randomTable) []string {
	if w.topics++; w.topics > mostNewTopics {
		return nil
	}
	t := w.newTable(w.types[w.random.IntN(len(w.types))], w.types[w.random.IntN(len(w.types))])
	t.full = true
	w.tables = append(w.tables, t)
	return []string{t.create(), "select audit.publish('r." + t.name + "')"}
}

// storage lets even short values lie out of line.
func (w *randomWriter) storage(t *randomTable) []string {
	statements := []string{fmt.Sprintf("alter table r.%s set (toast_tuple_target = 128)", t.name)}
	for _, c := range t.columns {
		if c.kind.kind == "text" || c.kind.kind == "bytea" || c.kind.kind == "jsonb" {
			statements = append(statements, fmt.Sprintf("alter table r.%s alter %s set storage external", t.name, c.name))
		}
	}
	return statements
}

// rewrite changes values without a row in the log: only an announcement can explain what follows.
func (w *randomWriter) rewrite(t *randomTable) []string {
	text := valueType{kind: "text", literals: []string{"'a'", "''", "'é \"'"}}
	if len(t.columns) == 0 || w.random.IntN(2) == 0 {
		name := w.fresh("c")
		t.columns = append(t.columns, randomColumn{name, text})
		return []string{fmt.Sprintf("alter table r.%s add %s text default random()::text", t.name, name), w.tell(t, "rewrite")}
	}
	c := &t.columns[w.random.IntN(len(t.columns))]
	c.kind = text
	return []string{fmt.Sprintf("alter table r.%s alter %s type text using '<' || %[2]s::text", t.name, c.name), w.tell(t, "rewrite")}
}
