//go:build integration

package nemesis

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// definition changes tables while others write to them.
func (s *session) definition(ctx context.Context) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	if err := s.endPrepared(ctx, 500*time.Millisecond); err != nil {
		return err
	}
	switch s.random.IntN(8) {
	case 0, 1:
		return s.make(ctx)
	case 2:
		return s.drop(ctx)
	case 3:
		return s.rekey(ctx)
	case 4:
		return s.block(ctx, func() error { return s.truncate(ctx) })
	}
	t := s.active[s.random.IntN(len(s.active))]
	if t.shape == keyless {
		return nil // without a key, rows whose definition has changed cannot be told apart
	}
	s.mu.Lock()
	s.altered[t.name] = true
	s.mu.Unlock()
	changes := []string{
		"alter table %[1]s add column if not exists more int default 7",
		"alter table %[1]s add column if not exists late text default md5(random()::text)", // a rewrite: no row is sent
		"alter table %[1]s drop column if exists more",
		"alter table %[1]s drop column if exists late",
		"alter table %[1]s alter n type bigint", // a rewrite as well
		"alter table %[1]s alter n type int",
	}
	change := fmt.Sprintf(changes[s.random.IntN(len(changes))], t.name)
	return s.block(ctx, func() error {
		if err := s.exec(ctx, change); err != nil {
			return err
		}
		return s.exec(ctx, pick(s.random, statements[t.shape], t.name))
	})
}

// make makes a table with everything that belongs to it, and its first rows, in one transaction.
func (s *session) make(ctx context.Context) error {
	s.count++
	name := fmt.Sprintf("%s.made%d", []string{"alpha", "beta"}[s.random.IntN(2)], s.count)
	err := s.block(ctx, func() error { return s.create(ctx, name) })
	if err == nil { // committed or, one time in eight, rolled back: then its use fails
		s.mu.Lock()
		defer s.mu.Unlock()
		s.made = append(s.made, name)
	}
	return err
}

func (s *session) create(ctx context.Context, name string) error {
	for _, q := range []string{
		fmt.Sprintf("create table %s (%s)", name, columns[simple]),
		fmt.Sprintf("alter table %s replica identity full", name),
		fmt.Sprintf("alter publication %s add table only %s", publication, name),
		fmt.Sprintf("create trigger audit after insert or update or delete on %s for each row execute function audit.note()", name),
		fmt.Sprintf("create trigger audit_truncate after truncate on %s for each statement execute function audit.note()", name),
		fmt.Sprintf("insert into %s (id, n) select n, n from generate_series(1, %d) n", name, 1+s.random.IntN(40)),
	} {
		if err := s.exec(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

// aMade chooses a table that was made on the way.
func (s *session) aMade() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.made) == 0 {
		return ""
	}
	return s.made[s.random.IntN(len(s.made))]
}

// drop drops a table that was made on the way, and half of the time makes another one of that name.
func (s *session) drop(ctx context.Context) error {
	name := s.aMade()
	if name == "" {
		return nil
	}
	s.mu.Lock()
	s.dropped[name] = true
	s.mu.Unlock()
	return s.block(ctx, func() error {
		if err := s.exec(ctx, "drop table "+name); err != nil || s.random.IntN(2) == 0 {
			return err
		}
		return s.create(ctx, name)
	})
}

// rekey gives a table that was made on the way another primary key: the same column, but another index.
func (s *session) rekey(ctx context.Context) error {
	name := s.aMade()
	if name == "" {
		return nil
	}
	_, bare, _ := strings.Cut(name, ".")
	return s.block(ctx, func() error {
		return s.exec(ctx, fmt.Sprintf("alter table %[1]s drop constraint if exists %[2]s_pkey; alter table %[1]s add constraint %[2]s_pkey primary key (id)", name, bare))
	})
}
