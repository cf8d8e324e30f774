package manifest

import (
	"bytes"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// lineReader hands out one line at a time, so that it is known how far the
// parser had come when it gave up: its own account of that is often the start
// of the document.
type lineReader struct {
	rest []byte
	read int // lines handed out
}

func (r *lineReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	line := r.rest
	if end := bytes.IndexByte(line, '\n'); end >= 0 {
		line = line[:end+1]
	}
	n := copy(p, line)
	r.rest = r.rest[n:]
	if n == len(line) {
		r.read++
	}
	return n, nil
}

var (
	yamlError     = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)
	unknownAnchor = regexp.MustCompile(`^unknown anchor '([^']*)' referenced$`)
)

// plainer says what yaml.v3's messages mean to someone who wrote a file.
var plainer = map[string]string{
	"mapping values are not allowed in this context": `a ":" where none can be: is the line indented too far, or does a text with ": " in it want quotes?`,
	"could not find expected ':'":                    `a field name without a ":" behind it`,
	"found character that cannot start any token":    "no value can start with this character: put the text in quotes",
	"found unexpected end of stream":                 "a quote is opened here and never closed",
	"did not find expected ',' or ']'":               `the "[" that is opened here is not closed, or a comma is missing`,
	"did not find expected ',' or '}'":               `the "{" that is opened here is not closed, or a comma is missing`,
	"did not find expected key":                      "a field name is wanted here or on the next line: look at the indentation and the quotes",
	"did not find expected '-' indicator":            `a list item ("- ") is wanted here or on the next line: look at the indentation`,
	"control characters are not allowed":             "the line has a control character",
}

// syntaxFault says where YAML's syntax is broken; read is the number of lines
// that the parser had taken in.
func syntaxFault(data []byte, read int, err error) *Fault {
	line, message := 0, strings.TrimPrefix(err.Error(), "yaml: ")
	if m := yamlError.FindStringSubmatch(strings.SplitN(err.Error(), "\n", 2)[0]); m != nil {
		line, _ = strconv.Atoi(m[1])
		message = m[2]
	}
	switch {
	case strings.HasPrefix(message, "did not find expected ',' or"):
		line++ // yaml.v3 counts this one from 0
	case message == "did not find expected key", message == "did not find expected '-' indicator":
		line = max(read-1, 1)
	case message == "control characters are not allowed":
		line = read
	case strings.Contains(message, "UTF-"):
		line, message = read, "the line is not UTF-8"
	case strings.HasPrefix(message, "found "):
		if tab := tabIndent(data, line); tab > 0 {
			line, message = tab, "the line is indented with a tab: use spaces"
		}
	case unknownAnchor.MatchString(message):
		alias := "*" + unknownAnchor.FindStringSubmatch(message)[1]
		line = 1 + bytes.Count(data[:max(bytes.Index(data, []byte(alias)), 0)], []byte("\n"))
	}
	if plain, ok := plainer[message]; ok {
		message = plain
	}
	return &Fault{Line: max(line, 1), Message: "not valid YAML: " + message}
}

// tabIndent gives the line, this one or the next, whose indentation has a tab, or 0.
func tabIndent(data []byte, line int) int {
	rows := bytes.SplitN(data, []byte("\n"), line+2)
	for i := max(line-1, 0); i < min(line+1, len(rows)); i++ {
		text := bytes.TrimLeft(rows[i], " ")
		if bytes.HasPrefix(text, []byte("\t")) {
			return i + 1
		}
	}
	return 0
}
