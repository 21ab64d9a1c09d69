package main

import "syscall"

// dieWithUs has the kernel end a child when the thread that started it is gone (prctl(2), PR_SET_PDEATHSIG). main holds
// on to the first thread, which lives as long as the process.
func dieWithUs(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGTERM }
