package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/present"
)

// explainCmd says why a call arrives, or does not.
type explainCmd struct {
	From     string            `arg:"" complete:"services" help:"Who calls: a service, one of its proxies as SERVICE/INSTANCE, or gateway/NAME."`
	To       string            `arg:"" complete:"services" help:"The service that is called."`
	Method   string            `placeholder:"METHOD" help:"The request's method; default GET, of gRPC POST."`
	Path     string            `placeholder:"PATH" help:"Its path; default /."`
	Host     string            `placeholder:"HOST" help:"The host that it asks for; default: the service's name, at a gateway a host of a route to it."`
	Header   map[string]string `mapsep:"none" placeholder:"NAME=VALUE" help:"A header that routes may match. May be repeated."`
	Scheme   string            `placeholder:"http|https" help:"How a gateway is asked; default https if it has a port for it."`
	Evidence bool              `help:"Show what each step follows from, also of those that are in order."`
	Output   string            `short:"o" enum:"text,json,yaml" default:"text" help:"text, json or yaml."`
}

// Help shows examples below the flags.
func (explainCmd) Help() string {
	return `Goes the way of a call, from the declaration to the filters of the called sidecar, through the listeners, routes, clusters and endpoints that the proxies are really sent. It names the first thing that stops the call, what the caller sees (status and x-heddle-reason), and the command that mends it.

It is about what is declared and known now, by the server that is asked: proxies that are behind are named, those of other servers it does not see. Whether the called program itself answers, nobody in the mesh knows beforehand: the last step says what became of such calls lately, as proxies reported them.

The exit code is 0 when the call arrives at the service, 7 when it is stopped, and 8 when it is declared and allowed but not known to arrive, as when no sidecar of the service is connected, or the last call failed; 1 to 6 are failures to ask.

Examples:

  heddle explain web orders
  heddle explain web orders --method POST --path /orders --header x-canary=1
  heddle explain gateway/edge web --host shop.example.com --path /cart
  heddle explain web/web-1 orders --evidence
  heddle explain web orders -o json | jq -r .mend`
}

// The verdicts of calls that do not arrive, or are not known to.
var (
	errStopped   = &cli.Verdict{Message: "the call is stopped", Code: cli.ExitStopped}
	errUncertain = &cli.Verdict{Message: "the call is not known to arrive", Code: cli.ExitUncertain}
)

// Run asks and shows the answer.
func (c *explainCmd) Run(ctx context.Context, api *client.Client, con *cli.Console) error {
	answer, err := api.Explain(ctx, c.From, c.To, mesh.ExplainedRequest{Method: c.Method, Path: c.Path, Host: c.Host, Headers: c.Header, Scheme: c.Scheme})
	if err != nil {
		return err
	}
	if c.Output != "text" {
		err = con.Encode(c.Output, answer)
	} else {
		c.print(con, answer)
	}
	switch {
	case err != nil:
		return err
	case answer.Verdict == mesh.CallStopped:
		return errStopped
	case answer.Verdict == mesh.CallUncertain:
		return errUncertain
	}
	return nil
}

// print shows the steps below each other, and the verdict last, where a terminal
// ends.
func (c *explainCmd) print(con *cli.Console, a mesh.Explanation) {
	p := con.Palette
	fmt.Fprintf(con.Out, "%s\n\n", present.Safe(asked(a)))
	for _, step := range a.Steps {
		mark, tone := markOf(step.Status)
		text := step.Text
		if step.Status == mesh.StepNotReached {
			text = step.Title
		}
		lines := present.Wrap(present.Safe(text), 80)
		for i, line := range lines {
			if i > 0 {
				fmt.Fprintf(con.Out, "%19s%s\n", "", p.Paint(textTone(step.Status), line))
				continue
			}
			fmt.Fprintf(con.Out, "%s %-15s  %s\n", p.Paint(tone, mark), step.ID, p.Paint(textTone(step.Status), line))
		}
		if c.Evidence || step.Status == mesh.StepStops || step.Status == mesh.StepWarns {
			for _, e := range step.Evidence {
				fmt.Fprintf(con.Out, "%19s%s\n", "", p.Paint(present.Faint, present.Safe(evidenceLine(e))))
			}
		}
		if step.Mend != "" && step.ID != a.Stopped {
			fmt.Fprintf(con.Out, "%19s%s\n", "", "see: "+present.Safe(step.Mend))
		}
	}
	fmt.Fprintln(con.Out)
	if a.Verdict != mesh.CallStopped {
		c.printAllowed(con, a)
		return
	}
	fmt.Fprintf(con.Out, "%s: the caller sees %s.\n", p.Paint(present.Bad, "stopped"), present.Safe(seen(stopOf(a))))
	if a.Mend != "" {
		fmt.Fprintf(con.Out, "To mend it:\n\n  %s\n", present.Safe(a.Mend))
	}
}

