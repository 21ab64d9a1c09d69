//go:build !unix

package main

import "os"

// terminalWidth is 0: output goes uncut and without colours.
func terminalWidth(*os.File) int { return 0 }
