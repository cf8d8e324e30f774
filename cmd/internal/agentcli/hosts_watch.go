package agentcli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/agent/api"
	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/present"
)

type watchCmd struct {
	agentFlags `embed:""`
	Output     string `short:"o" enum:"lines,json" default:"lines" help:"lines, or json: one object on each line."`
}

// Help shows examples below the flags.
func (watchCmd) Help() string {
	return `Begins with what there is, and stays until Ctrl-C. When more changes than can be told, only the last of each copy is.

Examples:

  heddle hosts watch
  heddle hosts watch -o json | jq -c 'select(.gone)'`
}

// hostEvent is a change of one copy.
type hostEvent struct {
	Time     time.Time     `json:"time"` // of the fleet's last change then, by the agent's clock
	Host     string        `json:"host"`
	Service  hosts.Service `json:"service"`
	Previous hosts.Health  `json:"previous,omitempty"`
	Gone     bool          `json:"gone,omitempty"`
}

// Run prints changes until ctx ends, which is no error.
func (c *watchCmd) Run(ctx context.Context, g *cli.Globals, con *cli.Console) error {
	client, err := c.client(g)
	if err != nil {
		return err
	}
	var before *api.Fleet
	err = client.Watch(ctx, func(fleet *api.Fleet) error {
		for _, e := range hosts.Events(before.State(), fleet.State()) {
			if c.Output == "json" {
				if err := con.EncodeLine(hostEvent{fleet.Changed, e.Host, e.Service, e.Previous, e.Gone}); err != nil {
					return err
				}
				continue
			}
			if _, err := fmt.Fprintln(con.Out, hostEventLine(con.Palette, fleet.Changed, e)); err != nil {
				return err
			}
		}
		before = fleet
		return nil
	})
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// hostEventLine tells a change on one line.
func hostEventLine(p present.Palette, at time.Time, e hosts.Event) string {
	health := cmp.Or(e.Service.Health, hosts.Healthy)
	said := p.Paint(healthTone(health), string(health))
	switch {
	case e.Gone:
		said = p.Paint(present.Bad, "gone")
	case e.Previous == "":
		said = "new, " + said
	case e.Previous != health:
		said = string(e.Previous) + ", now " + said
	default:
		said += ", changed"
	}
	if e.Service.Reason != "" && !e.Gone {
		said += ": " + present.Safe(e.Service.Reason)
	}
	return fmt.Sprintf("%s %s on %s (%s): %s", p.Paint(present.Faint, at.Local().Format(time.TimeOnly)), present.Safe(e.Service.Name), present.Safe(e.Host), present.Safe(e.Service.ID), said)
}

type drainCmd struct {
	agentFlags `embed:""`
	ID         string `arg:"" help:"The copy's ID, as the command hosts services shows it."`
	Undo       bool   `help:"Have it get requests again."`
}

// Help shows examples below the flags.
func (drainCmd) Help() string {
	return `The copy finishes what it has, and no host sends it more, until it ends or --undo is given. Only the agent of its own host drains it. The token is one of the agent's --api-token-file.

Examples:

  heddle hosts drain b83eac1d0c21 --token-file /etc/heddle/agent.token
  heddle hosts drain b83eac1d0c21 --token-file /etc/heddle/agent.token --undo`
}

// Run drains the copy.
func (c *drainCmd) Run(ctx context.Context, g *cli.Globals, con *cli.Console) error {
	if c.ID == "" {
		return &cli.UsageError{Message: "the ID is empty: " + con.Program + " hosts services shows them"}
	}
	client, err := c.client(g)
	if err != nil {
		return err
	}
	said, err := client.Drain(ctx, c.ID, c.Undo)
	if err != nil {
		return err
	}
	fmt.Fprintln(con.Out, present.Safe(said))
	return nil
}
