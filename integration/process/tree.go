package process

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
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
