package witness

import "time"

// A Session is a server session as pg_stat_activity shows it. It is immutable, and the same session is mostly the same
// pointer.
type Session struct {
	PID         int32      `json:"pid"`
	User        string     `json:"user,omitempty"`          // login role
	Start       *time.Time `json:"session_start,omitempty"` // nil where the server hides it
	Application string     `json:"application,omitempty"`
	Client      string     `json:"client,omitempty"` // host:port, "local" for a unix socket, "" where the server hides it
	BackendType string     `json:"backend_type,omitempty"`
	Database    string     `json:"database,omitempty"`
}

// Why nobody is named. The words stand in the trail.
const (
	NotWaiting     = "not waiting when looked up"
	Released       = "released before a restart"
	LookUpFailed   = "look-up failed"
	NotSeen        = "no hold, not seen by sampling"
	Expired        = "the who record has expired"
	Unwitnessed    = "the witness did not read this part of the log"
	TooLate        = "the witness had not got there in time"
	PreparedBefore = "prepared before the witness began"
)

// A Commit is what is known of one commit record.
type Commit struct {
	XID       uint32
	Session   *Session // whose changes they are; nil: Reason says why
	Reason    string
	GID       string   // of a prepared transaction
	Committer *Session // who committed it, where that is certain
}
