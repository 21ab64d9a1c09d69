package decode

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strconv"

	"github.com/jackc/pglogrepl"
)

// contextPrefix is that of the messages that the function pgwitness.set_actor writes.
const contextPrefix = "pgwitness"

// mostContext bounds a context, in bytes as the stream has it: set_actor takes words of up to 8 KB.
const mostContext = 16 << 10

// A testimony is what a context says. It lies in the message, or in the Charset's memory.
type testimony struct {
	at                        pglogrepl.LSN // the message's own
	user, application, client []byte        // JSON strings, as records have them
	pid                       int32
	words                     []byte // the application's own: a JSON object just as it was written, nil without any
}

// testify takes a context: it concerns the changes after it in the transaction, until the next one. What set_actor
// cannot have written is recorded as it is and concerns nothing.
func (d *Decoder) testify(ctx context.Context, at pglogrepl.LSN, content []byte, emit func(*Record) error) error {
	if len(content) <= mostContext {
		utf, ok, err := d.source.toUTF8(ctx, content)
		if err != nil {
			return err
		}
		said := testimony{at: at}
		if ok && said.read(utf) {
			d.identify(&said)
			return nil
		}
	}
	return d.enter(contextPrefix, nil, content, emit)
}

// contextMembers are the members of a context, each of which is there once.
var contextMembers = [...]string{"v", "user", "pid", "application", "client", "context"}

// read takes a context apart and reports whether it has the shape that set_actor gives it:
//
//	{"v": 1, "user": text, "pid": number, "application": text, "client": "host:port" or null, "context": object or null}
func (said *testimony) read(text []byte) bool {
	var values [len(contextMembers)][]byte
	if !json.Valid(text) {
		return false
	}
	rest := skipSpace(text)
	if rest[0] != '{' {
		return false
	}
	for rest = skipSpace(rest[1:]); rest[0] != '}'; {
		n := jsonLength(rest)
		name := rest[:n]
		rest = skipSpace(skipSpace(rest[n:])[1:]) // behind the colon
		i := slices.Index(contextMembers[:], string(name[1:n-1]))
		if i < 0 || values[i] != nil {
			return false
		}
		n = jsonLength(rest)
		values[i] = rest[:n]
		if rest = skipSpace(rest[n:]); rest[0] == ',' {
			rest = skipSpace(rest[1:])
		}
	}
	return !slices.ContainsFunc(values[:], func(v []byte) bool { return v == nil }) && said.take(values)
}

// local is the client at the other end of a unix socket, for which inet_client_addr is null.
var local = []byte(`"local"`)

// take judges the values of a context's members.
func (said *testimony) take(values [len(contextMembers)][]byte) bool {
	version, user, pid, application, client, words := values[0], values[1], values[2], values[3], values[4], values[5]
	number, err := strconv.ParseInt(string(pid), 10, 32)
	if string(version) != "1" || err != nil || number <= 0 {
		return false
	}
	said.pid = int32(number)
	said.user, said.application = jsonText(user), jsonText(application)
	if string(client) == "null" {
		client = local
	} else if !isAddress(client) {
		return false
	}
	said.client = client
	if string(words) != "null" {
		said.words = words
	}
	return len(said.user) > len(`""`) && said.application != nil && (said.words == nil || words[0] == '{')
}

// jsonText returns a JSON string in the form that strings have in records, nil for any other value.
func jsonText(value []byte) []byte {
	if value[0] != '"' {
		return nil
	}
	if bytes.IndexByte(value, '\\') < 0 {
		return value
	}
	var s string
	if json.Unmarshal(value, &s) != nil {
		return nil
	}
	return appendQuoted(nil, s)
}

// isAddress reports whether a value is a host and a port in a string.
func isAddress(value []byte) bool {
	colon := bytes.LastIndexByte(value, ':')
	if value[0] != '"' || colon < len(`"h`) {
		return false
	}
	_, err := strconv.ParseUint(string(value[colon+1:len(value)-1]), 10, 16)
	return err == nil && bytes.IndexByte(value, '\\') < 0
}

// skipSpace returns what follows the white space at the start of text.
func skipSpace(text []byte) []byte { return bytes.TrimLeft(text, " \t\n\r") }

// jsonLength returns the length of the value at the start of text, which is valid JSON from there to the end of what
// the value lies in.
func jsonLength(text []byte) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			for i++; text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth <= 1 {
				return i + depth // a number's end, or an object's
			}
			depth--
		case ',', ':', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return i
			}
		}
	}
	return len(text)
}

func (said *testimony) appendSession(dst []byte) []byte {
	dst = append(append(dst, `,"user":`...), said.user...)
	if len(said.application) > len(`""`) {
		dst = append(append(dst, `,"application":`...), said.application...)
	}
	dst = append(append(dst, `,"client":`...), said.client...)
	return appendPID(dst, said.pid)
}

func (said *testimony) appendWords(dst []byte) []byte {
	if said.words == nil {
		return dst
	}
	return append(append(dst, `,"context":`...), said.words...)
}
