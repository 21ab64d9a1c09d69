package witness

import (
	"testing"
	"time"
)

// TestCommitter: who commits a prepared transaction is named only where nothing else is possible.
func TestCommitter(t *testing.T) {
	recorded := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	alice, bob := &Session{User: "alice"}, &Session{User: "bob"}
	before := recorded.Add(-time.Millisecond)
	for _, test := range []struct {
		name    string
		waiting []waiter
		want    *Session
	}{
		{"nobody waits", nil, nil},
		{"it is the statement", []waiter{{alice, "commit prepared 'a''b'", before}}, alice},
		{"in another dress", []waiter{{alice, "  COMMIT\n\tPrepared  'a''b' ; ", before}}, alice},
		{"another one's", []waiter{{bob, "commit prepared 'b'", before}, {alice, "commit prepared 'a''b'", before}}, alice},
		{"received later", []waiter{{alice, "commit prepared 'a''b'", recorded.Add(time.Millisecond)}}, nil},
		{"two of them", []waiter{{bob, "commit prepared 'a''b'", before}, {alice, "commit prepared 'a''b'", before}}, nil},
		{"rolled back", []waiter{{alice, "rollback prepared 'a''b'", before}}, nil},
		{"more than the statement", []waiter{{alice, "select 1; commit prepared 'a''b'", before}}, nil},
		{"cut off", []waiter{{alice, "commit prepared 'a''", before}}, nil},
		{"another kind of quotes", []waiter{{alice, `commit prepared E'a\'b'`, before}}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			snap := &snapshot{waiting: test.waiting}
			if got := snap.committer("a'b", recorded); got != test.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestClient(t *testing.T) {
	for _, test := range []struct {
		host string
		port int32
		want string
	}{
		{"10.1.2.3", 51234, "10.1.2.3:51234"},
		{"::1", 5, "[::1]:5"},
		{"", -1, "local"},
		{"", 0, ""}, // hidden from us
	} {
		if got := client(test.host, test.port); got != test.want {
			t.Errorf("%s %d: %s", test.host, test.port, got)
		}
	}
}

// TestSame: a session is one pointer as long as nothing about it changes.
func TestSame(t *testing.T) {
	a := &activity{known: make(map[int32]*Session)}
	start := time.Now()
	again := start.Add(0)
	first := a.same(Session{PID: 1, User: "u", Start: &start})
	if a.same(Session{PID: 1, User: "u", Start: &again}) != first {
		t.Error("the same session has another pointer")
	}
	later := start.Add(time.Hour)
	for _, s := range []Session{{PID: 1, User: "v", Start: &start}, {PID: 1, User: "v"}, {PID: 1, User: "v", Start: &later}} {
		if got := a.same(s); got == first || !equal(got, &s) {
			t.Errorf("%+v is taken for %+v", s, got)
		}
	}
}
