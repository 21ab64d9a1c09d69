//go:build !linux

package main

import "syscall"

// dieWithUs does nothing where the kernel offers nothing.
func dieWithUs(*syscall.SysProcAttr) {}
