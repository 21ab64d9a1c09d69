package capture

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/jackc/pglogrepl"

	"pgwitness/capture/witness"
	"pgwitness/decode"
)

// An attribution joins each transaction with what is known of its session: what the witness said of its commit, otherwise
// what was seen of it while it ran.
type attribution struct {
	follower *witness.Follower // nil without a witness
	sampler  *witness.Sampler  // nil without sampling
	patience time.Duration     // with a witness that has not got there; 0: without end

	sessions map[*witness.Session]*decode.Session
	actor    decode.Actor // of the transaction at hand
}

// Attribute has Next say with each Begin who made the transaction. Either may be nil. It is called before Next.
func (s *Source) Attribute(w *witness.Witness, sampler *witness.Sampler, patience time.Duration) {
	a := &attribution{sampler: sampler, patience: patience, sessions: make(map[*witness.Session]*decode.Session)}
	if w != nil {
		a.follower = w.Follow()
	}
	s.who = a
}

// of answers for a Begin: final_lsn, commit time, xid. It waits for the witness.
func (a *attribution) of(ctx context.Context, begin []byte) (*decode.Actor, error) {
	lsn := pglogrepl.LSN(binary.BigEndian.Uint64(begin[1:]))
	committed := epoch.Add(time.Duration(binary.BigEndian.Uint64(begin[9:])) * time.Microsecond)
	xid := binary.BigEndian.Uint32(begin[17:])
	a.actor = decode.Actor{Evidence: decode.EvidenceNone, Reason: witness.NotSeen}
	if a.follower != nil {
		c, err := a.follower.Of(ctx, lsn, xid, a.patience)
		if err != nil {
			return nil, err
		}
		a.actor.Reason, a.actor.GID, a.actor.Committer = c.Reason, c.GID, a.session(c.Committer)
		if c.Session != nil {
			a.actor.Evidence, a.actor.Session = decode.EvidenceHold, a.session(c.Session)
			return &a.actor, nil
		}
	}
	if a.sampler != nil {
		if seen := a.sampler.Of(xid, committed); seen != nil {
			a.actor.Evidence, a.actor.Reason, a.actor.Session = decode.EvidenceSample, "", a.session(seen)
		}
	}
	return &a.actor, nil
}

// mostSessions bounds what is kept of sessions: they come and go.
const mostSessions = 10_000

// session is the decoder's form, the same pointer for the same session.
func (a *attribution) session(w *witness.Session) *decode.Session {
	if w == nil {
		return nil
	}
	if s := a.sessions[w]; s != nil {
		return s
	}
	s := &decode.Session{
		User: w.User, PID: w.PID, Application: w.Application, Client: w.Client, BackendType: w.BackendType, Database: w.Database,
	}
	if w.Start != nil {
		s.Start = w.Start.UnixMicro()
	}
	if len(a.sessions) >= mostSessions {
		clear(a.sessions)
	}
	a.sessions[w] = s
	return s
}
