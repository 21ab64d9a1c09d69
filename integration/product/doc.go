// Package product builds pgwitness and runs the binary as an operator would: as a process of its own, with flags and
// environment, judged by its exit code and by what it prints.
package product
