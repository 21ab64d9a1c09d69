package witness

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pglogrepl"
)

// A session is one attendance: a stream of the log, a connection to look sessions up, and a reporter.
type session struct {
	*Witness
	place    place
	activity *activity
	stream   *stream
	scanner  *scanner
	received pglogrepl.LSN
	events   []event // not answered yet
	census   census
}

// silence bounds the wait for a server that is asked for a sign of life every five seconds.
const silence = 30 * time.Second

// mostEvents is how many commits go into one look-up at most.
const mostEvents = 1 << 12

// open begins a session.
func (w *Witness) open(ctx context.Context) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, silence)
	defer cancel()
	act, err := openActivity(ctx, &w.cfg)
	if err != nil {
		return nil, err
	}
	s := &session{Witness: w, activity: act, census: census{at: time.Now().Add(censusAfter)}}
	if err := s.begin(ctx); err != nil {
		act.close(ctx)
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.former = s.stream.pid
	w.reporter = startReporter(s.stream.conn, pglogrepl.LSN(w.answered.Load()), w.flushed)
	return s, nil
}

func (s *session) begin(ctx context.Context) (err error) {
	if s.place, err = readPlace(ctx, s.activity.conn, s.cfg.Name); err != nil {
		return err
	}
	if s.memory == nil {
		if err := s.takeUp(ctx, s.place); err != nil {
			return err
		}
	}
	other, err := rival(ctx, s.activity.conn, s.cfg.Name, s.place.holder)
	if err != nil {
		return err
	}
	if other != 0 {
		return fmt.Errorf("%w, pid %d, bears the name %q of our witness: give it another application_name", errRival, other, s.cfg.Name)
	}
	s.received = pageOf(s.place.start)
	if s.scanner, err = newScanner(s.received, s.place.segment, s.place.version); err != nil {
		return err
	}
	s.stream, err = openStream(ctx, &s.cfg, s.place)
	return err
}

// takeUp goes on where the witness before us ended: what the journal answers for is not answered again.
func (w *Witness) takeUp(ctx context.Context, p place) error {
	from := p.start
	if value := w.journal.Last(); value != nil {
		last, err := parseRecord(value)
		if err != nil {
			return err
		}
		if system := fmt.Sprint(w.cfg.System); last.Source.System != system || last.Source.Slot != w.cfg.Name {
			return fmt.Errorf("the who topic belongs to witness %s of system %s, not to %s of %s: use another prefix",
				last.Source.Slot, last.Source.System, w.cfg.Name, system)
		}
		to := pglogrepl.LSN(last.To)
		if last.Timeline == w.cfg.TimelineOf(to) {
			if to > p.flushed {
				return fmt.Errorf("the who topic answers for the log up to %s, and the server has written it up to %s: "+
					"it is an older copy; use another prefix", to, p.flushed)
			}
			from = max(from, to)
			w.appended.Store(uint64(to))
			w.durable.Store(uint64(to))
		}
		if err := w.takeUpPrepared(ctx, last); err != nil {
			return err
		}
		w.state, w.resumed = last.State, true
	}
	w.joined = p.flushed
	w.answered.Store(uint64(from))
	w.memory = newMemory(from)
	return nil
}

// takeUpPrepared finds the newest list of prepared transactions.
func (w *Witness) takeUpPrepared(ctx context.Context, last *whoRecord) error {
	list := last
	if at := pglogrepl.LSN(last.State.Prepared); at != 0 && last.State.Prepared != last.To {
		reader, _, err := w.journal.Records(ctx, w.cfg.TimelineOf(at), at)
		if err != nil {
			return err
		}
		value, err := reader.Next(ctx)
		if err != nil {
			return fmt.Errorf("read the list of prepared transactions: %w", err)
		}
		if list, err = parseRecord(value); err != nil {
			return err
		}
	}
	w.book.read(list)
	return nil
}

// serve reads the log and answers, until the session or ctx ends.
func (s *session) serve(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { s.stream.conn.Close() })
	defer stop()
	for {
		if !s.stream.ready() {
			s.stream.conn.SetReadDeadline(time.Now().Add(silence))
		}
		kind, body, err := s.stream.next()
		if err != nil {
			return fmt.Errorf("read the log after %s: %w", s.received, err)
		}
		if err := s.take(kind, body); err != nil {
			return err
		}
		if s.stream.ready() && len(s.events) < mostEvents {
			continue // it is older than any snapshot that we could take now
		}
		if err := s.answer(ctx); err != nil {
			return err
		}
		if err := s.settle(ctx); err != nil {
			return err
		}
	}
}

// take reads one frame.
func (s *session) take(kind byte, body []byte) error {
	switch kind {
	case 'd':
	case 'N', 'S':
		return nil
	case 'E':
		return serverError(body)
	default:
		return errors.New("the server ended replication (it is shutting down, or its timeline ends)")
	}
	switch {
	case len(body) == 18 && body[0] == 'k': // walEnd, sendTime, replyRequested
		if body[17] != 0 {
			return s.reporter.report(0)
		}
		return nil
	case len(body) >= 25 && body[0] == 'w': // dataStart, walEnd, sendTime, log
		at := pglogrepl.LSN(binary.BigEndian.Uint64(body[1:]))
		if err := s.scanner.scan(at, body[25:], s.see); err != nil {
			return &brokenError{fmt.Errorf("read the log: %w", err)}
		}
		s.received = at + pglogrepl.LSN(len(body)-25)
		return nil
	}
	return fmt.Errorf("unexpected message of %d bytes in the log's stream", len(body))
}

