package process

import (
	"cmp"
	"runtime"
	"syscall"
)

func attributes(c Command) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		// A group of its own: a ^C in the terminal reaches the test, which then ends its children in order.
		Setpgid:    true,
		Pdeathsig:  cmp.Or(c.Orphaned, syscall.SIGKILL),
		Credential: c.Credential,
	}
}

func serve(calls <-chan func()) {
	runtime.LockOSThread()
	for call := range calls {
		call()
	}
}