// printAllowed is the verdict of what nothing is known to stop.
func (c *explainCmd) printAllowed(con *cli.Console, a mesh.Explanation) {
	p := con.Palette
	if a.Verdict == mesh.CallAllowed {
		fmt.Fprintf(con.Out, "%s: the request arrives at %s.\n", p.Paint(present.Good, "allowed"), present.Safe(string(a.To)))
		for _, step := range a.Steps {
			if step.ID == "calls" || step.Status == mesh.StepWarns {
				fmt.Fprintf(con.Out, "%s: %s\n", step.ID, present.Safe(step.Text))
			}
		}
		return
	}
	fmt.Fprintf(con.Out, "%s: declared and allowed, but not known to arrive:\n", p.Paint(present.Warn, "uncertain"))
	for _, step := range a.Steps {
		if step.Doubt {
			fmt.Fprintf(con.Out, "  %s: %s\n", step.ID, present.Safe(step.Text))
		}
	}
	for _, one := range a.Some {
		fmt.Fprintf(con.Out, "%.4g %% of the requests get %s.\n", one.Percent, present.Safe(seen(one)))
	}
}

// asked is the question in one line.
func asked(a mesh.Explanation) string {
	r := a.Request
	line := fmt.Sprintf("%s → %s", a.From, a.To)
	switch {
	case r.Method == "" && r.Protocol == mesh.TCP:
		line += ": a TCP connection"
	case r.Scheme != "":
		line += fmt.Sprintf(": %s %s://%s%s", r.Method, r.Scheme, r.Host, r.Path)
	default:
		line += fmt.Sprintf(": %s %s, Host: %s", r.Method, r.Path, r.Host)
	}
	return line
}

func markOf(status mesh.StepStatus) (mark string, tone present.Tone) {
	switch status {
	case mesh.StepOK:
		return "✓", present.Good
	case mesh.StepStops:
		return "✗", present.Bad
	case mesh.StepWarns:
		return "!", present.Warn
	case mesh.StepUnknown:
		return "?", present.Warn
	}
	return "·", present.Faint
}

func textTone(status mesh.StepStatus) present.Tone {
	switch status {
	case mesh.StepStops:
		return present.Bad
	case mesh.StepNotReached:
		return present.Faint
	}
	return present.Plain
}

func stopOf(a mesh.Explanation) mesh.ExplainedAnswer {
	for _, step := range a.Steps {
		if step.ID == a.Stopped && step.Sees != nil {
			return *step.Sees
		}
	}
	return mesh.ExplainedAnswer{Status: a.Status, Reason: a.Reason}
}

// seen is an answer in words.
func seen(a mesh.ExplainedAnswer) string {
	var parts []string
	if a.Status != 0 {
		parts = append(parts, fmt.Sprint(a.Status))
	}
	if a.Reason != "" {
		parts = append(parts, "x-heddle-reason: "+a.Reason)
	}
	if a.Text != "" {
		parts = append(parts, a.Text)
	}
	return strings.Join(parts, ", ")
}

func evidenceLine(e mesh.ExplainedEvidence) string {
	var parts []string
	if e.Resource != "" {
		parts = append(parts, e.Resource)
	}
	object := e.Object
	if e.Revision != 0 {
		object += fmt.Sprintf(" revision %d", e.Revision)
	}
	if e.Author != "" {
		object += " by " + e.Author
	}
	if object != "" {
		parts = append(parts, object)
	}
	line := strings.Join(parts, ", from ")
	if e.Says != "" && line != "" {
		line += ": "
	}
	return line + e.Says
}
