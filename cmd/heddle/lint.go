package main

import (
	"errors"
	"fmt"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/manifest"
	"github.com/heddle-mesh/heddle/internal/present"
)

// lintCmd checks files offline.
type lintCmd struct {
	Files []string `name:"file" short:"f" sep:"none" required:"" complete:"files" placeholder:"FILE|DIR|-" help:"File, folder of files, or - for standard input. May be repeated."`
}

// Help shows examples below the flags.
func (lintCmd) Help() string {
	return `Everything the server would refuse is an error, and so is what cannot be meant across files: an object that is declared twice, or two dependencies of one service that want the same port. A dependency that no file declares is a warning, for the mesh may have it; so are cycles of calls, and calls to a service that is deprecated or of a less critical tier, as far as the files tell. Faults are written as file:line: field: message.

Examples:

  heddle lint -f mesh.yaml
  heddle lint -f teams/
  git show HEAD:mesh.yaml | heddle lint -f -`
}

// Run prints what is wrong; errors fail it, warnings do not.
func (c lintCmd) Run(con *cli.Console) error {
	objects, err := manifest.Read(c.Files, con.In)
	var unread *manifest.Error
	switch {
	case errors.As(err, &unread):
		printFaults(con, present.Bad, "error", unread.Faults)
		return fmt.Errorf("%s", unread.Summary())
	case err != nil:
		return err
	}
	report := manifest.Lint(objects)
	printFaults(con, present.Bad, "error", report.Errors)
	printFaults(con, present.Warn, "warning", report.Warnings)
	if len(report.Errors) > 0 {
		wrong := manifest.Error{Faults: report.Errors}
		return fmt.Errorf("%s", wrong.Summary())
	}
	if unknown := report.Unknown; len(unknown) > 0 {
		fmt.Fprintf(con.Out, "not known from these files: whether %s deprecated, less critical or part of a cycle (%s); heddle apply --dry-run asks the mesh\n",
			plural(len(unknown), "service is", "services are"), present.Safe(namesText(unknown)))
	}
	fmt.Fprintf(con.Out, "%s: no errors\n", count(len(objects), "object"))
	return nil
}

// printFaults prints faults as compilers do.
func printFaults(con *cli.Console, tone present.Tone, word string, faults []manifest.Fault) {
	for _, fault := range faults {
		fmt.Fprintf(con.Out, "%s: %s\n", con.Palette.Paint(tone, word), present.Safe(fault.String()))
	}
}

// count writes a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
