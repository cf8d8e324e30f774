package form

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// object is JSON's. Its numbers are json.Number.
type object = map[string]any

// treeOf gives an object of the model as JSON has it.
func treeOf(of any) (object, error) {
	data, err := json.Marshal(of)
	if err != nil {
		return nil, err
	}
	var tree object
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	err = decoder.Decode(&tree)
	return tree, err
}

// find gives what is at a path of names, or nil.
func find(in object, path string) any {
	if path == "" {
		return in
	}
	first, rest, more := strings.Cut(path, ".")
	if !more {
		return in[first]
	}
	inner, _ := in[first].(object)
	return find(inner, rest)
}

// put sets what is at a path of names; nil takes it out. Objects on the way are
// made, and stay where they are.
func put(in object, path string, value any) {
	first, rest, more := strings.Cut(path, ".")
	inner, is := in[first].(object)
	switch {
	case more && !is && value == nil:
	case more && !is:
		made := object{}
		put(made, rest, value)
		in[first] = made
	case more:
		put(inner, rest, value)
	case value == nil:
		delete(in, first)
	default:
		in[first] = value
	}
}

// show gives the text of a value in a field of some kind.
func show(kind Kind, value any) string {
	switch v := value.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		if v {
			return "true"
		}
	case []any:
		out := make([]string, 0, len(v))
		for _, one := range v {
			out = append(out, show(Text, one))
		}
		return strings.Join(out, "\n")
	case object:
		var out []string
		for _, key := range slices.Sorted(maps.Keys(v)) {
			out = append(out, key+"="+show(Text, v[key]))
		}
		if kind == Labels {
			return strings.Join(out, "\n")
		}
	}
	return ""
}

// sent is what a browser sends for a text that nobody touched: a field of one
// line loses the ends of lines (HTML, "value sanitization algorithm").
func sent(kind Kind, text string) string {
	text = plain(text)
	switch kind {
	case Text, Whole, Decimal, Duration, OneOf:
		return strings.ReplaceAll(text, "\n", "")
	}
	return text
}
