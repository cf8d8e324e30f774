package systemd

import (
	"bytes"
	"fmt"
	"strings"
)

// section is where a unit says what service it is.
const section = "X-Heddle"

// file is one of those that a unit is made of: its own, or a drop-in.
type file struct {
	path string
	body []byte
}

// line is one setting.
type line struct {
	key, value string
	at         string // PATH:LINE
}

// fault is what is wrong at a line.
func (l line) fault(format string, arguments ...any) error {
	return fmt.Errorf("%s: %s", l.at, fmt.Sprintf(format, arguments...))
}

// read gives the settings of the section in a unit's files, in their order, and whether
// there is such a section at all. Its syntax is systemd's (systemd.syntax(7)): comments
// begin with # or ;, and a backslash at the end of a line is a space that joins it to the
// next one.
func read(files []file) (settings []line, is bool, faults []error) {
	for _, f := range files {
		if !bytes.Contains(f.body, []byte(section)) {
			continue
		}
		within := false
		for _, one := range join(f) {
			text := strings.TrimSpace(one.value)
			switch {
			case text == "" || text[0] == '#' || text[0] == ';':
				continue
			case text[0] == '[':
				within = text == "["+section+"]"
				is = is || within
				continue
			case !within:
				continue
			}
			key, value, assigns := strings.Cut(text, "=")
			one.key, one.value = strings.TrimSpace(key), strings.TrimSpace(value)
			if !assigns || one.key == "" {
				faults = append(faults, one.fault("%.60q is no KEY=VALUE", text))
				continue
			}
			settings = append(settings, one)
		}
	}
	return settings, is, faults
}

// join gives the lines of a file, those that are continued as one.
func join(f file) []line {
	var lines []line
	open := false // the last one is continued
	number := 0
	for text := range strings.Lines(string(f.body)) {
		number++
		text = strings.TrimRight(text, "\r\n")
		if open {
			if start := strings.TrimLeft(text, " \t"); start != "" && (start[0] == '#' || start[0] == ';') {
				continue
			}
		}
		body, more := strings.CutSuffix(text, `\`)
		if start := strings.TrimLeft(text, " \t"); !open && start != "" && (start[0] == '#' || start[0] == ';') {
			more = false
		}
		if more {
			body += " "
		}
		if open {
			lines[len(lines)-1].value += body
		} else {
			lines = append(lines, line{value: body, at: fmt.Sprintf("%s:%d", f.path, number)})
		}
		open = more
	}
	return lines
}
