package agentcli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/agent/api"
	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/present"
)

// Hosts asks the agent of a host about the fleet.
type Hosts struct {
	Members  membersCmd  `cmd:"" default:"withargs" help:"Show the hosts of the fleet, and what is wrong."`
	Services servicesCmd `cmd:"" help:"Show what the fleet runs, copy by copy."`
	Watch    watchCmd    `cmd:"" help:"Follow what starts, ends and changes in the fleet."`
	Drain    drainCmd    `cmd:"" help:"Have a copy on the agent's host get no new requests."`
}

// AfterApply refuses the address of a server, which is not asked.
func (Hosts) AfterApply(parsed *kong.Context) error {
	for _, step := range parsed.Path {
		if step.Flag != nil && step.Flag.Name == "server" && !step.Resolved {
			return &cli.UsageError{Message: "--server is a mesh's server, and these commands ask the agent of a host: name it with --agent"}
		}
	}
	return nil
}

// agentFlags say which agent is asked.
type agentFlags struct {
	Agent string `env:"HEDDLE_AGENT" default:"http://127.0.0.1:7777" placeholder:"URL" help:"The API of the agent that is asked."`
}

func (f agentFlags) client(g *cli.Globals) (*api.Client, error) {
	token, err := g.ReadToken()
	if err != nil {
		return nil, err
	}
	client, err := api.NewClient(f.Agent, token)
	if err != nil {
		return nil, &cli.UsageError{Message: "--agent: " + err.Error()}
	}
	return client, nil
}

