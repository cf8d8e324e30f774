package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"github.com/heddle-mesh/heddle/internal/manifest"
	"github.com/heddle-mesh/heddle/internal/present"
)

// Console is where a command reads and writes.
type Console struct {
	Program  string // whose console it is, as errors say
	In       io.Reader
	Out, Err io.Writer
	Palette  present.Palette // for Out
	Terminal bool            // Out is one
}

// NewConsole colours what a person sees: not pipes, and nothing when NO_COLOR
// (https://no-color.org) is set.
func NewConsole(program string, in io.Reader, out, err io.Writer) *Console {
	file, isFile := out.(*os.File)
	terminal := isFile && term.IsTerminal(int(file.Fd())) && os.Getenv("TERM") != "dumb"
	return &Console{Program: program, In: in, Out: out, Err: err, Terminal: terminal, Palette: present.Palette{Color: terminal && os.Getenv("NO_COLOR") == ""}}
}

// Warn tells something on standard error, unless it is nothing.
func (c *Console) Warn(message string) {
	if message != "" {
		fmt.Fprintln(c.Err, present.Safe(message))
	}
}

// Encode writes a value as JSON or YAML, whichever format says.
func (c *Console) Encode(format string, value any) error {
	if format == "yaml" {
		return manifest.ToYAML(c.Out, value)
	}
	enc := json.NewEncoder(c.Out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(value)
}

// EncodeLine writes a value as JSON on one line, as streams are read.
func (c *Console) EncodeLine(value any) error {
	encoder := json.NewEncoder(c.Out)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}