// see takes what the scanner finds. What is answered already comes again after a pause.
func (s *session) see(e event) error {
	if uint64(e.end) > s.answered.Load() {
		s.events = append(s.events, e)
	}
	return nil
}

// answer looks up whose the commits are that have come, lets their sessions go, and writes it down.
func (s *session) answer(ctx context.Context) error {
	boundary := s.scanner.boundary()
	if len(s.events) == 0 {
		if uint64(boundary) > s.answered.Load() {
			s.memory.add(nil, boundary, pglogrepl.LSN(s.durable.Load()))
			s.answered.Store(uint64(boundary))
		}
		return nil
	}
	arrived := arrival{boundary, time.Now(), len(s.events)}
	s.mu.Lock()
	s.pending = append(s.pending, arrived)
	s.mu.Unlock()
	snap, failed, err := s.lookUp(ctx)
	if err != nil {
		return err
	}
	if err := s.reporter.report(s.received); err != nil {
		return err
	}
	s.waited(Known, arrived)
	r, err := s.record(ctx, snap, boundary, failed)
	if err != nil {
		return err
	}
	s.events = s.events[:0]
	s.memory.add(r.answers(), boundary, pglogrepl.LSN(s.durable.Load()))
	s.appended.Store(uint64(boundary)) // before answered: see flushed
	s.answered.Store(uint64(boundary))
	value, err := json.Marshal(r)
	if err == nil {
		err = s.journal.Append(ctx, r.Timeline, boundary, value)
	}
	if err != nil && ctx.Err() == nil {
		return &brokenError{fmt.Errorf("write a who record: %w", err)}
	}
	return err
}

// lookUp takes a snapshot, however long that takes: no session is let go without. failed says that the first one did not
// succeed.
func (s *session) lookUp(ctx context.Context) (snap *snapshot, failed bool, err error) {
	var xids []uint32
	committers := false
	for _, e := range s.events {
		switch e.kind {
		case kindCommit, kindPrepare:
			xids = append(xids, e.xid)
		case kindCommitPrepared:
			committers = true
		}
	}
	for wait := leastPause; ; wait = min(2*wait, mostPause) {
		snap, err := s.activity.look(ctx, xids, committers)
		s.mu.Lock()
		s.stats.LookUps++
		if err != nil {
			s.stats.Failures++
		}
		s.mu.Unlock()
		if err == nil || ctx.Err() != nil {
			return snap, failed, err
		}
		if !failed {
			s.log.Warn("the witness cannot look up who is committing; commits may be waiting", "error", err)
		}
		failed = true
		pause(ctx, wait)
		s.activity.reopen(ctx, &s.cfg)
	}
}

// record makes the who record of the events.
func (s *session) record(ctx context.Context, snap *snapshot, to pglogrepl.LSN, failed bool) (*whoRecord, error) {
	timeline := s.cfg.TimelineOf(to)
	r := &whoRecord{
		ID:       fmt.Sprintf("%d.%d.0-%016X-0", s.cfg.System, timeline, uint64(to)),
		Timeline: timeline, From: lsn(s.answered.Load()), To: lsn(to), At: snap.at.UTC(),
		Sessions: []*Session{}, Commits: []whoCommit{},
		Source: whoSource{System: fmt.Sprint(s.cfg.System), Slot: s.cfg.Name},
	}
	for _, e := range s.events {
		gid, err := s.cfg.Text(ctx, []byte(e.gid))
		if err != nil {
			return nil, err
		}
		c := whoCommit{XID: e.xid, Commit: lsn(e.start), End: lsn(e.end), GID: gid}
		switch e.kind {
		case kindCommit:
			if c.Session = r.number(snap.sessions[e.xid]); c.Session == nil {
				c.Reason = s.reason(e, failed)
			}
			r.Commits = append(r.Commits, c)
		case kindPrepare:
			o := open{xid: e.xid, gid: gid, session: snap.sessions[e.xid]}
			if o.session == nil {
				o.reason = s.reason(e, failed)
			}
			s.book.prepare(o)
		case kindCommitPrepared:
			if o, known := s.book.end(e.xid); known {
				c.Session, c.Reason = r.number(o.session), o.reason
			} else {
				c.Reason = PreparedBefore
			}
			c.Committer = r.number(snap.committer(e.gid, epoch.Add(time.Duration(e.time)*time.Microsecond)))
			r.Commits = append(r.Commits, c)
		case kindAbortPrepared:
			s.book.end(e.xid)
		}
	}
	s.book.write(r, &s.state)
	r.State = s.state
	s.count(r)
	return r, nil
}

// count adds a record's commits to the counts.
func (s *session) count(r *whoRecord) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range r.Commits {
		s.stats.Commits++
		if c.Session != nil {
			s.stats.Named++
		}
	}
}

// reason says why nobody is named for a commit or a prepare.
func (s *session) reason(e event, failed bool) string {
	switch {
	case s.resumed && e.end <= s.joined:
		return Released
	case failed:
		return LookUpFailed
	}
	return NotWaiting
}

// leave ends a session.
func (w *Witness) leave(ctx context.Context, s *session) {
	w.mu.Lock()
	r := w.reporter
	w.reporter, w.lost = nil, time.Now()
	w.mu.Unlock()
	r.stop()
	s.stream.conn.Close()
	s.activity.close(ctx)
}
