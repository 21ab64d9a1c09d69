//go:build integration

package nemesis

import (
	"fmt"
	"strings"
)

// A table is one of those that every round begins with.
type table struct {
	name  string // schema.table
	shape shape
}

// A shape is how a table looks.
type shape int

const (
	simple      shape = iota // one integer as the key
	composite                // a key of two columns, not in the table's order
	keyless                  // no key: the whole row identifies itself
	wide                     // large values, stored out of line
	partitioned              // in two leaves
	shapes
)

var columns = map[shape]string{
	simple:      "id bigint primary key, n int, word text, at timestamptz default clock_timestamp()",
	composite:   "tenant int, name text, n int, word text, primary key (name, tenant)",
	keyless:     "id bigint, n int, word text",
	wide:        "id bigint primary key, n int, word text, doc jsonb, body text",
	partitioned: "id bigint primary key, n int, word text",
}

const tableCount = 50

// tables are spread over two schemas.
var tables = func() []table {
	var all []table
	for i := range tableCount {
		all = append(all, table{fmt.Sprintf("%s.t%02d", []string{"alpha", "beta"}[i%2], i), shape(i/2) % shapes})
	}
	return all
}()

// stored lists the tables that hold the rows.
func (t table) stored() []string {
	if t.shape == partitioned {
		return []string{t.name + "_0", t.name + "_1"}
	}
	return []string{t.name}
}

func schemaSQL() string {
	var b strings.Builder
	b.WriteString("create schema alpha; create schema beta; create sequence fresh start 1000;\n")
	for _, t := range tables {
		if t.shape == partitioned {
			fmt.Fprintf(&b, "create table %s (%s) partition by hash (id);\n", t.name, columns[t.shape])
			for i, leaf := range t.stored() {
				fmt.Fprintf(&b, "create table %s partition of %s for values with (modulus 2, remainder %d);\n", leaf, t.name, i)
			}
		} else {
			fmt.Fprintf(&b, "create table %s (%s);\n", t.name, columns[t.shape])
		}
		if t.shape == wide {
			fmt.Fprintf(&b, "alter table %s alter body set storage external;\n", t.name)
		}
	}
	b.WriteString(messageBooksSQL)
	return b.String()
}

// messageBooksSQL keeps the books of transactional messages.
const messageBooksSQL = `
create schema books;
create table books.message (content text primary key);
`
