package form

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Node is one item as a template draws it.
type Node struct {
	Kind    Kind
	Name    string // what it is posted under: its path
	Key     string // its path in what it is a part of
	ID      string // of its field in the page
	Label   string
	Hint    string
	Example string
	Suggest string
	Text    string
	Which   string   // of alternatives: the one that is chosen; of a OneOf, too
	Find    string   // of a list of names: what is being searched for
	Listed  []Listed // of it: the names
	Found   []Listed // of it: what the search offers
	Options []Chosen
	One     string // of a list, what a row is called
	Place   int    // of a row, from 1
	Last    bool   // of a row
	Was     string // of a row: its place in the object that the form was opened with
	Fixed   bool
	Needed  bool
	On      bool // of an optional object: it is there
	Open    bool // of a section: it holds something, or a fault
	Focus   bool // it gets the focus
	Next    bool // a script gives it the focus
	Faults  []Fault
	Nodes   []Node // of a list: its rows, which have nodes
	holds   bool   // something was typed in it
}

// Fault is one beside its field.
type Fault struct {
	Label string // of the field; "" where the text begins with it
	ID    string // of the field; "": there is none for it
	Text  string
}

// Listed is a name in a list of them, or one that may be added, and what is to be
// known about it.
type Listed struct{ Name, Note, Kind string }

// Look tells about the names of a list, and finds others.
type Look func(path, query string, names []string) (listed, found []Listed)

// Chosen is an option, and whether it is the one.
type Chosen struct {
	Option
	Is bool
}

// Shown is a whole form, and all its faults in the order of its fields.
type Shown struct {
	Nodes  []Node
	Faults []Fault
}

// Show draws a form. Faults of what it has no field for come last. focus is the
// path of what gets the focus, or "".
func Show(items []Item, t Texts, faults mesh.Faults, focus string, look Look) Shown {
	s := shower{texts: t, faults: faults, used: make([]bool, len(faults)), focus: focus, look: look}
	out := Shown{Nodes: s.all(items, "")}
	out.Faults = s.told
	for i, one := range faults {
		if !s.used[i] {
			out.Faults = append(out.Faults, Fault{Text: sentence(one.Path, one.Message)})
		}
	}
	return out
}

// ByScript leaves it to a script to give the focus, in a part that it asked for.
func (s *Shown) ByScript() { byScript(s.Nodes) }

func byScript(nodes []Node) {
	for i := range nodes {
		nodes[i].Next, nodes[i].Focus = nodes[i].Focus, false
		byScript(nodes[i].Nodes)
	}
}

type shower struct {
	texts  Texts
	faults mesh.Faults
	used   []bool
	told   []Fault
	focus  string
	look   Look
}

func (s *shower) all(items []Item, prefix string) []Node {
	out := make([]Node, 0, len(items))
	for i := range items {
		out = append(out, s.one(&items[i], below(prefix, items[i].Path)))
	}
	return out
}

func (s *shower) one(item *Item, path string) Node {
	n := Node{
		Kind: item.Kind, Name: path, Key: item.Path, ID: IDOf(path), Label: item.Label, Hint: item.Hint, Example: item.Example, Suggest: item.Suggest, One: strings.ToLower(item.One),
		Fixed: item.Fixed, Needed: item.Needed, Text: s.texts[path], Which: s.texts[path+whichMark], Find: s.texts[path+FindMark],
		Focus: s.focus != "" && s.focus == path,
	}
	n.holds = n.Text != ""
	for _, option := range item.Choices {
		n.Options = append(n.Options, Chosen{option, option.Value == n.Text})
	}
	switch item.Kind {
	case Section, Group, Optional, Either, List:
		if item.Path == "" || item.Kind == Group {
			n.ID = IDOf(path + "-" + item.Label)
		}
		s.inner(item, path, &n)
	case Names, Deliberate:
		n.Listed, n.Found = s.look(path, n.Find, s.texts.Names(path))
		n.holds = n.holds || n.Find != ""
	case OneOf:
		n.ID = IDOf(path + valueMark)
		n.Text = s.texts[path+valueMark]
		n.holds = n.Text != ""
		for i := range n.Options {
			n.Options[i].Is = n.Options[i].Value == n.Which
		}
	case Checks:
		checked := s.texts.Names(path)
		for i := range n.Options {
			n.Options[i].Is = slices.Contains(checked, n.Options[i].Value)
		}
		for _, one := range checked {
			if !slices.ContainsFunc(n.Options, func(o Chosen) bool { return o.Value == one }) {
				n.Options = append(n.Options, Chosen{Option{one, one}, true})
			}
		}
	case Choice:
		s.keepUnknown(&n)
	}
	if item.Path != "" || item.Kind == OneOf {
		s.attach(item, path, &n)
	}
	n.Open = n.Open || n.holds
	return n
}

