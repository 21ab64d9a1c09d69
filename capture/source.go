package capture

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgproto3"

	"pgwitness/decode"
)

// Config says which slot to hold.
type Config struct {
	Source      string // libpq URL or key/value string; PG* environment, passfile and service file are honoured
	Slot        string
	Publication string

	// Wait makes Open a warm standby: it waits until a slot that is in use is free, also while the server is away.
	Wait bool
	// TakeoverAfter, with Wait, ends the session that holds the slot when nothing has been heard of its client for so
	// long; 0 leaves that to the server (wal_sender_timeout). A living client is heard every 10 seconds, or more often.
	TakeoverAfter time.Duration
	// Former is the PID of our own session before this one, 0 for none. Where the server has not noticed yet that it is
	// over, Open ends it. Whoever else holds the slot by now has taken over: Open does not wait for that one.
	Former int

	// Failed, if set, is called when the connection has failed in a way that Next cannot tell before it is called. It
	// must not block.
	Failed func(error)
}

// A Message is what came out of the slot.
type Message struct {
	decode.Message
	// Keepalive: nothing but the server's position, up to which everything has been sent. Data is empty.
	Keepalive bool
	End       pglogrepl.LSN // a keepalive's walEnd
}

// A Source holds one logical slot.
type Source struct {
	slot, publication string

	log       hclog.Logger
	conn      net.Conn // the replication connection
	frames    *frameReader
	interrupt *interrupter
	link      *link
	writer    *writer
	watcher   *watcher
	pid       uint32 // of the walsender
	catalogue *catalogue
	origin    decode.Source
	start     pglogrepl.LSN
	position  pglogrepl.LSN // of the last message that had one
	begun     begun
	seal      seal
	who       *attribution // nil: nobody is named
	begin     *Message     // read, and not returned because ctx ended while its author was asked for
	ended     bool         // Next has returned an error of the connection
}

// Open connects, looks at everything the promise rests on, and starts replication on the existing slot. Its errors say
// what is wrong, where, and how to mend it; ErrSlotLost among them, and AwayError for a server that is not there.
// Cancelling ctx later has no effect on the Source.
func Open(ctx context.Context, cfg Config, log hclog.Logger) (*Source, error) {
	config, err := parseSource(cfg.Source)
	if err != nil {
		return nil, err
	}
	cat := &catalogue{config: config}
	s, err := hold(ctx, cfg, cat, log)
	if err != nil {
		if loss, ok := errors.AsType[*LossError](err); ok {
			cat.complete(ctx, cfg, loss, log)
		}
		cat.close(ctx)
		return nil, Away(err)
	}
	return s, nil
}

// hold opens a slot that may be in use at first. A walsender notices only after a moment that its client, perhaps our
// predecessor, has gone; who is to wait waits longer.
func hold(ctx context.Context, cfg Config, cat *catalogue, log hclog.Logger) (*Source, error) {
	vigil := newVigil(cfg, cat.config, log)
	for deadline := time.Now().Add(release); ; {
		s, err := open(ctx, cfg, cat, log)
		holder, held := holderIn(err)
		switch {
		case err == nil:
			return s, nil
		case ctx.Err() != nil:
			return nil, err
		case holder != 0 && holder == cfg.Former:
			vigil.endFormer(ctx, cat, holder)
		case holder != 0 && cfg.Former != 0:
			return nil, fmt.Errorf("another one took over: %w", err)
		case cfg.Wait && (held || vigil.kept && absent(err)):
			cat.close(ctx)
			if err := vigil.keep(ctx, err); err != nil {
				return nil, err
			}
		case !held || time.Now().After(deadline):
			return nil, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(release / 20):
		}
	}
}

// release is how long a slot may be in use that is free in truth.
const release = 2 * time.Second

