//go:build integration

package nemesis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A workload is what the applications do during a round, whatever happens to their server. What of it was committed is
// not remembered here: the database's own books tell.
type workload struct {
	urls   []string // one for each login
	hold   bool     // commits wait for the witness
	seed   uint64
	active []table

	mu       sync.Mutex      // guards the rest
	made     []string        // tables made on the way
	altered  map[string]bool // their definition was changed
	dropped  map[string]bool // perhaps made anew
	commits  int
	succeed  map[string]bool    // transactions whose commit the client saw succeed, by application name
	enders   map[string][]maker // who tried to commit a prepared transaction
	failures []error
}

func newWorkload(urls []string, hold bool, seed uint64, random *rand.Rand) *workload {
	w := &workload{
		urls: urls, hold: hold, seed: seed,
		altered: make(map[string]bool), dropped: make(map[string]bool), succeed: make(map[string]bool),
		enders: make(map[string][]maker),
	}
	count := 3 + random.IntN(7)
	if random.IntN(20) == 0 {
		count = len(tables)
	}
	for _, i := range random.Perm(len(tables))[:count] {
		w.active = append(w.active, tables[i])
	}
	return w
}

// publish is the statement that publishes the tables that the workload uses, and a few that it does not.
func (w *workload) publish() string {
	var names []string
	for _, t := range append(w.active, tables[:3]...) {
		for _, name := range t.stored() {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return fmt.Sprintf("alter publication %s set table only %s", publication, strings.Join(names, ", only "))
}

const writers = 4

func (w *workload) random(stream uint64) *rand.Rand { return rand.New(rand.NewPCG(w.seed, stream)) }

// run works until ctx ends and returns when nothing is under way any more.
func (w *workload) run(ctx context.Context) {
	var wg sync.WaitGroup
	for n := range writers + 1 {
		wg.Go(func() {
			s := &session{workload: w, random: w.random(uint64(n)), login: w.random(uint64(100 + n)), number: n}
			defer s.close()
			for ctx.Err() == nil {
				work, pause := s.transaction, 20*time.Millisecond
				if n == writers {
					work, pause = s.definition, time.Second
				}
				if err := work(ctx); err != nil {
					s.failed(ctx, err)
				}
				rest(ctx, time.Duration(s.random.Int64N(int64(pause))))
			}
		})
	}
	wg.Wait()
	w.finish(context.WithoutCancel(ctx))
}

func rest(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// A session is one application's.
type session struct {
	*workload
	random *rand.Rand
	login  *rand.Rand // for what the session is
	number int
	count  int // of messages and tables, for unique names
	turn   int // of transactions
	conn   *pgx.Conn
	freed  bool // the server said that it cancelled this transaction's wait
}

func (s *session) close() {
	if s.conn != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		s.conn.Close(ctx)
		s.conn = nil
	}
}

// failed sorts an error: what writers in each other's way and a server that comes and goes bring about is expected. The
// session begins anew where it may be broken.
func (s *session) failed(ctx context.Context, err error) {
	var pg *pgconn.PgError
	switch {
	case ctx.Err() != nil:
	case !errors.As(err, &pg) || strings.HasPrefix(pg.Code, "57P") || strings.HasPrefix(pg.Code, "53"):
		s.close()
		rest(ctx, 50*time.Millisecond)
	case !expected[pg.Code]:
		s.fault(err)
	}
}

var expected = map[string]bool{
	"40001": true, // serialization_failure
	"40P01": true, // deadlock_detected
	"23505": true, // unique_violation
	"55P03": true, // lock_not_available
	"42P01": true, // undefined_table: one that was made on the way is gone again
}

// transaction is one of: a statement by itself, a block with savepoints, a large one; one block in eight is rolled back.
func (s *session) transaction(ctx context.Context) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	switch n := s.random.IntN(1000); {
	case n < 300:
		if err := s.exec(ctx, s.statement()); err != nil {
			return err
		}
		s.committed()
		return nil
	case n < 310:
		return s.block(ctx, func() error { return s.large(ctx) })
	case n < 316:
		return s.block(ctx, func() error { return s.truncate(ctx) })
	}
	return s.block(ctx, func() error {
		for range 1 + s.random.IntN(12) {
			var err error
			switch n := s.random.IntN(40); {
			case n < 8:
				err = s.savepoint(ctx, 1)
			case n == 8:
				err = s.message(ctx)
			default:
				err = s.exec(ctx, s.statement())
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// block is a transaction block.
func (s *session) block(ctx context.Context, work func() error) error {
	if err := s.exec(ctx, "begin"); err != nil {
		return err
	}
	if s.number == writers { // a definition may leave no row
		if err := s.exec(ctx, "insert into books.signature default values"); err != nil {
			return err
		}
	}
	if err := work(); err != nil {
		if late := s.exec(ctx, "rollback"); late != nil {
			s.close()
		}
		return err
	}
	switch s.random.IntN(24) {
	case 0, 1, 2:
		return s.exec(ctx, "rollback")
	case 3, 4:
		return s.inTwoPhases(ctx)
	}
	if err := s.exec(ctx, "commit"); err != nil {
		return err
	}
	s.committed()
	return nil
}

// savepoint makes changes under a savepoint, perhaps with another one in it, and rolls half of them back.
func (s *session) savepoint(ctx context.Context, depth int) error {
	name := fmt.Sprintf("s%d", depth)
	if err := s.exec(ctx, "savepoint "+name); err != nil {
		return err
	}
	for range 1 + s.random.IntN(3) {
		if err := s.exec(ctx, s.statement()); err != nil {
			return err
		}
	}
	if s.random.IntN(5) == 0 {
		if err := s.message(ctx); err != nil {
			return err
		}
	}
	if depth < 3 && s.random.IntN(3) == 0 {
		if err := s.savepoint(ctx, depth+1); err != nil {
			return err
		}
	}
	if s.random.IntN(2) == 0 {
		return s.exec(ctx, "rollback to "+name)
	}
	return s.exec(ctx, "release "+name)
}

// message emits a logical message. A transactional one is entered in the books by its transaction, so the books know
// what must be there; one that is not must be there when the transaction that enters it was committed, and may be
// otherwise.
func (s *session) message(ctx context.Context) error {
	s.count++
	content := fmt.Sprintf("m %d.%d", s.number, s.count)
	loose := s.random.IntN(2) == 0
	if loose {
		content = "loose " + content
	}
	return s.exec(ctx, fmt.Sprintf("select pg_logical_emit_message(%t, 'nemesis', '%s'); insert into books.message values ('%s')",
		!loose, content, content))
}

// large changes many rows at once.
func (s *session) large(ctx context.Context) error {
	t := s.active[s.random.IntN(len(s.active))]
	rows := 200 + s.random.IntN(2500)
	switch t.shape {
	case composite:
		return s.exec(ctx, fmt.Sprintf("insert into %s select n %% 3, 'l' || nextval('fresh'), n, 'large' from generate_series(1, %d) n", t.name, rows))
	case keyless:
		return s.exec(ctx, fmt.Sprintf("insert into %s select n, n, 'large' from generate_series(1, %d) n; update %s set n = n + 1 where id %% 2 = 0",
			t.name, rows/2, t.name))
	}
	return s.exec(ctx, fmt.Sprintf("insert into %s (id, n, word) select nextval('fresh'), n, 'large' from generate_series(1, %d) n; delete from %s where n %% 3 = 0 and word = 'large'",
		t.name, rows/2, t.name))
}

// truncate empties one table or two.
func (s *session) truncate(ctx context.Context) error {
	var names []string
	for range 1 + s.random.IntN(2) {
		names = append(names, s.active[s.random.IntN(len(s.active))].stored()...)
	}
	return s.exec(ctx, "truncate "+strings.Join(names, ", "))
}

// statement is a change of a row, or of a few.
func (s *session) statement() string {
	if s.random.IntN(12) == 0 {
		s.mu.Lock()
		n := len(s.made)
		var name string
		if n > 0 {
			name = s.made[s.random.IntN(n)]
		}
		s.mu.Unlock()
		if name != "" {
			return pick(s.random, statements[simple], name)
		}
	}
	t := s.active[s.random.IntN(len(s.active))]
	return pick(s.random, statements[t.shape], t.name)
}

// pick fills in a statement.
func pick(random *rand.Rand, from []string, table string) string {
	return strings.NewReplacer("{t}", table, "{k}", fmt.Sprint(1+random.IntN(60)), "{n}", fmt.Sprint(random.IntN(1000))).
		Replace(from[random.IntN(len(from))])
}