// show shows the fleet once, or anew after each change.
func (f agentFlags) show(ctx context.Context, g *cli.Globals, con *cli.Console, watch bool, show func(*api.Fleet) error) error {
	client, err := f.client(g)
	if err != nil {
		return err
	}
	if !watch {
		fleet, err := client.Fleet(ctx)
		if err != nil {
			return err
		}
		return show(fleet)
	}
	first := true
	err = client.Watch(ctx, func(fleet *api.Fleet) error {
		switch {
		case con.Terminal:
			fmt.Fprint(con.Out, "\x1b[H\x1b[2J") // a fresh screen (ECMA-48, section 8.3.39)
		case !first:
			fmt.Fprintln(con.Out)
		}
		first = false
		return show(fleet)
	})
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

type membersCmd struct {
	agentFlags `embed:""`
	Repeat     bool   `name:"watch" short:"w" help:"Show it anew after each change, until Ctrl-C."`
	Output     string `short:"o" enum:"table,json" default:"table" help:"table, or json."`
}

// Help shows examples below the flags.
func (membersCmd) Help() string {
	return `Asks the agent of this host, or the one that --agent names, how it sees the fleet.

Examples:

  heddle hosts
  heddle hosts members --watch
  heddle hosts members --agent http://10.0.0.2:7777 -o json`
}

// Run shows the members.
func (c *membersCmd) Run(ctx context.Context, g *cli.Globals, con *cli.Console) error {
	return c.show(ctx, g, con, c.Repeat, func(f *api.Fleet) error {
		if c.Output == "json" {
			return encode(con, c.Repeat, f)
		}
		table := present.NewTable(con.Palette, "HOST", "STATUS", "GOSSIP", "NEWS", "COPIES", "RUNS")
		for _, m := range f.Members {
			status := present.Cell{Text: m.Status, Tone: present.Good}
			if m.Status != api.MemberAlive {
				status.Tone = present.Bad
			}
			var names []string
			known := map[string]bool{}
			for _, s := range m.Services {
				if !known[s.Name] {
					known[s.Name] = true
					names = append(names, s.Name)
				}
			}
			name := m.Name
			if name == f.Host {
				name += " (asked)"
			}
			table.Add(append(present.Text(name), status, present.Cell{Text: m.Address}, present.Cell{Text: present.Age(time.Since(m.Seen)) + " ago"},
				present.Cell{Text: fmt.Sprint(len(m.Services))}, present.Cell{Text: present.CutList(names)})...)
		}
		if err := table.Write(con.Out); err != nil {
			return err
		}
		return writeProblems(con, f.Problems)
	})
}

// encode writes JSON for people, or a line of it for those who read a stream.
func encode(con *cli.Console, stream bool, value any) error {
	if stream {
		return con.EncodeLine(value)
	}
	return con.Encode("json", value)
}

func writeProblems(con *cli.Console, problems []api.Problem) error {
	if len(problems) == 0 {
		return nil
	}
	hosts, order := map[api.Problem][]string{}, []api.Problem{} // by problem, each once
	for _, p := range problems {
		host := present.Safe(p.Host)
		if p.Host = ""; hosts[p] == nil {
			order = append(order, p)
		}
		if !slices.Contains(hosts[p], host) {
			hosts[p] = append(hosts[p], host)
		}
	}
	fmt.Fprintln(con.Out, "\nProblems:")
	for _, p := range order {
		if _, err := fmt.Fprintf(con.Out, "%s on %s: %s\n", present.Safe(p.About()), present.CutList(hosts[p]), con.Palette.Paint(present.Warn, present.Safe(p.Message))); err != nil {
			return err
		}
	}
	return nil
}

type servicesCmd struct {
	agentFlags `embed:""`
	Names      []string `arg:"" optional:"" name:"name" help:"Services, as their owners or the mesh call them; none: all."`
	Repeat     bool     `name:"watch" short:"w" help:"Show it anew after each change, until Ctrl-C."`
	Output     string   `short:"o" enum:"table,wide,json" default:"table" help:"table; wide with more columns; or json."`
}

// Help shows examples below the flags.
func (servicesCmd) Help() string {
	return `Examples:

  heddle hosts services
  heddle hosts services orders --watch
  heddle hosts services -o wide
  heddle hosts services -o json`
}

// Run shows the services.
func (c *servicesCmd) Run(ctx context.Context, g *cli.Globals, con *cli.Console) error {
	return c.show(ctx, g, con, c.Repeat, func(f *api.Fleet) error {
		list := f.Services()
		if len(c.Names) > 0 {
			var chosen []api.Service
			for _, name := range c.Names {
				before := len(chosen)
				for _, s := range list {
					if s.Name == name || string(s.MeshName) == name {
						chosen = append(chosen, s)
					}
				}
				if len(chosen) == before && !c.Repeat {
					return mesh.NotFound("no host of the fleet runs %q: %s hosts services lists what they run", name, con.Program)
				}
			}
			list = chosen
		}
		if c.Output == "json" {
			if list == nil {
				list = []api.Service{}
			}
			return encode(con, c.Repeat, list)
		}
		if len(list) == 0 {
			fmt.Fprintln(con.Err, "no host of the fleet runs a service")
			return nil
		}
		if err := servicesTable(con.Palette, list, c.Output == "wide").Write(con.Out); err != nil {
			return err
		}
		return writeReasons(con, list)
	})
}

// writeReasons tells why copies are not healthy, and what of services is not as they say.
func writeReasons(con *cli.Console, list []api.Service) error {
	between := "\n"
	for _, s := range list {
		for _, c := range s.Copies {
			if c.Reason == "" {
				continue
			}
			if _, err := fmt.Fprintf(con.Out, "%s%s on %s (%s): %s\n", between, present.Safe(s.Name), present.Safe(c.Host), present.Safe(c.ID), con.Palette.Paint(present.Bad, present.Safe(c.Reason))); err != nil {
				return err
			}
			between = ""
		}
		for _, problem := range s.Problems {
			if _, err := fmt.Fprintf(con.Out, "%s%s: %s\n", between, present.Safe(s.Name), con.Palette.Paint(present.Warn, present.Safe(problem))); err != nil {
				return err
			}
			between = ""
		}
	}
	return nil
}

func servicesTable(p present.Palette, list []api.Service, wide bool) *present.Table {
	headings := []string{"SERVICE", "PORTS", "HOST", "ID", "HEALTH", "REACHED AT"}
	if wide {
		headings = append(headings, "MODE", "IMAGE", "AGE")
	}
	table := present.NewTable(p, headings...)
	for _, s := range list {
		for _, c := range s.Copies {
			var ports []string // where it wants to be called, of those where the service is
			for _, one := range c.Ports {
				if text := fmt.Sprint(one.ServicePort); slices.Contains(s.Ports, one.ServicePort) && !slices.Contains(ports, text) {
					ports = append(ports, text)
				}
			}
			health := present.Cell{Text: string(c.Health), Tone: healthTone(c.Health)}
			if c.Lost {
				health = present.Cell{Text: "host lost", Tone: present.Bad}
			}
			age, at := "", []string{}
			if !c.Created.IsZero() {
				age = present.Age(time.Since(c.Created))
			}
			for _, port := range c.Ports {
				address := c.Address
				if port.Address.IsValid() {
					address = port.Address
				}
				at = append(at, fmt.Sprintf("%s:%d", address, port.Port))
			}
			cells := append(present.Text(s.Name, strings.Join(ports, ","), c.Host, c.ID), health, present.Cell{Text: present.CutList(at)})
			if wide {
				cells = append(cells, present.Text(string(c.Mode), c.Image, age)...)
			}
			table.Add(cells...)
		}
	}
	return table
}

func healthTone(h hosts.Health) present.Tone {
	switch h {
	case hosts.Healthy:
		return present.Good
	case hosts.Unhealthy:
		return present.Bad
	default:
		return present.Warn
	}
}