// keepUnknown offers a value that is none of the options, so that it is not lost.
func (s *shower) keepUnknown(n *Node) {
	if n.Text != "" && !slices.ContainsFunc(n.Options, func(one Chosen) bool { return one.Is }) {
		n.Options = append(n.Options, Chosen{Option{n.Text, n.Text}, true})
	}
}

func (s *shower) inner(item *Item, path string, n *Node) {
	before := len(s.told)
	switch item.Kind {
	case List:
		rows := s.texts.Rows(path)
		for i := range rows {
			there := at(path, i)
			row := Node{Kind: List, Name: there, ID: IDOf(there), Label: item.One + " " + strconv.Itoa(i+1), Place: i + 1, Last: i == rows-1, Was: s.texts[there+rowMark]}
			row.Nodes = s.all(item.Items, there)
			if s.focus == there {
				focusFirst(row.Nodes)
			}
			s.attach(&Item{Label: row.Label}, there, &row)
			n.Nodes = append(n.Nodes, row)
		}
		n.holds = rows > 0
	case Optional:
		n.On = s.texts[path+onMark] != ""
		n.Nodes = s.shownIf(n.On, item.Items, path)
		n.holds = n.On
	case Either:
		for i := range n.Options {
			n.Options[i].Is = n.Options[i].Value == n.Which
		}
		for i := range item.Items {
			one := item.Items[i : i+1]
			n.Nodes = append(n.Nodes, s.shownIf(n.Which == one[0].Path, one, path)...)
		}
		n.holds = n.Which != ""
	default:
		n.Nodes = s.all(item.Items, path)
		n.holds = slices.ContainsFunc(n.Nodes, func(one Node) bool { return one.holds })
	}
	n.Open = len(s.told) > before
}

// shownIf draws items that only count when they are chosen: otherwise they have
// no faults, and what was typed into them stays.
func (s *shower) shownIf(chosen bool, items []Item, path string) []Node {
	if chosen {
		return s.all(items, path)
	}
	quiet := shower{texts: s.texts, focus: s.focus, look: s.look}
	return quiet.all(items, path)
}

// attach gives a node the faults that are its own: those of its path, and of what
// is below it and has no field.
func (s *shower) attach(item *Item, path string, n *Node) {
	for i, one := range s.faults {
		rest, is := strings.CutPrefix(one.Path, path)
		if s.used[i] || !is || rest != "" && rest[0] != '.' && rest[0] != '[' {
			continue
		}
		if item.Kind == OneOf && rest != "" && !slices.ContainsFunc(item.Choices, func(option Option) bool { return rest == "."+option.Value }) {
			continue
		}
		s.used[i] = true
		text := sentence(item.Label, one.Message)
		if place, err := strconv.Atoi(strings.Trim(rest, "[]")); err == nil && item.Kind == Lines {
			text = fmt.Sprintf("line %d: %s", place+1, one.Message)
		}
		fault := Fault{ID: n.ID, Text: text}
		if item.Label != "" && !strings.HasPrefix(text, item.Label) {
			fault.Label = item.Label
		}
		n.Faults = append(n.Faults, fault)
		n.Open = true
		s.told = append(s.told, fault)
	}
}

func focusFirst(nodes []Node) {
	switch {
	case len(nodes) == 0:
	case len(nodes[0].Nodes) > 0:
		focusFirst(nodes[0].Nodes)
	default:
		nodes[0].Focus = true
	}
}

// sentence makes one of a fault, which may go on from its field's name: "is required".
func sentence(label, message string) string {
	message = readable(message)
	first, _ := utf8.DecodeRuneInString(message)
	if label == "" || !unicode.IsLower(first) {
		return message
	}
	return label + " " + message
}

// escapes are those of Go's quoted texts; an escaped backslash is none of the others.
var escapes = regexp.MustCompile(`\\\\|\\u[0-9a-f]{4}|\\U[0-9a-f]{8}`)

// readable turns the escapes of letters in a quoted text back: the API's messages
// are ASCII, for terminals, and these are read in a browser.
func readable(message string) string {
	return escapes.ReplaceAllStringFunc(message, func(escape string) string {
		code, err := strconv.ParseInt(escape[2:], 16, 32)
		if err != nil || !unicode.IsPrint(rune(code)) {
			return escape
		}
		return string(rune(code))
	})
}

// IDOf is the id of the field of a path.
func IDOf(path string) string {
	return "f-" + strings.Trim(strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
			return r
		}
		return '-'
	}, path), "-")
}
