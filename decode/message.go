package decode

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pglogrepl"
)

// message takes an M, what pg_logical_emit_message wrote.
//
// A non-transactional one is sent when its WAL is decoded (ReorderBufferQueueMessage in reorderbuffer.c), so with
// streaming off it stands between two transactions. Its position is the end of its WAL record (logicalmsg_decode passes
// endptr), and it may be confirmed: a slot confirmed there skips what begins before it (SnapBuildXactNeedsSkip), which
// is this message and commits that were sent before it, and nothing else.
func (d *Decoder) message(ctx context.Context, c *cursor, emit func(*Record) error) (pglogrepl.LSN, error) {
	flags, lsn, rawPrefix := c.byte(), c.lsn(), c.text()
	content := c.take(int(c.uint32()))
	if err := c.done(); err != nil {
		return 0, err
	}
	if flags > 1 {
		return 0, fmt.Errorf("unknown flags %#x", flags)
	}
	prefix := contextPrefix
	if string(rawPrefix) != contextPrefix { // which is common enough to be spared the copy
		var err error
		if prefix, err = d.name(ctx, rawPrefix); err != nil {
			return 0, err
		}
	}
	if flags == 0 {
		return d.loose(lsn, prefix, content, emit)
	}
	if !d.tx.open {
		return 0, errors.New("it is transactional and stands outside a transaction")
	}
	d.tx.ordinal++
	switch {
	case prefix == contextPrefix:
		return 0, d.testify(ctx, lsn, content, emit)
	case tells(prefix):
		d.types.doubt()
		return 0, d.define(ctx, prefix, content, emit)
	case ours(prefix):
		return 0, nil
	}
	s := d.spare(len(prefix) + len(content))
	d.start(s)
	s.record.Op, s.record.Target = OpMessage, Messages
	s.appendMessage(prefix, true, content)
	d.finish(s)
	return 0, d.hold(s, emit)
}

// ours tells pgwitness's own messages. They take an ordinal; only those that tell of a definition, and those that are not
// what they seem, give a record.
func ours(prefix string) bool {
	return prefix == contextPrefix || strings.HasPrefix(prefix, contextPrefix+".")
}

// loose takes a non-transactional message. The server sends none inside a transaction; if it did, it would not have to
// wait for the record held back, which lies at the later position of its commit.
func (d *Decoder) loose(lsn pglogrepl.LSN, prefix string, content []byte, emit func(*Record) error) (pglogrepl.LSN, error) {
	mark := lsn
	if d.tx.open {
		mark = 0 // the transaction is not complete
	}
	forged := prefix == contextPrefix || tells(prefix) // our functions write transactional ones only
	if ours(prefix) && !forged {
		return mark, nil
	}
	s := d.spare(len(prefix) + len(content))
	id := d.idAt(lsn)
	s.record = Record{ID: id, Op: OpMessage, Target: Messages, Evidence: unasked.Evidence}
	s.newKey = s.newKey[:0]
	s.value = append(appendHead(s.value[:0], id), '0')
	s.layout = layout{idEnd: len(s.value)}
	if forged {
		s.record.Op, s.record.Target = OpControl, Control
		s.value = appendUnverified(append(s.value, `",`...), prefix, false, content)
	} else {
		s.appendMessage(prefix, false, content)
	}
	s.value = appendMember(appendEvidence(s.value, unasked.Evidence), `,"reason":`, unasked.Reason)
	s.value = append(s.value, `},"tx":{"ordinal":0,"commit_lsn":"`...)
	s.value = append(appendLSN(s.value, lsn), `"},`...)
	s.value = d.appendSource(s.value, id.Timeline, "")
	return mark, s.emit(emit)
}

// appendMessage appends the message itself. Its content is bytes, which the server never converts.
func (s *slot) appendMessage(prefix string, transactional bool, content []byte) {
	s.value = append(s.value, `","op":"message","message":{"prefix":`...)
	s.value = appendQuoted(s.value, prefix)
	s.value = append(s.value, `,"transactional":`...)
	s.value = strconv.AppendBool(s.value, transactional)
	at := &s.layout
	at.bulk = len(s.value)
	if utf8.Valid(content) {
		s.value = append(s.value, `,"content":`...)
		s.value, _ = appendString(s.value, content)
	} else {
		s.value = append(s.value, `,"content_hex":"`...)
		s.value = append(hex.AppendEncode(s.value, content), '"')
	}
	at.bulkEnd = len(s.value)
	s.value = append(s.value, '}')
	at.missing, at.missingEnd = len(s.value), len(s.value)
}
