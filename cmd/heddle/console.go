package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"github.com/heddle-mesh/heddle/internal/manifest"
	"github.com/heddle-mesh/heddle/internal/present"
)

// console is where a command reads and writes.
type console struct {
	in       io.Reader
	out, err io.Writer
	palette  present.Palette // for out
	terminal bool            // out is one
}

// newConsole colours what a person sees: not pipes, and nothing when NO_COLOR
// (https://no-color.org) is set.
func newConsole(in io.Reader, out, err io.Writer) *console {
	file, isFile := out.(*os.File)
	terminal := isFile && term.IsTerminal(int(file.Fd())) && os.Getenv("TERM") != "dumb"
	return &console{in: in, out: out, err: err, terminal: terminal, palette: present.Palette{Color: terminal && os.Getenv("NO_COLOR") == ""}}
}

// warn tells something on standard error, unless it is nothing.
func (c *console) warn(message string) {
	if message != "" {
		fmt.Fprintln(c.err, present.Safe(message))
	}
}

// encode writes a value as JSON or YAML, whichever format says.
func (c *console) encode(format string, value any) error {
	if format == "yaml" {
		return manifest.ToYAML(c.out, value)
	}
	enc := json.NewEncoder(c.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(value)
}
