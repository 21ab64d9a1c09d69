package witness

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

// TestBook: the list of prepared transactions survives a restart through the record that has it.
func TestBook(t *testing.T) {
	start := time.Date(2026, 11, 22, 12, 0, 0, 123456000, time.UTC)
	alice := &Session{PID: 1, User: "alice", Start: &start, Client: "local"}
	var b book
	b.prepare(open{xid: 7, gid: "seven", session: alice})
	b.prepare(open{xid: 8, gid: "eight", reason: NotWaiting})
	b.prepare(open{xid: 9, gid: "nine", session: alice})
	if _, known := b.end(9); !known {
		t.Error("nine is not known")
	}
	if _, known := b.end(10); known {
		t.Error("ten is known")
	}
	var st state
	r := &whoRecord{To: 100, Source: whoSource{System: "1"}}
	b.write(r, &st)
	if st.Prepared != 100 {
		t.Errorf("the state says %v", st)
	}
	value, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	back, err := parseRecord(value)
	if err != nil {
		t.Fatal(err)
	}
	var again book
	again.read(back)
	if !reflect.DeepEqual(again.list, b.list) {
		t.Errorf("got %+v, want %+v", again.list, b.list)
	}
	unchanged := &whoRecord{To: 200}
	b.write(unchanged, &st)
	if st.Prepared != 100 || unchanged.Prepared != nil {
		t.Errorf("written again without a change: %+v", unchanged)
	}
	for _, bad := range []string{``, `{}`, `{"to":"0/1"}`, `[]`, `{"to":"x","source":{"system":"1"}}`} {
		if _, err := parseRecord([]byte(bad)); err == nil {
			t.Errorf("%q is a record", bad)
		}
	}
}
