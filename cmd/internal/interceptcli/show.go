package interceptcli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"slices"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/intercept"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// showCmd shows the rules that there are.
type showCmd struct {
	rules

	Output string `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

// Help shows examples below the flags.
func (*showCmd) Help() string {
	return `Compares the rules that the kernel has with those that it should have: those of heddle-intercept.service, unless there is none or flags say what they should be, as those of heddle intercept install. What they should be is found out in a network namespace apart, so that both are as the kernel says them. Needs root.

Examples:
  heddle intercept show
  heddle intercept show --inbound-ports 8080 -o json`
}

// comparison is what is shown.
type comparison struct {
	intercept.State

	Unit     string `json:"unit,omitempty"` // of systemd, which installs the rules at each start
	Expected string `json:"expected"`       // unit or flags: what says what should be
}

// Run shows them.
func (c *showCmd) Run(ctx context.Context, con *cli.Console, log *slog.Logger) error {
	shown := comparison{Expected: "flags"}
	rules := c.rules
	systemd := intercept.Systemd{}
	unit, err := systemd.Read()
	if err != nil {
		return err
	}
	if unit != "" {
		shown.Unit = systemd.Path()
		standard, err := rulesOf(nil)
		if err != nil {
			return err
		}
		arguments, ours := intercept.UnitArguments(unit)
		if ours && reflect.DeepEqual(rules, standard) {
			if rules, err = rulesOf(arguments); err != nil {
				return fmt.Errorf("%s: %w", shown.Unit, err)
			}
			shown.Expected = "unit"
		}
	}
	config, err := rules.config()
	if err != nil {
		return err
	}
	if shown.State, err = rules.kernel(log).Show(ctx, config); err != nil {
		return cli.WrongFlags(err)
	}
	if c.Output == "json" {
		encoder := json.NewEncoder(con.Out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(shown)
	}
	shown.print(con.Out)
	return nil
}

// rulesOf reads flags of heddle intercept install.
func rulesOf(arguments []string) (rules, error) {
	var line Command
	parser, err := cli.NewParser(&line, &cli.Console{Program: "heddle intercept", Out: io.Discard, Err: io.Discard}, "", Presets())
	if err != nil {
		return rules{}, err
	}
	if _, err := parser.Parse(append([]string{"install"}, arguments...)); err != nil {
		return rules{}, &mesh.Error{Kind: mesh.KindInvalid, Message: "read the flags of heddle intercept install", Err: err}
	}
	return line.Install.rules, nil
}

func (s comparison) print(out io.Writer) {
	meant := "what these flags ask for"
	if s.Expected == "unit" {
		meant = "what " + s.Unit + " asks for"
	}
	byRules := slices.ContainsFunc(s.Present, func(p intercept.Present) bool { return p.Backend != intercept.OfRoutes })
	switch {
	case len(s.Present) == 0:
		fmt.Fprintln(out, "nothing is redirected")
	case !byRules:
		fmt.Fprintln(out, "nothing is redirected: the rules are gone, and routes of TPROXY are left (heddle intercept remove takes them away, systemctl reload heddle-intercept sets the rules again)")
	case s.AsMeant:
		fmt.Fprintf(out, "connections are redirected by %s: %s\n", s.Present[0].Backend, meant)
	default:
		fmt.Fprintf(out, "connections are redirected, but not by %s\n", meant)
	}
	after := s.Unit
	if after == "" {
		after = "nothing (install them with --persist)"
	}
	fmt.Fprintf(out, "after a restart of the machine: %s\n", after)
	for _, one := range s.Unknown {
		fmt.Fprintf(out, "not known: %s\n", one)
	}
	for _, one := range s.Present {
		fmt.Fprintf(out, "\n%s has\n", one.Backend)
		for _, line := range one.Rules {
			fmt.Fprintln(out, "  "+line)
		}
	}
	for _, one := range []struct {
		title string
		rules []string
	}{{"missing", s.Missing}, {"too many", s.Extra}} {
		if len(one.rules) > 0 && len(s.Present) > 0 {
			fmt.Fprintf(out, "\n%s\n", one.title)
			for _, line := range one.rules {
				fmt.Fprintln(out, "  "+line)
			}
		}
	}
}
