package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"reflect"

	"github.com/heddle-mesh/heddle/internal/intercept"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// interceptShowCmd shows the rules that there are.
type interceptShowCmd struct {
	interceptRules

	Output string `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

// Help shows examples below the flags.
func (*interceptShowCmd) Help() string {
	return `Compares the rules that the kernel has with those that it should have: those of heddle-intercept.service, unless there is none or flags say what they should be, as those of heddle intercept install. What they should be is found out in a network namespace apart, so that both are as the kernel says them. Needs root.

Examples:
  heddle intercept show
  heddle intercept show --inbound-ports 8080 -o json`
}

// interceptShown is what is shown.
type interceptShown struct {
	intercept.State

	Unit     string `json:"unit,omitempty"` // of systemd, which installs the rules at each start
	Expected string `json:"expected"`       // unit or flags: what says what should be
}

// Run shows them.
func (c *interceptShowCmd) Run(ctx context.Context, con *console, log *slog.Logger) error {
	shown := interceptShown{Expected: "flags"}
	rules := c.interceptRules
	systemd := intercept.Systemd{}
	unit, err := systemd.Read()
	if err != nil {
		return err
	}
	if unit != "" {
		shown.Unit = systemd.Path()
		standard, err := interceptRulesOf(nil)
		if err != nil {
			return err
		}
		arguments, ours := intercept.UnitArguments(unit)
		if ours && reflect.DeepEqual(rules, standard) {
			if rules, err = interceptRulesOf(arguments); err != nil {
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
		return wrongFlags(err)
	}
	if c.Output == "json" {
		encoder := json.NewEncoder(con.out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(shown)
	}
	shown.print(con.out)
	return nil
}

// interceptRulesOf reads flags of heddle intercept install.
func interceptRulesOf(arguments []string) (interceptRules, error) {
	var line cli
	parser, err := newParser(&line, &console{out: io.Discard, err: io.Discard})
	if err != nil {
		return interceptRules{}, err
	}
	if _, err := parser.Parse(append([]string{"intercept", "install"}, arguments...)); err != nil {
		return interceptRules{}, &mesh.Error{Kind: mesh.KindInvalid, Message: "read the flags of heddle intercept install", Err: err}
	}
	return line.Intercept.Install.interceptRules, nil
}

func (s interceptShown) print(out io.Writer) {
	meant := "what these flags ask for"
	if s.Expected == "unit" {
		meant = "what " + s.Unit + " asks for"
	}
	switch {
	case len(s.Present) == 0:
		fmt.Fprintln(out, "nothing is redirected")
	case s.AsMeant:
		fmt.Fprintf(out, "connections are redirected by %s: %s\n", s.Present[0].Backend, meant)
	default:
		fmt.Fprintf(out, "connections are redirected, but not by %s\n", meant)
	}
	after := s.Unit
	if after == "" {
		after = "nothing (heddle intercept install --persist)"
	}
	fmt.Fprintf(out, "after a restart of the machine: %s\n", after)
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
