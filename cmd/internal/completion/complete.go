package completion

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

// Asked is what a value is wanted for.
type Asked struct {
	What        string            // the tag "complete" of the flag or the argument
	Flags       map[string]string // given so far, by name
	Positionals []string          // given so far to the same command
}

// Values gives what only the program knows that a flag or an argument may be.
type Values func(Asked) []string

// completer walks the words of a command line down kong's model.
type completer struct {
	known Values

	node        *kong.Node
	positionals []string
	flags       map[string]string // those given so far
	pending     *kong.Flag        // its value comes next
	onlyArgs    bool              // behind "--"
	lost        bool              // behind a command that does not exist
}

func newCompleter(root *kong.Node, known Values) *completer {
	return &completer{known: known, node: root, flags: map[string]string{}}
}

// Candidates gives what the last of words may be; ":files" has the shell complete files.
func Candidates(root *kong.Node, known Values, words []string) []string {
	var all []string
	for _, one := range newCompleter(root, known).complete(words) {
		all = append(all, one.text)
	}
	return all
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

// allFlags gives those that may come now: also of the command that runs when none is named.
func (c *completer) allFlags(shown bool) [][]*kong.Flag {
	all := c.node.AllFlags(shown)
	if c.node.DefaultCmd != nil {
		all = append(all, slices.DeleteFunc(slices.Clone(c.node.DefaultCmd.Flags), func(f *kong.Flag) bool { return shown && f.Hidden }))
	}
	return all
}

func (c *completer) flag(name string) *kong.Flag {
	for _, group := range c.allFlags(false) {
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
	for _, group := range c.allFlags(true) {
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
// kong's model does not: "files", or what the program knows.
func (c *completer) values(v *kong.Value) []candidate {
	var texts []string
	switch what := v.Tag.Get("complete"); {
	case what == "files", what == "" && v.Enum == "" && (v.Tag.Type == "path" || v.Tag.Type == "existingfile"):
		texts = []string{filesFollow}
	case what != "":
		texts = c.known(Asked{What: what, Flags: c.flags, Positionals: c.positionals})
	case v.Enum != "":
		texts = v.EnumSlice()
	}
	all := make([]candidate, 0, len(texts))
	for _, text := range texts {
		all = append(all, candidate{text: text})
	}
	return all
}
