package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

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
		"shut down in order": {fmt.Errorf("read: %w", errShutdown), true},
		"promoted":           {errPromoted, true},
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
