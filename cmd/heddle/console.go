package main

import (
	"io"
	"os"

	"golang.org/x/term"

	"github.com/heddle-mesh/heddle/internal/present"
)

// console is where a command reads and writes.
type console struct {
	in       io.Reader
	out, err io.Writer
	palette  present.Palette // for out
}

// newConsole colours what a person sees: not pipes, and nothing when NO_COLOR
// (https://no-color.org) is set.
func newConsole(in io.Reader, out, err io.Writer) *console {
	file, isFile := out.(*os.File)
	color := isFile && term.IsTerminal(int(file.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return &console{in: in, out: out, err: err, palette: present.Palette{Color: color}}
}
