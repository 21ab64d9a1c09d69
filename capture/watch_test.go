package capture

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

func TestSuspicionRises(t *testing.T) {
	l := &link{wake: make(chan struct{}, 1)}
	s := suspicion{link: l}
	if !s.rises() {
		t.Error("nothing read, no suspicion")
	}
	l.filled()
	if s.rises() {
		t.Error("suspicion although something was read")
	}
	for range manyAsks {
		l.filled()
		l.ask()
	}
	if !s.rises() {
		t.Error("the server asks again and again, no suspicion")
	}
}

func TestSuspicionJudges(t *testing.T) {
	refused := &pgconn.PgError{Code: codeCannotConnect, Message: "the database system is shutting down"}
	full := &pgconn.PgError{Code: codeTooMany}
	unreachable := errors.Join(context.DeadlineExceeded, io.EOF)
	type look struct {
		held    bool
		err     error
		reads   bool // something has been read before this look
		confirm uint64
	}
	for name, test := range map[string]struct {
		waiting bool // somebody calls Next
		looks   []look
		at      int // the look that ends the session, -1 for none
		want    string
	}{
		"busy":               {true, []look{{held: true}, {held: true}, {held: true}, {held: true}, {held: true}}, -1, ""},
		"gone":               {true, []look{{}, {}, {}}, 1, "has ended the session"},
		"gone, unread":       {false, []look{{}, {}, {}, {}, {}}, -1, ""},
		"gone and back":      {true, []look{{}, {held: true}, {}, {held: true}}, -1, ""},
		"shut down":          {false, []look{{err: refused}, {err: refused}, {err: refused}, {err: refused}}, 2, "shutting down"},
		"shut down, working": {true, []look{{err: refused}, {err: refused, confirm: 1}, {err: refused, confirm: 2}, {err: refused, confirm: 3}}, -1, ""},
		"cut off":            {true, []look{{err: unreachable}, {err: unreachable}, {err: unreachable}, {err: unreachable}}, 2, "silent for 20s"},
		"cut off, unread":    {false, []look{{err: unreachable}, {err: unreachable}, {err: unreachable}, {err: unreachable}}, -1, ""},
		"full":               {true, []look{{err: full}, {err: full}, {err: full}, {err: full}, {err: full}}, -1, ""},
		"heard again":        {true, []look{{err: unreachable}, {err: unreachable}, {reads: true}, {err: unreachable}, {err: unreachable}}, -1, ""},
		"promoted":           {true, []look{{held: true}, {held: true, err: errPromoted}}, 1, "promoted"},
	} {
		l := &link{wake: make(chan struct{}, 1)}
		l.waiting.Store(test.waiting)
		s := suspicion{link: l}
		now, ended := time.Unix(0, 0), -1
		var cause error
		for i, look := range test.looks {
			if look.confirm > 0 {
				l.confirmed.Store(look.confirm)
			}
			if look.reads {
				l.reads.Add(1)
			}
			if s.rises() {
				if cause = s.judge(look.held, look.err, now); cause != nil {
					ended = i
					break
				}
			}
			now = now.Add(watchEvery)
		}
		if ended != test.at || cause != nil && !strings.Contains(cause.Error(), test.want) {
			t.Errorf("%s: ended at look %d, %v; want %d, %q", name, ended, cause, test.at, test.want)
		}
	}
}

func TestConnectErrorIsOneLine(t *testing.T) {
	config, err := parseSource("postgres://u@127.0.0.1:1/db")
	if err != nil {
		t.Fatal(err)
	}
	dial := &net.OpError{Op: "dial", Err: errors.New("refused")}
	got := connectError(config, errors.Join(dial, dial), "").Error()
	want := `connect to 127.0.0.1:1 as "u", database "db": dial: refused; is the server running, and does it listen there?`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
