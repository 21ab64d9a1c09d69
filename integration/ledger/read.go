package ledger

import (
	"context"
	"slices"
	"strings"

	"github.com/jackc/pglogrepl"

	"pgwitness/integration/topics"
)

// Judge holds every table's topic of a prefix against the books: all of them, or with upTo those that end up to there.
func Judge(ctx context.Context, books *Books, r *topics.Reader, prefix string, upTo pglogrepl.LSN) ([]Failure, error) {
	bounds, err := r.Bounds(ctx, prefix)
	if err != nil {
		return nil, err
	}
	bounds = slices.DeleteFunc(bounds, func(p topics.Partition) bool {
		return !strings.Contains(strings.TrimPrefix(p.Topic, prefix+"."), ".") // control, who, message
	})
	widths := make(map[string]int)
	for _, p := range bounds {
		widths[p.Topic]++
	}
	v := NewValidator(books, widths)
	for _, p := range bounds {
		err := r.Each(ctx, p.Topic, p.ID, p.Start, p.End, func(raw topics.Record) error {
			rec, err := Parse(raw)
			if err == nil {
				v.Note(rec)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return v.Finish(upTo), nil
}
