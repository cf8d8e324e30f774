package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/manifest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/present"
)

// diffCmd says what files would change in sidecars.
type diffCmd struct {
	Files   []string `name:"file" short:"f" sep:"none" complete:"files" placeholder:"FILE|DIR|-" help:"File, folder of files, or - for standard input. May be repeated."`
	Delete  []string `sep:"none" placeholder:"KIND/NAME" help:"What would be deleted: service/NAME or route/NAME. May be repeated."`
	Summary bool     `help:"Only how much changes in each sidecar, and no differences."`
	Output  string   `short:"o" enum:"text,json,yaml" default:"text" help:"text, json or yaml."`
}

// Help shows examples below the flags.
func (diffCmd) Help() string {
	return `Nothing is written. The server translates what it holds, with the changes and without them, for the proxies that are connected to it, and for a sidecar with the default settings of each service concerned that has none. Below each sidecar are the resources that it would be sent otherwise, as JSON. Warnings, and what could not be translated, come last. It needs an access token (HEDDLE_TOKEN), for it is work for the server; of very many sidecars it only counts what changes.

The exit code is 1 when the server would refuse the changes.

Examples:

  heddle diff -f new.yaml
  heddle diff -f teams/ --summary
  heddle diff --delete service/orders
  heddle diff -f new.yaml -o json | jq '.sidecars[].name'`
}

// Run asks and shows the answer.
func (c *diffCmd) Run(ctx context.Context, api *client.Client, con *cli.Console) error {
	if len(c.Files)+len(c.Delete) == 0 {
		return &cli.UsageError{Message: "say what would change: --file FILE, or --delete KIND/NAME"}
	}
	request := mesh.PlanRequest{Delete: c.Delete}
	if len(c.Files) > 0 {
		objects, err := readChecked(c.Files, con)
		if err != nil {
			return err
		}
		for i := range objects {
			add(&request, &objects[i])
		}
	}
	plan, err := api.Plan(ctx, request)
	if err != nil {
		return err
	}
	if c.Output != "text" {
		err = con.Encode(c.Output, plan)
	} else {
		printPlan(con, plan, !c.Summary)
	}
	if err == nil && len(plan.Faults) > 0 {
		return fmt.Errorf("the server would refuse this: %s", count(len(plan.Faults), "fault"))
	}
	return err
}

func add(r *mesh.PlanRequest, o *manifest.Object) {
	switch o.Kind {
	case manifest.KindService:
		r.Services = append(r.Services, *o.Service)
	case manifest.KindRoute:
		r.Routes = append(r.Routes, *o.Route)
	case manifest.KindInstance:
		r.Instances = append(r.Instances, *o.Instance)
	case manifest.KindRuntime:
		r.Runtime = o.Runtime
	}
}

// printPlan shows what changes by sidecar, with the differences if wanted.
func printPlan(con *cli.Console, plan mesh.Plan, differences bool) {
	p := con.Palette
	for _, one := range plan.Faults {
		fmt.Fprintf(con.Out, "%s %s\n", p.Paint(present.Bad, "fault:"), present.Safe(plannedLine(one)))
	}
	if len(plan.Faults) > 0 {
		return
	}
	if len(plan.Sidecars) == 0 {
		fmt.Fprintln(con.Out, "no sidecar's configuration changes")
	}
	for _, one := range plan.Sidecars {
		fmt.Fprintln(con.Out, present.Safe(sidecarLine(one)))
		if !differences {
			continue
		}
		for _, change := range one.Changes {
			tone := map[string]present.Tone{"added": present.Good, "removed": present.Bad}[change.Change]
			fmt.Fprintf(con.Out, "\n  %s %s\n", present.Safe(change.Type+" "+change.Name), p.Paint(tone, change.Change))
			for line := range strings.SplitSeq(change.Diff, "\n") {
				fmt.Fprintf(con.Out, "  %s\n", p.Paint(diffTone(line), present.Safe(line)))
			}
		}
		fmt.Fprintln(con.Out)
	}
	if plan.Cut != "" {
		fmt.Fprintln(con.Out, present.Safe(plan.Cut))
	}
	for _, one := range plan.Warnings {
		fmt.Fprintf(con.Out, "%s %s\n", p.Paint(present.Warn, "warning:"), present.Safe(plannedLine(mesh.PlannedFault{Object: one.Object, Field: one.Field, Message: one.Message})))
	}
	for _, one := range plan.Problems {
		fmt.Fprintf(con.Out, "%s %s\n", p.Paint(present.Warn, "problem:"), present.Safe(plannedLine(one)))
	}
}

func diffTone(line string) present.Tone {
	switch {
	case strings.HasPrefix(line, "+"):
		return present.Good
	case strings.HasPrefix(line, "-"):
		return present.Bad
	}
	return present.Faint
}

// sidecarLine is such as "web (2 proxies): 1 cluster changed, 1 route changed".
func sidecarLine(one mesh.PlannedSidecar) string {
	proxies := "none connected"
	switch {
	case one.Proxies == 1:
		proxies = "1 proxy"
	case one.Proxies > 1:
		proxies = fmt.Sprintf("%d proxies", one.Proxies)
	}
	return fmt.Sprintf("%s (%s): %s", one.Name, proxies, one.Summary)
}

func plannedLine(one mesh.PlannedFault) string {
	if one.Field == "" {
		return one.Object + ": " + one.Message
	}
	return one.Object + ": " + one.Field + ": " + one.Message
}

// mostPlanned is how many objects an apply is planned for: it is to stay quick.
const mostPlanned = 100

// announce says, before anything is written, in which connected sidecars and
// gateways something changes. It is a help: whatever goes wrong with it, apply goes on.
func announce(ctx context.Context, api *client.Client, con *cli.Console, steps []step) {
	var request mesh.PlanRequest
	planned := 0
	for i := range steps {
		if steps[i].Result != unchanged && steps[i].object.Kind != manifest.KindInstance {
			add(&request, &steps[i].object)
			planned++
		}
	}
	if planned == 0 || planned > mostPlanned {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	plan, err := api.Plan(ctx, request)
	if err != nil {
		return
	}
	for _, one := range plan.Sidecars {
		if one.Proxies > 0 {
			fmt.Fprintf(con.Out, "%s %s\n", con.Palette.Paint(present.Faint, "changes"), present.Safe(sidecarLine(one)))
		}
	}
}
