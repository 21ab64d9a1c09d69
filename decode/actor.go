package decode

import (
	"bytes"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pglogrepl"
)

// How the session behind a change is known, strongest first (DESIGN.md §5). An Actor has hold, sample or none; the
// contexts in the stream make the others of it.
const (
	EvidenceHold       = "hold"
	EvidenceContext    = "context"
	EvidenceSample     = "sample"
	EvidenceUnverified = "context-unverified"
	EvidenceNone       = "none"
)

// An Actor says who made a transaction and by which evidence. The decoder keeps it until the transaction's Commit;
// nobody changes it.
type Actor struct {
	Evidence string   // EvidenceHold, EvidenceSample or EvidenceNone
	Reason   string   // with EvidenceNone: why
	Session  *Session // nil with EvidenceNone, and only then

	GID       string   // of a prepared transaction, "" of others; Session is the one that prepared it
	Committer *Session // of a prepared transaction: who committed it, nil where that is not certain
}

// A Session is a connection to the server, or a process of its own. Nobody changes one that an Actor points to: the
// decoder remembers by its address how it reads. Text is UTF-8, and what is unknown is "" or 0.
type Session struct {
	User        string // the login role
	PID         int32
	Start       int64 // µs since 1970-01-01 UTC (backend_start)
	Application string
	Client      string // host:port, or local for a unix socket
	BackendType string
	Database    string
}

var (
	// unwitnessed made a transaction of which nothing was said.
	unwitnessed = &Actor{Evidence: EvidenceNone, Reason: "no hold, not seen by sampling"}
	// unasked wrote a message that belongs to no transaction, so nobody was asked for it.
	unasked = &Actor{Evidence: EvidenceNone, Reason: "not transactional"}
)

// check refuses what no Actor may be: it would be shown as something that nobody knows.
func (a *Actor) check() error {
	switch a.Evidence {
	case EvidenceHold, EvidenceSample, EvidenceNone:
		if (a.Session == nil) == (a.Evidence == EvidenceNone) {
			return nil
		}
	}
	return fmt.Errorf("its actor has the evidence %q and a session: %t", a.Evidence, a.Session != nil)
}

// identify encodes who made the changes that come next, by what the Begin said and, unless said is nil, by what a
// context says. What the records before have is encoded already.
func (d *Decoder) identify(said *testimony) {
	tx := &d.tx
	a := tx.actor
	tx.evidence = a.Evidence
	if said != nil {
		tx.evidence = d.weigh(said.at)
	}
	who := appendEvidence(tx.who[:0], tx.evidence)
	switch tx.evidence {
	case EvidenceContext, EvidenceUnverified:
		who = said.appendSession(who)
	case EvidenceNone:
		who = appendMember(who, `,"reason":`, a.Reason)
	default:
		who = append(who, d.members(a.Session)...)
	}
	who = appendMember(who, `,"gid":`, a.GID)
	if a.Committer != nil {
		who = append(who, `,"committer":`...)
		open := len(who)
		who = closeObject(append(who, d.members(a.Committer)...), open)
	}
	if said != nil {
		who = said.appendWords(who)
		who = appendConflict(who, tx.evidence, a.Session, said)
	}
	who = strconv.AppendUint(append(who, `},"tx":{"xid":`...), tx.xid, 10)
	tx.who = append(who, `,"ordinal":`...)
}

// weigh gives the evidence of changes that stand behind a context, whose message has this position.
func (d *Decoder) weigh(at pglogrepl.LSN) string {
	known := d.tx.actor.Evidence
	switch {
	case known == EvidenceHold:
		return known
	case d.source.Unforgeable != nil && d.source.Unforgeable(at):
		return EvidenceContext
	case known == EvidenceSample:
		return known
	}
	return EvidenceUnverified
}

// appendEvidence appends the beginning of "actor".
func appendEvidence(dst []byte, evidence string) []byte {
	dst = append(append(dst, `,"actor":{"evidence":"`...), evidence...)
	return append(dst, '"')
}

// appendMember appends a label and a text, nothing if that is empty.
func appendMember(dst []byte, label, text string) []byte {
	if text == "" {
		return dst
	}
	return appendQuoted(append(dst, label...), text)
}

func appendPID(dst []byte, pid int32) []byte {
	return strconv.AppendInt(append(dst, `,"pid":`...), int64(pid), 10)
}

// appendConflict appends what is said of the session by the one who is not shown, where both know it and disagree. A
// session may change its application_name, and a proxy its client; its role and process stay.
func appendConflict(dst []byte, evidence string, seen *Session, said *testimony) []byte {
	if seen == nil {
		return dst
	}
	var room [128]byte
	user, pid := appendQuoted(room[:0], seen.User), seen.PID
	users := seen.User != "" && !bytes.Equal(user, said.user)
	pids := pid != 0 && pid != said.pid
	if !users && !pids {
		return dst
	}
	if evidence != EvidenceContext {
		user, pid = said.user, said.pid
	}
	dst = append(dst, `,"conflict":`...)
	open := len(dst)
	if users {
		dst = append(append(dst, `,"user":`...), user...)
	}
	if pids {
		dst = appendPID(dst, pid)
	}
	return closeObject(dst, open)
}

// A roster remembers how sessions read, because the same ones come again and again. It goes by their addresses. That is
// safe because nobody changes a session, and because the roster itself holds on to it: its address cannot become that
// of another one.
type roster [64]struct {
	session *Session
	members []byte
}

// members returns how a session reads: its members, each behind a comma. They hold until the next call.
func (d *Decoder) members(s *Session) []byte {
	e := &d.roster[uint32(s.PID)%uint32(len(d.roster))]
	if e.session != s {
		e.session, e.members = s, d.appendSession(e.members[:0], s)
	}
	return e.members
}

func (d *Decoder) appendSession(dst []byte, s *Session) []byte {
	dst = appendMember(dst, `,"user":`, s.User)
	dst = appendMember(dst, `,"application":`, s.Application)
	dst = appendMember(dst, `,"client":`, s.Client)
	if s.PID != 0 {
		dst = appendPID(dst, s.PID)
	}
	if s.Start != 0 {
		dst = append(appendTimestamp(append(dst, `,"session_start":"`...), s.Start), '"')
	}
	dst = appendMember(dst, `,"backend_type":`, s.BackendType)
	if s.Database != d.source.Database {
		dst = appendMember(dst, `,"database":`, s.Database)
	}
	return dst
}

// appendTimestamp appends a time, given in µs since 1970-01-01 UTC.
func appendTimestamp(dst []byte, at int64) []byte {
	return time.UnixMicro(at).UTC().AppendFormat(dst, "2006-01-02T15:04:05.000000Z")
}
