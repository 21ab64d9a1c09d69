package main

import (
	"context"

	"github.com/jackc/pglogrepl"

	"pgwitness/capture"
	"pgwitness/decode"
)

// A source delivers the slot's messages in order. A message's bytes are borrowed until the next call.
type source interface {
	Next(context.Context) (capture.Message, error)
}

// A decoder gives meaning to messages. Records are borrowed until emit returns. The position that Decode returns is
// one up to which the stream is complete when all records emitted so far are kept; 0 says nothing.
type decoder interface {
	Decode(ctx context.Context, m decode.Message, emit func(*decode.Record) error) (pglogrepl.LSN, error)
	Between() bool
}

// A sink keeps records. Send copies what it keeps, and blocks while its buffer is full. Mark says that everything sent
// so far belongs to positions at or below its own; it does not block.
type sink interface {
	Send(context.Context, *decode.Record) error
	Mark(pglogrepl.LSN) error
}

// pipe carries changes from the source to the sink until an error, or until everything that committed at or below
// until is sent (0: without end); seen counts whose they are. What is durable is the sink's to report and the source's to confirm; nobody here
// waits for it.
func pipe(ctx context.Context, from source, dec decoder, to sink, until pglogrepl.LSN, seen *coverage) error {
	send := func(r *decode.Record) error {
		seen.add(r)
		return to.Send(ctx, r)
	}
	for {
		m, err := from.Next(ctx)
		if err != nil {
			return err
		}
		var pos pglogrepl.LSN
		if m.Keepalive {
			// Between two transactions everything before the server's position has been sent: that is what lets the
			// slot of an idle database advance.
			if dec.Between() {
				pos = m.End
			}
		} else if pos, err = dec.Decode(ctx, m.Message, send); err != nil {
			return err
		}
		if pos == 0 {
			continue
		}
		if err := to.Mark(pos); err != nil {
			return err
		}
		if until != 0 && pos >= until {
			return nil
		}
	}
}
