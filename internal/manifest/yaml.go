package manifest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxAliased bounds how many values a file's aliases may stand for, so that a
// few lines cannot grow to gigabytes ("billion laughs").
const maxAliased = 100_000

// parseYAML reads all documents of a YAML stream; empty ones are passed over.
func parseYAML(data []byte) (values []*node, fault *Fault) {
	lines := &lineReader{rest: data}
	dec := yaml.NewDecoder(lines)
	budget := maxAliased
	for {
		var doc yaml.Node
		err := dec.Decode(&doc)
		switch {
		case errors.Is(err, io.EOF):
			return values, nil
		case err != nil:
			return values, syntaxFault(data, lines.read, err)
		}
		b := yamlBuilder{budget: &budget}
		for _, root := range doc.Content {
			value := b.build(root, 0, false)
			if budget < 0 {
				return values, &Fault{Line: doc.Line, Message: fmt.Sprintf("its aliases stand for more than %d values: write the file without so many", maxAliased)}
			}
			if !value.isNull() {
				values = append(values, value)
			}
		}
	}
}

// yamlBuilder turns yaml.v3's nodes into ours.
type yamlBuilder struct {
	budget *int // how many values aliases may still stand for
}

// build makes one value; aliased says that an alias stands for it.
func (b *yamlBuilder) build(y *yaml.Node, depth int, aliased bool) *node {
	n := &node{line: y.Line, scalar: json.RawMessage("null")}
	if aliased {
		*b.budget--
	}
	switch {
	case *b.budget < 0: // parseYAML reports it
		return n
	case depth > maxDepth:
		n.fault = fmt.Sprintf("is nested deeper than %d", maxDepth)
		return n
	}
	switch y.Kind {
	case yaml.AliasNode:
		return b.build(y.Alias, depth+1, true)
	case yaml.MappingNode:
		b.object(n, y, depth, aliased)
	case yaml.SequenceNode:
		n.isList = true
		for _, item := range y.Content {
			n.list = append(n.list, b.build(item, depth+1, aliased))
		}
	case yaml.ScalarNode:
		scalar(n, y)
	}
	return n
}

// object builds the fields of a mapping. Merge keys ("<<: *base") bring the
// fields that are not written out.
func (b *yamlBuilder) object(n *node, y *yaml.Node, depth int, aliased bool) {
	n.object = newFields()
	var merged []*node
	for i := 0; i+1 < len(y.Content); i += 2 {
		key, value := y.Content[i], y.Content[i+1]
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		built := b.build(value, depth+1, aliased)
		switch {
		case key.Kind != yaml.ScalarNode:
			n.fault = "has a list or an object for a field name"
		case key.ShortTag() == "!!merge":
			merged = append(merged, built)
		default:
			n.object.add(key.Value, key.Line, built)
		}
	}
	for _, base := range merged {
		b.merge(n, base)
	}
}

func (b *yamlBuilder) merge(n, base *node) {
	switch {
	case base.object != nil:
		for _, name := range base.object.names {
			if _, there := n.object.values[name]; !there {
				n.object.add(name, base.object.lines[name], base.object.values[name])
			}
		}
	case base.isList:
		for _, one := range base.list {
			b.merge(n, one)
		}
	default:
		n.fault = `has a merge key ("<<") whose value is not an object`
	}
}

// scalar puts a YAML scalar into n as JSON.
func scalar(n *node, y *yaml.Node) {
	quoted := y.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
	if !quoted {
		n.plain = y.Value
	}
	n.scalar = quoteJSON(y.Value)
	switch tag := y.ShortTag(); tag {
	case "!!null":
		n.scalar = json.RawMessage("null")
	case "!!bool":
		if v, err := strconv.ParseBool(strings.ToLower(y.Value)); err == nil {
			n.scalar = strconv.AppendBool(nil, v)
		}
	case "!!int", "!!float":
		if !jsonNumber.MatchString(y.Value) {
			n.fault = fmt.Sprintf("%s is a number that is read in more than one way: write it in plain decimal, or put it in quotes (%q) if text is meant", cut(y.Value), cut(y.Value))
			return
		}
		n.scalar = json.RawMessage(y.Value)
	case "!!str", "!!timestamp", "!!merge":
		if isOldBool(y) {
			n.fault = oldBoolFault(y.Value)
		}
	default:
		n.fault = fmt.Sprintf("has the YAML tag %s, which means nothing here: remove it", cut(tag))
	}
}

// jsonNumber is RFC 8259, section 6. What YAML takes beyond it (010, 0x1f, 1_000,
// .5, .inf) is not the same number to every reader.
var jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$`)

// isOldBool says whether the value y is one of the words that are booleans in YAML 1.1
// (https://yaml.org/type/bool.html) and text in YAML 1.2.
// A field name ("on:" of retries) is text to us in any case.
func isOldBool(y *yaml.Node) bool {
	if y.Style != 0 || y.Kind != yaml.ScalarNode {
		return false
	}
	switch strings.ToLower(y.Value) {
	case "yes", "no", "on", "off": // "y" and "n" too, but no reader in use takes them so
		return true
	}
	return false
}

func oldBoolFault(word string) string {
	boolean := "false"
	switch strings.ToLower(word) {
	case "yes", "on":
		boolean = "true"
	}
	return fmt.Sprintf("%s without quotes is text to some readers of YAML and %s to others: write %q if text is meant, %s if not", word, boolean, word, boolean)
}