func open(ctx context.Context, cfg Config, cat *catalogue, log hclog.Logger) (*Source, error) {
	facts, err := cat.inspect(ctx, cfg)
	if err != nil {
		return nil, err
	}
	stream, err := openStream(ctx, cat.config, facts, log)
	if err != nil {
		return nil, err
	}
	if err := stream.start(ctx, cfg); err != nil {
		stream.conn.Close()
		if lost := cat.lost(ctx, cfg.Slot); lost != nil {
			return nil, lost
		}
		return nil, cat.nameHolder(ctx, cfg.Slot, err)
	}
	// Only now does nobody else move the slot.
	start, err := cat.heldAt(ctx, cfg.Slot, stream.pid)
	if err != nil {
		stream.conn.Close()
		return nil, err
	}
	log.Info("replication started", "slot", cfg.Slot, "database", facts.Database, "confirmed", start.String(),
		"server", facts.Version, "timeline", stream.timeline, "wal_sender_timeout", stream.timeout)

	l := &link{conn: stream.conn, wake: make(chan struct{}, 1), failed: cfg.Failed}
	l.confirmed.Store(uint64(start))
	l.received.Store(uint64(start))
	s := &Source{
		slot: cfg.Slot, publication: cfg.Publication, log: log, conn: stream.conn, frames: stream.frames, interrupt: stream.interrupt,
		link: l, pid: stream.pid, catalogue: cat, start: start, position: start,
		origin: origin(stream, facts, cfg.Slot, cat),
	}
	s.frames.waits, s.frames.filled = l.waits, l.filled
	s.writer = startWriter(l, paceOf(stream.timeout), start)
	s.watcher = startWatcher(context.WithoutCancel(ctx), l, &probe{
		catalogue: cat, slot: cfg.Slot, pid: stream.pid, standby: facts.Standby,
	}, log)
	return s, nil
}

// PID is the process of the server that serves the slot.
func (s *Source) PID() int { return int(s.pid) }

// Received is the newest position that has been read. Any goroutine may ask.
func (s *Source) Received() pglogrepl.LSN { return pglogrepl.LSN(s.link.received.Load()) }

// Origin names where the messages come from.
func (s *Source) Origin() decode.Source { return s.origin }

// Start is the slot's confirmed position when this session began.
func (s *Source) Start() pglogrepl.LSN { return s.start }

// Catalogue answers from an ordinary connection of its own.
func (s *Source) Catalogue() decode.Catalogue { return &dictionary{s.catalogue, &s.origin} }

// Next returns the next message; its Data is borrowed until the next call. Only one goroutine calls it. When ctx is
// cancelled it returns ctx's error and may be called again with another; any other error is final: AwayError where
// another Open may go on.
func (s *Source) Next(ctx context.Context) (Message, error) {
	if err := s.interrupt.watch(ctx); err != nil {
		if s.link.failure() != nil { // perhaps that is why ctx ended
			return Message{}, s.broken(ctx, err)
		}
		return Message{}, err
	}
	if s.begin != nil {
		return s.attribute(ctx, *s.begin)
	}
	for {
		kind, body, err := s.frames.next()
		if err != nil {
			return Message{}, s.broken(ctx, err)
		}
		if kind != 'd' {
			if err := s.other(kind, body); err != nil {
				s.ended = true
				if kind == 'E' {
					err = s.lossOf(ctx, err)
				}
				return Message{}, s.gone(ctx, err)
			}
			continue
		}
		m, asked, err := parseCopyData(body)
		if err != nil {
			s.ended = true
			return Message{}, fmt.Errorf("read slot %q after %s: %w", s.slot, s.position, err)
		}
		s.frames.nap.look(body)
		s.note(&m, asked)
		if s.who != nil && isBegin(m.Data) {
			return s.attribute(ctx, m)
		}
		return m, nil
	}
}

// attribute says with a Begin who made the transaction. The connection goes on being served meanwhile.
func (s *Source) attribute(ctx context.Context, m Message) (Message, error) {
	actor, err := s.who.of(ctx, m.Data)
	if err != nil {
		s.begin = &m
		if ctx.Err() == nil {
			s.ended = true
			err = fmt.Errorf("read slot %q at %s: who made the transaction: %w", s.slot, s.position, err)
		}
		return Message{}, err
	}
	m.Actor, s.begin = actor, nil
	return m, nil
}

// note keeps what the writer says of the reading half, and which transaction is under way.
func (s *Source) note(m *Message, asked bool) {
	s.begun.look(m.Data)
	pos := m.LSN
	if m.Keepalive {
		pos = m.End
	}
	if pos > s.position {
		s.position = pos
		s.link.received.Store(uint64(pos))
	}
	if asked {
		s.link.ask()
	}
}

// broken turns an error of the reading half into Next's.
func (s *Source) broken(ctx context.Context, err error) error {
	if cause := s.link.failure(); cause != nil {
		s.ended = true
		return s.gone(ctx, fmt.Errorf("read slot %q after %s: %w", s.slot, s.position, cause))
	}
	if isTimeout(err) && ctx.Err() != nil {
		return ctx.Err()
	}
	s.ended = true
	return s.gone(ctx, fmt.Errorf("read slot %q after %s: %w", s.slot, s.position, err))
}

