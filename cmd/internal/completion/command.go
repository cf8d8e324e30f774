package completion

import (
	"embed"
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
)

//go:embed shells
var shellScripts embed.FS

// Command prints a shell script that completes the program's commands.
type Command struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help shows examples below the usage.
func (Command) Help() string {
	return `Examples:

  source <(heddle completion bash)               in ~/.bashrc
  source <(heddle completion zsh)                in ~/.zshrc, behind compinit
  heddle completion fish | source                in ~/.config/fish/config.fish`
}

// Run prints the script.
func (c Command) Run(con *cli.Console) error {
	script, err := shellScripts.ReadFile("shells/" + c.Shell)
	if err != nil {
		return err
	}
	names := strings.NewReplacer("PROGRAM", con.Program, "FUNCTION", strings.ReplaceAll(con.Program, "-", "_"))
	_, err = names.WriteString(con.Out, string(script))
	return err
}

// Complete is the hidden command "__complete" that the scripts call: it prints the candidates for the last
// word, one a line, or ":files" where the shell knows better.
type Complete struct {
	Shell string   `required:"" enum:"bash,zsh,fish"`
	Words []string `arg:"" optional:""`
}

// Run prints the candidates. It never fails: a broken completion must not
// disturb whoever types.
func (c Complete) Run(app *kong.Kong, known Values, con *cli.Console) error { //nolint:unparam // kong's Run gives an error
	words := c.Words
	if c.Shell == "bash" {
		words = rejoin(words)
	}
	if len(words) == 0 {
		words = []string{""}
	}
	for _, one := range newCompleter(app.Model.Node, known).complete(words) {
		if c.Shell == "bash" { // it replaces only what is behind the "="
			if _, value, found := strings.Cut(one.text, "="); found && strings.HasPrefix(one.text, "--") {
				one.text = value
			}
		}
		printCandidate(con.Out, c.Shell, one)
	}
	return nil
}

func printCandidate(w io.Writer, shell string, one candidate) {
	help, _, _ := strings.Cut(one.help, "\n")
	switch {
	case shell == "zsh" && one.text != filesFollow: // _describe splits at colons
		fmt.Fprintf(w, "%s:%s\n", strings.ReplaceAll(one.text, ":", `\:`), help)
	case shell == "fish" && help != "":
		fmt.Fprintf(w, "%s\t%s\n", one.text, help)
	default:
		fmt.Fprintln(w, one.text)
	}
}

// rejoin undoes bash's splitting of words at "=".
func rejoin(words []string) []string {
	var joined []string
	for i, word := range words {
		last := len(joined) - 1
		switch {
		case last >= 0 && word == "=" && strings.HasPrefix(joined[last], "--"):
			joined[last] += "="
		case last >= 0 && i > 0 && words[i-1] == "=" && strings.HasPrefix(joined[last], "--"):
			joined[last] += word
		default:
			joined = append(joined, word)
		}
	}
	return joined
}
