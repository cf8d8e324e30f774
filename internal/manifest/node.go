package manifest

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// maxDepth is a little less than mesh.Decode's own bound on nesting, so that
// here, where the line is known, is where it is met.
const maxDepth = 60

// node is one value of a file, with the line where it is written. YAML and JSON
// both become nodes, so that everything behind them is written once.
type node struct {
	line   int
	object *fields         // an object, or
	list   []*node         // a list (isList), or
	isList bool            //
	scalar json.RawMessage // a string, number, boolean or null, as JSON
	plain  string          // how the scalar is written, when it is written without quotes
	fault  string          // what is wrong with the value as it is written, or ""
}

// fields are an object's fields in the order in which they are written.
type fields struct {
	names  []string
	values map[string]*node
	lines  map[string]int // of the name, which may stand above its value
	twice  []field        // names that were there already
}

type field struct {
	name string
	line int
}

func newFields() *fields {
	return &fields{values: map[string]*node{}, lines: map[string]int{}}
}

// add puts a field behind the others; a name that is there already is kept as a fault.
func (f *fields) add(name string, line int, value *node) {
	if _, there := f.values[name]; there {
		f.twice = append(f.twice, field{name, line})
		return
	}
	f.names = append(f.names, name)
	f.values[name] = value
	f.lines[name] = line
}

// without gives the object less one field, which the model does not know.
func (n *node) without(name string) *node {
	rest := newFields()
	for _, other := range n.object.names {
		if other != name {
			rest.add(other, n.object.lines[other], n.object.values[other])
		}
	}
	rest.twice, rest.lines = n.object.twice, n.object.lines
	return &node{line: n.line, object: rest, fault: n.fault}
}

// text gives the value of a string.
func (n *node) text() (string, bool) {
	var s string
	if n.object != nil || n.isList || len(n.scalar) == 0 || n.scalar[0] != '"' {
		return "", false
	}
	err := json.Unmarshal(n.scalar, &s)
	return s, err == nil
}

func (n *node) isNull() bool {
	return n.object == nil && !n.isList && string(n.scalar) == "null"
}

// encode writes the node as JSON.
func (n *node) encode(b *bytes.Buffer) {
	switch {
	case n.object != nil:
		b.WriteByte('{')
		for i, name := range n.object.names {
			if i > 0 {
				b.WriteByte(',')
			}
			b.Write(quoteJSON(name))
			b.WriteByte(':')
			n.object.values[name].encode(b)
		}
		b.WriteByte('}')
	case n.isList:
		b.WriteByte('[')
		for i, item := range n.list {
			if i > 0 {
				b.WriteByte(',')
			}
			item.encode(b)
		}
		b.WriteByte(']')
	default:
		b.Write(n.scalar)
	}
}

func quoteJSON(s string) []byte {
	raw, err := json.Marshal(s)
	if err != nil { // a string always has a JSON form
		panic(err)
	}
	return raw
}

// eachFault calls found for all that is wrong with the way n is written.
func (n *node) eachFault(path string, found func(path string, line int, message string)) {
	if n.fault != "" {
		found(path, n.line, n.fault)
	}
	if n.object != nil {
		for _, again := range n.object.twice {
			found(join(path, again.name), again.line, "is given twice; first on line "+strconv.Itoa(n.object.lines[again.name]))
		}
		for _, name := range n.object.names {
			n.object.values[name].eachFault(join(path, name), found)
		}
	}
	for i, item := range n.list {
		item.eachFault(at(path, i), found)
	}
}

// find follows a fault's path as far as there are nodes for it, and gives the
// last one with the line of its name. Names may hold dots and brackets (label
// keys do), so the longest name that fits is taken.
func (n *node) find(path string) (found *node, line int, whole bool) {
	line = n.line
	for path != "" {
		rest, next, nextLine := n.step(path)
		if next == nil {
			return n, line, false
		}
		n, line, path = next, nextLine, rest
	}
	return n, line, true
}

// step takes the first part of path.
func (n *node) step(path string) (rest string, next *node, line int) {
	path = strings.TrimPrefix(path, ".")
	if n.object != nil {
		name, rest := n.object.longest(path)
		return rest, n.object.values[name], n.object.lines[name]
	}
	index, tail, ok := strings.Cut(strings.TrimPrefix(path, "["), "]")
	i, err := strconv.Atoi(index)
	if !ok || err != nil || i < 0 || i >= len(n.list) {
		return "", nil, 0
	}
	return tail, n.list[i], n.list[i].line
}

// longest gives the longest name that path starts with, and what is behind it.
func (f *fields) longest(path string) (name, rest string) {
	for end := len(path); end > 0; end = strings.LastIndexAny(path[:end], ".[") {
		if _, ok := f.values[path[:end]]; ok {
			return path[:end], path[end:]
		}
	}
	if !strings.Contains(path, "…") {
		return "", ""
	}
	for _, name := range f.names { // one that was cut
		if tail, fits := strings.CutPrefix(path, cut(name)); fits && len(name) > len(cut(name)) {
			return name, tail
		}
	}
	return "", ""
}

func join(parent, field string) string {
	field = cut(field)
	if parent == "" {
		return field
	}
	return parent + "." + field
}

func at(list string, index int) string { return list + "[" + strconv.Itoa(index) + "]" }

// cut shortens names in paths just as package mesh does, so that its paths are found.
func cut(s string) string { return mesh.Cut(s, mesh.MaxPathName) }
