//go:build unix && !linux

package process

import "syscall"

func attributes(c Command) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Credential: c.Credential}
}

func serve(calls <-chan func()) {
	for call := range calls {
		call()
	}
}
