package form

import "strings"

// Kind is how an item is shown and read.
type Kind string

// The kinds of items.
const (
	Text     Kind = "text"     // one line
	Area     Kind = "area"     // several lines
	Whole    Kind = "whole"    // a whole number
	Decimal  Kind = "decimal"  // a number
	Duration Kind = "duration" // a number with its unit
	Flag     Kind = "flag"     // true, or left out
	Choice   Kind = "choice"   // one of Choices
	Lines    Kind = "lines"    // a list of strings, one a line
	Names    Kind = "names"    // a list of strings, chosen by searching for them
	Labels   Kind = "labels"   // a map of strings, key=value, one a line
	Checks   Kind = "checks"   // a list of strings out of Choices
	OneOf    Kind = "oneof"    // a string in one of the fields that Choices name, or none

	Section    Kind = "section"    // items that stand together, folded away
	Group      Kind = "group"      // items that stand together on one line
	Optional   Kind = "optional"   // an object that is there or is left out, with its items
	Either     Kind = "either"     // one of Items, by its path, or none: Choices name them
	List       Kind = "list"       // rows, each with Items
	Deliberate Kind = "deliberate" // a Names list whose being empty has to be said
)

// Item is a part of a form.
type Item struct {
	Kind    Kind
	Path    string // in the object that it is a part of; "" of what only arranges: the same object
	Label   string
	Hint    string // plain words about it, and its default
	Example string // shown while it is empty
	Choices []Option
	Items   []Item
	One     string // of a List, what a row is called
	Most    int    // of a List, how many rows it takes; 0: 200
	Needed  bool   // of a number: left out is not zero, but a fault
	Numeric bool   // of a Choice: its values are whole numbers
	Fixed   bool   // shown, and never changed
	Suggest string // of a Text: the id of a list of suggestions
}

// Option is one of the values that are offered.
type Option struct{ Value, Label string }

// below gives the path of a part of what is at path.
func below(path, part string) string {
	switch {
	case path == "":
		return part
	case part == "":
		return path
	}
	return path + "." + part
}

// LabelOf gives the label of the item of a path, or of the nearest that holds it.
func LabelOf(items []Item, path string) string {
	return labelOf(items, "", path)
}

func labelOf(items []Item, prefix, path string) string {
	label := ""
	for i := range items {
		one := &items[i]
		here := below(prefix, one.Path)
		if one.Path != "" && path != here && !strings.HasPrefix(path, here+".") && !strings.HasPrefix(path, here+":") {
			continue
		}
		if inner := labelOf(one.Items, here, path); inner != "" {
			return inner
		}
		if one.Path != "" && label == "" {
			label = one.Label
		}
	}
	return label
}
