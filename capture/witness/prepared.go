package witness

import "slices"

// An open is a prepared transaction that is neither committed nor rolled back.
type open struct {
	xid     uint32
	gid     string
	session *Session // that prepared it; nil: reason says why
	reason  string
}

// A book keeps the open prepared transactions. They outlive sessions and restarts, so the journal has their list.
type book struct {
	list    []open
	changed bool // since it was written down
}

func (b *book) prepare(o open) {
	b.end(o.xid) // of an earlier transaction with this number
	b.list = append(b.list, o)
	b.changed = true
}

// end takes a transaction out.
func (b *book) end(xid uint32) (open, bool) {
	i := slices.IndexFunc(b.list, func(o open) bool { return o.xid == xid })
	if i < 0 {
		return open{}, false
	}
	o := b.list[i]
	b.list = slices.Delete(b.list, i, i+1)
	b.changed = true
	return o, true
}

// write puts the list into a record and its place into the state, if it has changed.
func (b *book) write(r *whoRecord, st *state) {
	if !b.changed {
		return
	}
	for _, o := range b.list {
		r.Prepared = append(r.Prepared, whoPrepared{XID: o.xid, GID: o.gid, Session: r.number(o.session), Reason: o.reason})
	}
	st.Prepared = r.To
	b.changed = false
}

// read takes the list up from a record.
func (b *book) read(r *whoRecord) {
	b.list, b.changed = nil, false
	for _, p := range r.Prepared {
		b.list = append(b.list, open{p.XID, p.GID, r.session(p.Session), p.Reason})
	}
}
