package cli

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode"

	"github.com/alecthomas/kong"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// UsageError is a command line that makes no sense.
type UsageError struct{ Message string }

func (e *UsageError) Error() string { return e.Message }

// Usage explains what the parser of a program did not understand, and where the help is.
func Usage(program string, err error) error {
	message, command := err.Error(), program
	var refused *kong.ParseError
	if errors.As(err, &refused) && refused.Context != nil {
		node := refused.Context.Model.Node
		if selected := refused.Context.Selected(); selected != nil {
			node = selected
		}
		for _, step := range refused.Context.Path { // as far as the words were understood
			if step.Command != nil {
				node = step.Command
			}
		}
		command = node.FullPath()
		if len(node.Children) > 0 {
			message = unknownCommand(message, node)
		} else if argument, ok := strings.CutPrefix(message, "expected "); ok {
			message = "missing: " + strings.Trim(argument, `"`)
		}
	}
	return &Hinted{Err: &UsageError{Message: message}, Hint: fmt.Sprintf("see: %s --help", command)}
}

// UsageOf is a line that the parser takes, and that makes no sense all the same.
func UsageOf(parsed *kong.Context, message string) error {
	return &Hinted{Err: &UsageError{Message: message}, Hint: fmt.Sprintf("see: %s --help", parsed.Selected().FullPath())}
}

// unknownCommand turns kong's words for a wrong or missing command into plain ones.
func unknownCommand(message string, node *kong.Node) string {
	if word, ok := strings.CutPrefix(message, "unexpected argument "); ok {
		word, guess, _ := strings.Cut(word, ", ")
		if guess != "" {
			guess = ": " + guess
		}
		return fmt.Sprintf("unknown command %q%s", word, guess)
	}
	if strings.HasPrefix(message, "expected ") {
		var names []string
		for _, child := range node.Children {
			if !child.Hidden {
				names = append(names, child.Name)
			}
		}
		return "a command is missing: use one of " + strings.Join(names, ", ")
	}
	return message
}

// WrongFlags turns a refusal of what flags said into wrong usage, in which each
// fault names the flag instead of the field.
func WrongFlags(err error) error {
	var refused *mesh.Error
	if !errors.As(err, &refused) || refused.Kind != mesh.KindInvalid || len(refused.Faults) == 0 {
		return err
	}
	named := *refused
	named.Faults = nil
	for _, fault := range refused.Faults {
		fault.Path = flagOfField(fault.Path)
		named.Faults = append(named.Faults, fault)
	}
	return &UsageError{Message: faultsBelow(&named)}
}

// flagOfField gives the flag that sets a field: --inbound-port for inboundPort,
// --xds for xds[0], --dependency-port for dependencyPorts.ledger.
func flagOfField(path string) string {
	field, rest := path, ""
	if end := strings.IndexAny(path, "[."); end >= 0 {
		field, rest = path[:end], strings.Trim(path[end:], "[].")
	}
	switch field {
	case "dependencyPorts":
		return strings.TrimSpace("--dependency-port " + rest)
	case "gateway":
		if rest != "" {
			return flagOfField(rest)
		}
	case "certificates", "tlsCert":
		return "--tls-cert"
	case "labels":
		return strings.TrimSpace("--label " + rest)
	}
	flag := "--"
	for _, letter := range field {
		if unicode.IsUpper(letter) {
			flag += "-"
		}
		flag += string(unicode.ToLower(letter))
	}
	return flag
}

// EmptyFlags refuses flags that are given without a value: a script's unset
// variable must not be taken for the default. Where an empty text is as good as
// none, the flag has the tag empty:"fine"; flags behind pointers look themselves.
func EmptyFlags(parsed *kong.Context) error {
	for _, step := range parsed.Path {
		if step.Flag == nil || step.Resolved || step.Flag.Tag.Get("empty") == "fine" || step.Flag.Target.Kind() != reflect.String {
			continue
		}
		if step.Flag.Target.String() == "" {
			name := parsed.Model.Name
			if command := parsed.Selected(); command != nil {
				name = command.FullPath()
			}
			return &Hinted{Err: &UsageError{Message: "--" + step.Flag.Name + " is empty: give it a value, or leave it out"}, Hint: fmt.Sprintf("see: %s --help", name)}
		}
	}
	return nil
}

// pathUnlessEmpty reads a file's name as kong does, but leaves an empty one
// empty, where kong takes it for the current folder.
func pathUnlessEmpty(ctx *kong.DecodeContext, target reflect.Value) error {
	var name string
	if err := ctx.Scan.PopValueInto("file", &name); err != nil {
		return err
	}
	if name != "" && name != "-" {
		name = kong.ExpandPath(name)
	}
	target.SetString(name)
	return nil
}

// NotEmpty gives the value of a flag that widens what a command reaches when it
// is left out: a script's unset variable must not do that. nil is left out.
func NotEmpty(flag string, value *string, remedy string) (string, error) {
	switch {
	case value == nil:
		return "", nil
	case *value == "":
		return "", &UsageError{Message: flag + " is empty: " + remedy}
	}
	return *value, nil
}
