package manifest

import (
	"fmt"
	"strings"
)

// Fault is one thing wrong, and where it is written.
type Fault struct {
	File    string // as the user named it; "-" is standard input
	Line    int    // from 1; 0 is the file as a whole
	Path    string // the field within its object, e.g. "routes[1].to[0].weight"; "" is the object itself
	Message string // what is wrong and how to mend it
}

// String writes "file:line: path: message", as compilers do, so that editors
// can jump there.
func (f Fault) String() string {
	var b strings.Builder
	b.WriteString(f.Place())
	if f.Path != "" {
		b.WriteString(": " + f.Path)
	}
	b.WriteString(": " + f.Message)
	return b.String()
}

// Place writes "file:line".
func (f Fault) Place() string {
	name := f.File
	if name == stdinName {
		name = "standard input"
	}
	if f.Line == 0 {
		return name
	}
	return fmt.Sprintf("%s:%d", name, f.Line)
}

// mostShown is how many faults a message lists: nobody reads the rest of them.
const mostShown = 100

// Error is everything that is wrong with the files that were read.
type Error struct {
	Faults []Fault
}

// Error writes one fault on each line.
func (e *Error) Error() string {
	lines := make([]string, 0, len(e.Faults)+1)
	lines = append(lines, e.Summary()+":")
	for i, f := range e.Faults {
		if i == mostShown {
			lines = append(lines, fmt.Sprintf("… and %d more", len(e.Faults)-i))
			break
		}
		lines = append(lines, f.String())
	}
	return strings.Join(lines, "\n")
}

// Summary says in one line how much is wrong.
func (e *Error) Summary() string {
	if len(e.Faults) == 1 {
		return "1 fault in the files"
	}
	return fmt.Sprintf("%d faults in the files", len(e.Faults))
}
