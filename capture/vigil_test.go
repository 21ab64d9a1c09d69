package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

func TestHolderSilence(t *testing.T) {
	const poll = 250 * time.Millisecond
	for name, test := range map[string]struct {
		looks []holder
		want  time.Duration // at the last one
	}{
		"first":           {[]holder{{pid: 1, reply: "a", waiting: true}}, 0},
		"silent":          {[]holder{{pid: 1, reply: "a", waiting: true}, {pid: 1, reply: "a", waiting: true}, {pid: 1, reply: "a", waiting: true}}, 2 * poll},
		"answers":         {[]holder{{pid: 1, reply: "a", waiting: true}, {pid: 1, reply: "a", waiting: true}, {pid: 1, reply: "b", waiting: true}}, 0},
		"never answered":  {[]holder{{pid: 1, waiting: true}, {pid: 1, waiting: true}}, poll},
		"another session": {[]holder{{pid: 1, reply: "a", waiting: true}, {pid: 2, reply: "a", waiting: true}}, 0},
		"busy, silent":    {[]holder{{pid: 1, reply: "a", sent: "1"}, {pid: 1, reply: "a", sent: "2"}, {pid: 1, reply: "a", sent: "3", waiting: true}}, 2 * poll},
		"busy":            {[]holder{{pid: 1, reply: "a"}, {pid: 1, reply: "a"}, {pid: 1, reply: "a"}}, 0},
		"was busy":        {[]holder{{pid: 1, reply: "a"}, {pid: 1, reply: "a", waiting: true}, {pid: 1, reply: "a", waiting: true}}, 2 * poll},
		"busy now":        {[]holder{{pid: 1, reply: "a", waiting: true}, {pid: 1, reply: "a", waiting: true}, {pid: 1, reply: "a"}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var h holder
			var got time.Duration
			at := time.Unix(1000, 0)
			for _, look := range test.looks {
				got = h.silence(look, at)
				at = at.Add(poll)
			}
			if got != test.want {
				t.Errorf("silent for %s, want %s", got, test.want)
			}
		})
	}
}

func TestAbsent(t *testing.T) {
	source, err := parseSource("postgres://u@h/db")
	if err != nil {
		t.Fatal(err)
	}
	pg := func(code string) error { return fmt.Errorf("look: %w", &pgconn.PgError{Code: code}) }
	for name, test := range map[string]struct {
		err  error
		want bool
	}{
		"refused":            {connectError(source, &net.OpError{Op: "dial", Err: errors.New("refused")}, ""), true},
		"starting":           {connectError(source, &pgconn.PgError{Code: codeCannotConnect}, ""), true},
		"shut down":          {pg(codeShutdown), true},
		"crashed":            {pg(codeCrash), true},
		"full":               {pg(codeTooMany), true},
		"connection lost":    {pg("08006"), true},
		"closed":             {fmt.Errorf("read: %w", io.ErrUnexpectedEOF), true},
		"hung":               {fmt.Errorf("ask: %w", context.DeadlineExceeded), true},
		"wrong password":     {connectError(source, &pgconn.PgError{Code: codeBadPassword}, ""), false},
		"no database":        {connectError(source, &pgconn.PgError{Code: codeNoDatabase}, ""), false},
		"no privilege":       {pg(codeNoPrivilege), false},
		"lost":               {&lineError{"server says: …", ErrSlotLost}, false},
		"lost, by its state": {(&slotState{WALStatus: "lost"}).lost("s"), false},
		"other":              {errors.New("wal_level is replica"), false},
	} {
		if got := absent(test.err); got != test.want {
			t.Errorf("%s: %v is absent: %t", name, test.err, got)
		}
	}
}
