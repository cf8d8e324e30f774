package main

import (
	"context"
	"io"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/heddle-mesh/heddle/cmd/internal/agentcli"
	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/cmd/internal/completion"
	"github.com/heddle-mesh/heddle/cmd/internal/interceptcli"
)

// commands is the whole command line.
type commands struct {
	cli.Globals

	Agent      agentcli.Agent       `cmd:"" default:"withargs" help:"Run one host of a mesh that needs no server; what runs when no command is named."`
	Hosts      agentcli.Hosts       `cmd:"" help:"Show the fleet as one of its agents sees it, or drain a copy."`
	Intercept  interceptcli.Command `cmd:"" help:"Redirect the connections of this machine's applications to its proxy, show the rules and take them away."`
	Completion completion.Command   `cmd:"" help:"Print a script that completes heddle-agent's commands in a shell."`
	Version    cli.VersionCommand   `cmd:"" help:"Print the version."`

	Complete completion.Complete `cmd:"" name:"__complete" hidden:""`
}

func main() { cli.Main(run) }

// run is main without the process around it.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	con := cli.NewConsole("heddle-agent", stdin, stdout, stderr)
	var line commands
	parser, err := newParser(&line, con)
	if err != nil {
		return con.Fail(err)
	}
	parsed, code := cli.Parse(parser, args, con)
	if parsed == nil {
		return code
	}
	parsed.BindTo(ctx, (*context.Context)(nil))
	parsed.Bind(&line.Globals, con, line.Logger(stderr), completion.Values(func(completion.Asked) []string { return nil }))
	return con.Fail(parsed.Run())
}

// newParser builds the command line's grammar.
func newParser(line *commands, con *cli.Console) (*kong.Kong, error) {
	parser, err := cli.NewParser(line, con, "The agent of one host of a mesh that needs no server: heddle's commands for hosts, without the rest of heddle.",
		interceptcli.Presets(),
		kong.ExplicitGroups([]kong.Group{{Key: "globals", Title: "Flags of every command"}}),
	)
	if err != nil {
		return nil, err
	}
	rename(parser.Model.Node)
	return parser, nil
}

// rename has the help show commands as this program takes them.
func rename(node *kong.Node) {
	node.Detail = asHere.Replace(node.Detail)
	for _, child := range node.Children {
		rename(child)
	}
}

// asHere has the commands of heddle as they are called here.
var asHere = strings.NewReplacer("heddle agent", "heddle-agent", "heddle hosts", "heddle-agent hosts", "heddle intercept", "heddle-agent intercept", "heddle completion", "heddle-agent completion", "heddle version", "heddle-agent version")
