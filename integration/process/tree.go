package process

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// SignalTree sends a signal to the process and to its children. PostgreSQL's children have sessions of their own
// (postmaster.c, InitPostmasterChild), so a process group does not reach them.
func (p *Process) SignalTree(sig syscall.Signal) error {
	if err := p.Signal(sig); err != nil {
		return err
	}
	for _, pid := range children(p.PID()) {
		// A child may have ended by itself in the meantime.
		if err := syscall.Kill(pid, sig); err != nil && err != syscall.ESRCH {
			return err
		}
	}
	return nil
}

// children reads /proc; where there is none (not Linux) the answer is empty.
func children(parent int) []int {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	var pids []int
	for _, name := range stats {
		stat, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		// pid (comm) state ppid …: the name may hold anything, also parentheses (proc(5)).
		_, rest, ok := bytes.Cut(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" "))
		fields := bytes.Fields(rest)
		if !ok || len(fields) < 2 || string(fields[1]) != strconv.Itoa(parent) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// Used is the processor time that a running process and its children have taken so far.
func (p *Process) Used() (time.Duration, error) {
	var ticks int64
	for _, pid := range append(children(p.PID()), p.PID()) {
		stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
		if err != nil {
			return 0, err
		}
		// The name may hold anything; utime and stime are the 12th and 13th field after it, in ticks, which are 1/100 s on
		// every Linux (proc(5), USER_HZ).
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		for _, field := range fields[11:13] {
			n, err := strconv.ParseInt(string(field), 10, 64)
			if err != nil {
				return 0, err
			}
			ticks += n
		}
	}
	return time.Duration(ticks) * (time.Second / 100), nil
}