// gone tells an end that another Open may mend from one that it must not: whose place was taken does not take it back.
func (s *Source) gone(ctx context.Context, err error) error {
	if !absent(err) {
		return err
	}
	if successor := s.successor(ctx); successor != nil {
		return fmt.Errorf("our session was ended, and slot %q %w (%w)", s.slot, successor, err)
	}
	return &AwayError{err}
}

// successor tells whether somebody else holds the slot by now. A Source that only reads has no catalogue to ask.
func (s *Source) successor(ctx context.Context) error {
	if s.catalogue == nil {
		return nil
	}
	return s.catalogue.successor(ctx, s.slot, s.pid)
}

// other reads a frame that is not CopyData.
func (s *Source) other(kind byte, body []byte) error {
	switch kind {
	case 'N':
		if err := readNotice(s.log, body); err != nil {
			return fmt.Errorf("read slot %q after %s: %w", s.slot, s.position, err)
		}
		return nil
	case 'S': // a setting of the session has been reported again, after a reload of the configuration
		return nil
	case 'E':
		err := streamError(body)
		if unsendable(err) && s.begun.Commit != 0 {
			err = &UnsendableError{Commit: s.begun.Commit, XID: s.begun.XID, cause: err}
		}
		return fmt.Errorf("read slot %q after %s: %w", s.slot, s.position, err)
	case 'c', 'C', 'Z':
		return fmt.Errorf("read slot %q after %s: %w", s.slot, s.position, errShutdown)
	}
	return fmt.Errorf("read slot %q after %s: unexpected frame %q of %d bytes", s.slot, s.position, kind, len(body))
}

var errShutdown = errors.New("the server ended replication (it is shutting down)")

// Confirm tells the server that everything up to the position is durable. It never blocks and may be called by any
// goroutine; positions never go back.
func (s *Source) Confirm(pos pglogrepl.LSN) { s.link.confirm(pos) }

// Bounds of Close.
const (
	answer  = 500 * time.Millisecond // for the answer to CopyDone, which comes only between two transactions
	goodbye = 2 * time.Second        // for all of it
)

// Alive reports whether the server has heard of us when it should have, whether or not anybody calls Next. Any goroutine
// may ask until Close is called. A process that lives and answers false hangs.
func (s *Source) Alive() bool { return s.writer.alive() }

// Close confirms what is durable, ends the session and waits for its goroutines. It is called after the last Next has
// returned. Its error means that the server may not have taken the last confirmation, so that it will send again what
// came after the one before.
func (s *Source) Close(ctx context.Context) error {
	s.watcher.stop()
	s.writer.stop()
	var err error
	if !s.ended { // otherwise Next has told
		if err = s.link.failure(); err == nil {
			err = s.leave(ctx)
		}
		if err != nil {
			err = fmt.Errorf("confirm %s to slot %q: %w", s.link.durable(), s.slot, err)
		}
	}
	s.interrupt.release()
	s.conn.Close()
	s.catalogue.close(ctx)
	return err
}

// leave owns both halves: the writer has stopped and nobody calls Next.
func (s *Source) leave(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, goodbye)
	defer cancel()
	s.conn.SetWriteDeadline(time.Now().Add(answer))
	last, err := (&pgproto3.CopyDone{}).Encode(appendStatus(nil, s.link, false))
	if err == nil {
		_, err = s.conn.Write(last)
	}
	if err == nil {
		err = s.hearGoodbye(ctx)
	}
	if err == nil {
		_, err = s.conn.Write([]byte{'X', 0, 0, 0, 4}) // Terminate
		return err
	}
	if !isTimeout(err) && ctx.Err() == nil {
		return err
	}
	// The server is in the middle of a large transaction and reads only while it cannot write (walsender.c,
	// WalSndWriteData). So nothing more is taken from it, until its slot shows that it has read.
	return s.catalogue.await(ctx, s.slot, s.link.durable())
}

// hearGoodbye reads until the server is ready for another command.
func (s *Source) hearGoodbye(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answer)
	defer cancel()
	if err := s.interrupt.watch(ctx); err != nil {
		return err
	}
	for {
		kind, body, err := s.frames.next()
		switch {
		case err != nil:
			return err
		case kind == 'E':
			return streamError(body)
		case kind == 'Z':
			return nil
		}
	}
}
