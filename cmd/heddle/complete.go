package main

import (
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// filesFollow is the candidate that says: let the shell complete files.
const filesFollow = ":files"

// candidate is one word that may come next.
type candidate struct {
	text, help string
}

// nameSource asks the mesh for names. what is "services", "instances",
// "instances of SERVICE", "routes", "tokens", "nodes", "vms" or "sources".
type nameSource func(server, what string) []string

// completer walks the words of a command line down kong's model.
type completer struct {
	names nameSource

	node        *kong.Node
	positionals []string
	flags       map[string]string // those given so far
	pending     *kong.Flag        // its value comes next
	onlyArgs    bool              // behind "--"
	lost        bool              // behind a command that does not exist
}

func newCompleter(root *kong.Node, names nameSource) *completer {
	return &completer{names: names, node: root, flags: map[string]string{}}
}

// complete gives the candidates for the last of words.
func (c *completer) complete(words []string) []candidate {
	for _, word := range words[:len(words)-1] {
		c.take(word)
	}
	return c.candidates(words[len(words)-1])
}

// take follows one whole word.
func (c *completer) take(word string) {
	switch {
	case c.pending != nil:
		c.flags[c.pending.Name] = word
		c.pending = nil
	case !c.onlyArgs && word == "--":
		c.onlyArgs = true
	case !c.onlyArgs && len(word) > 1 && word[0] == '-':
		name, value, hasValue := strings.Cut(word, "=")
		flag := c.flag(name)
		if hasValue && flag != nil {
			c.flags[flag.Name] = value
		} else if flag != nil && !flag.IsBool() {
			c.pending = flag
		}
	default:
		for _, child := range c.node.Children {
			if child.Name == word || slices.Contains(child.Aliases, word) {
				c.node = child
				return
			}
		}
		c.lost = c.lost || len(c.node.Children) > 0
		c.positionals = append(c.positionals, word)
	}
}

func (c *completer) flag(name string) *kong.Flag {
	for _, group := range c.node.AllFlags(false) {
		for _, flag := range group {
			if name == "--"+flag.Name || flag.Short != 0 && name == "-"+string(flag.Short) {
				return flag
			}
		}
	}
	return nil
}

func (c *completer) candidates(word string) []candidate {
	var all []candidate
	name, _, hasValue := strings.Cut(word, "=")
	switch {
	case c.lost:
	case c.pending != nil:
		all = c.values(c.pending.Value)
	case !c.onlyArgs && hasValue && c.flag(name) != nil:
		for _, one := range c.values(c.flag(name).Value) {
			if one.text != filesFollow {
				one.text = name + "=" + one.text
			}
			all = append(all, one)
		}
	case !c.onlyArgs && strings.HasPrefix(word, "-"):
		all = c.flagNames()
	case len(c.node.Children) > 0:
		for _, child := range c.node.Children {
			if !child.Hidden {
				all = append(all, candidate{child.Name, child.Help})
			}
		}
	default:
		all = c.argument()
	}
	return slices.DeleteFunc(all, func(one candidate) bool {
		return one.text != filesFollow && !strings.HasPrefix(one.text, word)
	})
}

func (c *completer) flagNames() []candidate {
	var all []candidate
	for _, group := range c.node.AllFlags(true) {
		for _, flag := range group {
			all = append(all, candidate{"--" + flag.Name, flag.Help})
		}
	}
	return all
}

// argument gives values for the positional argument that comes next.
func (c *completer) argument() []candidate {
	args := c.node.Positional
	if len(args) == 0 {
		return nil
	}
	next := min(len(c.positionals), len(args)-1)
	if next < len(c.positionals) && !args[next].IsCumulative() {
		return nil
	}
	return slices.DeleteFunc(c.values(args[next]), func(one candidate) bool { // nobody names a thing twice
		return slices.Contains(c.positionals[next:], one.text)
	})
}

// values gives what a flag or an argument may be. The tag "complete" says what
// kong's model does not: files, kinds, or names in the mesh.
func (c *completer) values(v *kong.Value) []candidate {
	var all []candidate
	add := func(texts ...string) {
		for _, text := range texts {
			all = append(all, candidate{text: text})
		}
	}
	switch what := v.Tag.Get("complete"); what {
	case "":
		if v.Enum != "" {
			add(v.EnumSlice()...)
		} else if v.Tag.Type == "path" || v.Tag.Type == "existingfile" {
			add(filesFollow)
		}
	case "files":
		add(filesFollow)
	case "kinds":
		add(kindServices, kindInstances, kindRoutes, kindUpstreams, kindRuntime)
	case "shown":
		add(kindServices, kindInstances, kindRoutes, kindUpstreams, kindVMs, kindRuntime)
	case "deletable":
		add("service", "route", "upstream", "instance")
	case "kept":
		add("service", "route", "upstream", "runtime")
	case "names":
		add(c.namesOf(kindGiven(c.positionals))...)
	case "instance":
		if len(c.positionals) > 0 {
			add(c.names(c.flags["server"], "instances of "+c.positionals[0])...)
		}
	default: // services, routes, tokens, nodes
		add(c.names(c.flags["server"], what)...)
	}
	return all
}

func (c *completer) namesOf(kind string) []string {
	if kind == "" || kind == "runtime" {
		return nil
	}
	return c.names(c.flags["server"], kind)
}

// kindGiven is the kind that the first argument names, in the plural.
func kindGiven(positionals []string) string {
	if len(positionals) == 0 {
		return ""
	}
	if isVMs(positionals[0]) {
		return kindVMs
	}
	kind, _ := parseKind(positionals[0])
	return kind
}
