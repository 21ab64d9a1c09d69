package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/jackc/pglogrepl"
)

// A reader is a session that hangs, or does not.
type reader struct{ hangs atomic.Bool }

func (*reader) Received() pglogrepl.LSN { return 0 }
func (r *reader) Alive() bool           { return !r.hangs.Load() }

// TestHangingSession: a session that hangs, and only that, is told by /healthz, and the service manager hears no sign of
// life any more.
func TestHangingSession(t *testing.T) {
	address := filepath.Join(t.TempDir(), "notify")
	manager, err := net.ListenPacket("unixgram", address)
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	t.Setenv("NOTIFY_SOCKET", address)
	t.Setenv("WATCHDOG_PID", "")
	t.Setenv("WATCHDOG_USEC", "20000")
	m := &monitor{}
	n := startNotifier(t.Context(), m.alive, hclog.NewNullLogger())
	defer n.close()
	// signs counts the signs of life of a while, from a moment on when none that was sent before is under way.
	signs := func() (n int) {
		buf := make([]byte, 1000)
		time.Sleep(30 * time.Millisecond)
		for settled := time.Now(); time.Since(settled) < 300*time.Millisecond; {
			manager.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
			size, _, err := manager.ReadFrom(buf)
			if err == nil && time.Since(settled) > 50*time.Millisecond && strings.Contains(string(buf[:size]), "WATCHDOG=1") {
				n++
			}
		}
		return n
	}
	session := &reader{}
	for _, step := range []struct {
		present *present
		hangs   bool
		code    int
	}{
		{nil, false, http.StatusOK},
		{&present{slot: session}, false, http.StatusOK},
		{&present{slot: session}, true, http.StatusServiceUnavailable},
		{nil, true, http.StatusOK},
	} {
		session.hangs.Store(step.hangs)
		m.present.Store(step.present)
		w := httptest.NewRecorder()
		m.health(w, httptest.NewRequest(http.MethodGet, "/healthz", nil))
		if n := signs(); w.Code != step.code || (n > 0) != (step.code == http.StatusOK) {
			t.Errorf("session %v, hangs %v: %d, %d signs of life", step.present != nil, step.hangs, w.Code, n)
		}
	}
}
