package main

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// quoteIdent quotes a name for SQL. A name with unprintable characters is written with Unicode escapes, so that the
// statement can be shown on a terminal and means the same.
func quoteIdent(parts ...string) string {
	quoted := make([]string, len(parts))
	for i, part := range parts {
		quoted[i] = pgx.Identifier{part}.Sanitize()
		if strings.IndexFunc(part, unprintable) >= 0 {
			quoted[i] = "U&" + escapeUnprintable(pgx.Identifier{strings.ReplaceAll(part, `\`, `\\`)}.Sanitize())
		}
	}
	return strings.Join(quoted, ".")
}

// quoteLiteral quotes a string for SQL under standard_conforming_strings = on.
func quoteLiteral(s string) string {
	quoted := "'" + strings.ReplaceAll(s, "'", "''") + "'"
	if strings.IndexFunc(s, unprintable) >= 0 {
		return "U&" + escapeUnprintable(strings.ReplaceAll(quoted, `\`, `\\`))
	}
	return quoted
}

func escapeUnprintable(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case !unprintable(r):
			b.WriteRune(r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\%04X`, r)
		default:
			fmt.Fprintf(&b, `\+%06X`, r)
		}
	}
	return b.String()
}

// displayName is a table's name for people: quoted where it would not read back as it stands.
func displayName(schema, table string) string {
	return displayPart(schema) + "." + displayPart(table)
}

func displayPart(name string) string {
	plain := name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == "" && (name[0] < '0' || name[0] > '9')
	if plain {
		return name
	}
	return printable(`"` + strings.ReplaceAll(name, `"`, `""`) + `"`)
}

func displayList(names []string) string {
	var shown []string
	for _, name := range names {
		shown = append(shown, displayPart(name))
	}
	return strings.Join(shown, ", ")
}
