package main

import (
	"context"
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/jackc/pglogrepl"
)

// A notifier tells a service manager how the run is, by systemd's protocol (sd_notify(3)): datagrams of NAME=value lines
// to the socket that NOTIFY_SOCKET names. Without one it does nothing.
type notifier struct {
	log   hclog.Logger
	conn  net.Conn // nil: nobody asks
	alive func() bool

	ready atomic.Bool
	quit  chan struct{}
	done  chan struct{}
}

// startNotifier begins to tell, with signs of life as long as the run is alive. ctx ends when it is asked to stop; close
// ends the telling.
func startNotifier(ctx context.Context, alive func() bool, log hclog.Logger) *notifier {
	n := &notifier{log: log, alive: alive, quit: make(chan struct{}), done: make(chan struct{})}
	if address := os.Getenv("NOTIFY_SOCKET"); address != "" {
		var err error
		if n.conn, err = net.Dial("unixgram", address); err != nil { // an @ at its beginning is for net's care
			log.Warn("the service manager cannot be told", "error", err)
		}
	}
	if n.conn == nil {
		close(n.done)
		return n
	}
	n.tell("STATUS=connecting, or waiting for the slot")
	go n.run(ctx, watchdog())
	return n
}

// watchdog is how often the service manager wants a sign of life, 0 for never (sd_watchdog_enabled(3)). It is asked of
// the process that WATCHDOG_PID names, and wanted twice as often as it is missed.
func watchdog() time.Duration {
	if pid := os.Getenv("WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0
	}
	micros, err := strconv.ParseUint(os.Getenv("WATCHDOG_USEC"), 10, 32)
	if err != nil {
		return 0
	}
	return time.Duration(micros) * time.Microsecond / 2
}

// run gives signs of life, and tells of the stop when that is asked for.
func (n *notifier) run(ctx context.Context, every time.Duration) {
	defer close(n.done)
	var life <-chan time.Time
	if every > 0 {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		life = ticker.C
	}
	asked := ctx.Done()
	for {
		select {
		case <-n.quit:
			return
		case <-asked:
			asked = nil
			n.tell("STOPPING=1\nSTATUS=stopping: waiting for what is under way")
		case <-life:
			if n.alive() {
				n.tell("WATCHDOG=1")
			}
		}
	}
}

// session tells that the slot is held and brokers have been reached; the first time that means that the run is ready.
func (n *notifier) session(from pglogrepl.LSN) {
	status := "STATUS=delivering, from " + from.String() + " on"
	if n.ready.CompareAndSwap(false, true) {
		status = "READY=1\n" + status
	}
	n.tell(status)
}

// between tells that a session is over.
func (n *notifier) between() {
	n.tell("STATUS=not delivering: no session at the slot")
}

// tell sends a state. A service manager that takes none does not stop a run.
func (n *notifier) tell(state string) {
	if n.conn == nil {
		return
	}
	n.conn.SetWriteDeadline(time.Now().Add(time.Second))
	if _, err := n.conn.Write([]byte(state)); err != nil {
		n.log.Warn("the service manager is not told", "error", err)
	}
}

// close ends the telling.
func (n *notifier) close() {
	close(n.quit)
	<-n.done
	if n.conn != nil {
		n.conn.Close()
	}
}
