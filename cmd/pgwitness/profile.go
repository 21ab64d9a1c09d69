//go:build profile

package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
)

// A binary built with the tag "profile" writes what its run cost to the directory that PGWITNESS_PROFILE names: cpu.pprof
// and allocs.pprof, for go tool pprof (see the Makefile). The product is built without it.
func init() {
	dir := os.Getenv("PGWITNESS_PROFILE")
	if dir == "" {
		return
	}
	runtime.MemProfileRate = 4 << 10 // a sample each 4 KB: what is left to count is little
	profiled = func(work func() int) int {
		cpu, err := os.Create(dir + "/cpu.pprof")
		if err == nil {
			err = pprof.StartCPUProfile(cpu)
		}
		code := work()
		pprof.StopCPUProfile()
		if err == nil {
			err = cpu.Close()
		}
		if err == nil {
			err = writeAllocations(dir + "/allocs.pprof")
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "profile:", err)
			return 1
		}
		return code
	}
}

func writeAllocations(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	runtime.GC() // the profile is complete up to the last collection
	if err := pprof.Lookup("allocs").WriteTo(f, 0); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
