package manifest

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// byteOrderMark is what some Windows programs put before UTF-8.
var byteOrderMark = "\xef\xbb\xbf"

// Parse reads the objects of one file. All faults are reported together; the
// objects without a fault are given all the same.
func Parse(file string, data []byte) ([]Object, []Fault) {
	values, syntax := parseValues(file, data)
	p := parser{file: file}
	for _, value := range values {
		p.document(value)
	}
	if syntax != nil {
		syntax.File = file
		p.faults = append(p.faults, *syntax)
	}
	slices.SortStableFunc(p.faults, func(a, b Fault) int { return cmp.Compare(a.Line, b.Line) })
	return p.objects, p.faults
}

// parseValues chooses between JSON and YAML. What looks like JSON and is not
// may still be YAML's flow style.
func parseValues(file string, data []byte) ([]*node, *Fault) {
	data = bytes.TrimPrefix(data, []byte(byteOrderMark))
	first := bytes.TrimLeft(data, " \t\r\n")
	isJSON := strings.EqualFold(filepath.Ext(file), ".json")
	if isJSON || bytes.HasPrefix(first, []byte("{")) || bytes.HasPrefix(first, []byte("[")) {
		values, fault := parseJSON(data)
		if fault == nil || isJSON {
			return values, fault
		}
	}
	return parseYAML(data)
}

// parser collects the objects and faults of one file.
type parser struct {
	file    string
	objects []Object
	faults  []Fault
}

func (p *parser) fault(line int, path, format string, args ...any) {
	p.faults = append(p.faults, Fault{File: p.file, Line: line, Path: path, Message: fmt.Sprintf(format, args...)})
}

// document takes an object, a list of objects, or an object of kind List.
func (p *parser) document(n *node) {
	switch {
	case n.isList:
		p.items(n)
	case n.object == nil:
		p.fault(n.line, "", "wants an object with a kind, such as \"kind: Service\"")
	case kindOf(n) == string(kindList):
		p.list(n)
	default:
		p.object(n)
	}
}

func (p *parser) list(n *node) {
	items := n.object.values["items"]
	if items == nil || !items.isList {
		p.fault(n.line, "items", "is required in a List: the list of objects")
		return
	}
	for _, name := range n.object.names {
		// kubectl and its like write these around a list.
		if name != "kind" && name != "items" && name != "apiVersion" && name != "metadata" {
			p.fault(n.object.lines[name], cut(name), "is not a field of a List, which has kind and items")
		}
	}
	p.items(items)
}

func (p *parser) items(n *node) {
	for i, item := range n.list {
		switch {
		case item.object == nil:
			p.fault(item.line, at("", i), "wants an object with a kind")
		case kindOf(item) == string(kindList):
			p.fault(item.line, at("", i), "is a List within a list: put its items here")
		default:
			p.object(item)
		}
	}
}

func kindOf(n *node) string {
	if kind := n.object.values["kind"]; kind != nil {
		text, _ := kind.text()
		return text
	}
	return ""
}

// object decodes and validates one object.
func (p *parser) object(n *node) {
	kind := n.object.values["kind"]
	if kind == nil {
		p.fault(n.line, "kind", "is required: Service, Instance, Route or Runtime")
		return
	}
	text, ok := kind.text()
	if !ok {
		p.fault(kind.line, "kind", "wants a string: Service, Instance, Route or Runtime")
		return
	}
	object, wrong := newObject(text)
	if wrong != "" {
		p.fault(kind.line, "kind", "%s", wrong)
		return
	}
	object.File, object.Line, object.tree = p.file, n.line, n.without("kind")
	if p.decode(&object) {
		p.objects = append(p.objects, object)
	}
}

// decode fills the object from its tree and says whether it is without fault.
func (p *parser) decode(o *Object) bool {
	before := len(p.faults)
	seen := map[string]bool{}
	o.tree.eachFault("", func(path string, line int, message string) {
		seen[path] = true
		p.fault(line, path, "%s", message)
	})
	var raw bytes.Buffer
	o.tree.encode(&raw)
	for _, fault := range faultsOf(o.decodeJSON(raw.Bytes())) {
		if !seen[fault.Path] {
			p.faults = append(p.faults, o.Locate(fault.Path, o.hint(fault)))
		}
	}
	if len(p.faults) == before {
		for _, fault := range o.validate() {
			p.faults = append(p.faults, o.Locate(fault.Path, fault.Message))
		}
	}
	return len(p.faults) == before
}

func (o *Object) decodeJSON(raw []byte) error {
	switch o.Kind {
	case KindService:
		return mesh.Decode(raw, o.Service)
	case KindInstance:
		return mesh.Decode(raw, o.Instance)
	case KindRoute:
		return mesh.Decode(raw, o.Route)
	}
	return mesh.Decode(raw, o.Runtime)
}

func faultsOf(err error) mesh.Faults {
	var e *mesh.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e) && len(e.Faults) > 0:
		return e.Faults
	}
	return mesh.Faults{{Message: err.Error()}}
}

// hint adds what only someone who sees the file can say.
func (o *Object) hint(fault mesh.Fault) string {
	n, _, whole := o.tree.find(fault.Path)
	switch {
	case fault.Path == "apiVersion" || fault.Path == "metadata" || fault.Path == "spec":
		return fault.Message + ": Heddle's files need no apiVersion, and the fields stand beside kind"
	case whole && n.plain != "" && strings.HasPrefix(fault.Message, "wants a string, not"):
		return fmt.Sprintf("%s: put it in quotes, %q", fault.Message, n.plain)
	}
	return fault.Message
}
