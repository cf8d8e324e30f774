package main

import "io"

// console is where a command reads and writes.
type console struct {
	in       io.Reader
	out, err io.Writer
}

func newConsole(in io.Reader, out, err io.Writer) *console {
	return &console{in: in, out: out, err: err}
}
