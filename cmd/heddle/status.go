package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/present"
)

// statusCmd shows how the mesh is.
type statusCmd struct {
	Service  string        `arg:"" optional:"" complete:"services" help:"Only this service."`
	All      bool          `help:"A row for each proxy of a long table, also for those that are up to date."`
	Watch    bool          `short:"w" help:"Show it again and again, until Ctrl-C."`
	Interval time.Duration `default:"2s" help:"Pause between two looks with --watch."`
	Output   string        `short:"o" enum:"table,json,yaml" default:"table" help:"table, json or yaml; with --watch json is one line for each look."`
}

// Help shows examples below the flags.
func (statusCmd) Help() string {
	return `Shows whether the server is ready; for each proxy how long it is connected, what it was sent and what it acknowledged, what it refused and for how long it is behind; and what is wrong: objects set aside because they cannot be read, dependencies that nobody declares, subsets without instances. Warnings stand apart from what is wrong: cycles of calls, and calls to a service that is deprecated or of a less critical tier.

A version stands under its type once the proxy acknowledged it; "a>b" means that b was sent and a is what the proxy has. The exit code is 6 when the server is not ready, whatever the proxies do.

Proxies that are behind come first. Of more than 50 those that are up to date are only counted, unless a service is named or --all is given; JSON and YAML always have all.

Examples:

  heddle status
  heddle status orders
  heddle status --watch
  heddle status -o json | jq '.problems'
  heddle status -o json | jq -r '.proxies[] | select(.behind) | .node'`
}

// meshStatus is what heddle status -o json writes. Fields are added to it, never changed.
type meshStatus struct {
	Server   serverStatus     `json:"server"`
	Proxies  []proxyStatus    `json:"proxies"`
	Problems []client.Problem `json:"problems"`
	Warnings []mesh.Warning   `json:"warnings,omitempty"` // what works and may go wrong
	// Tokens says who signs tokens; nil while no AuthZ service has been at work, or
	// etcd does not say.
	Tokens *client.SigningKeys `json:"tokens,omitempty"`
	// Discovery is how the sources of virtual machines do; nil: there are none.
	Discovery *mesh.Discovery `json:"discovery,omitempty"`
}

type serverStatus struct {
	Address string `json:"address"`
	Version string `json:"version,omitempty"`
	Ready   bool   `json:"ready"`
	Message string `json:"message,omitempty"` // why it is not
}

type proxyStatus struct {
	client.Proxy
	Behind bool `json:"behind"` // with any of its types
}

// Run looks once, or until ctx ends.
func (c *statusCmd) Run(ctx context.Context, api *client.Client, con *cli.Console) error {
	if !c.Watch {
		status, notReady := c.look(ctx, api)
		if status == nil {
			return notReady
		}
		if err := c.print(con, *status); err != nil {
			return err
		}
		return notReady
	}
	if c.Interval < 100*time.Millisecond {
		return &cli.UsageError{Message: "--interval has to be at least 100ms"}
	}
	tick := time.NewTicker(c.Interval)
	defer tick.Stop()
	for {
		if err := c.again(ctx, api, con); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// again is one look of many: a server that is away is told, and waited for.
func (c *statusCmd) again(ctx context.Context, api *client.Client, con *cli.Console) error {
	status, err := c.look(ctx, api)
	if ctx.Err() != nil {
		return nil //nolint:nilerr // Ctrl-C is how it ends
	}
	switch {
	case status == nil && mesh.KindOf(err) != mesh.KindUnavailable:
		return err
	case status == nil:
		status = &meshStatus{Server: serverStatus{Address: api.Address(), Message: err.Error()}, Proxies: []proxyStatus{}, Problems: []client.Problem{}}
	}
	switch {
	case c.Output == "json":
		enc := json.NewEncoder(con.Out)
		enc.SetEscapeHTML(false)
		return enc.Encode(status)
	case c.Output == "yaml":
		fmt.Fprintln(con.Out, "---")
	case con.Terminal:
		fmt.Fprint(con.Out, "\x1b[H\x1b[2J\x1b[3J") // home, and clear (ECMA-48, 8.3.21 and 8.3.39)
	default:
		fmt.Fprintf(con.Out, "\n%s\n", time.Now().Format(time.RFC3339))
	}
	return c.print(con, *status)
}

// look asks the server. It gives nil when the server cannot be asked; a server
// that answers and is not ready is both: a status and an error.
func (c *statusCmd) look(ctx context.Context, api *client.Client) (*meshStatus, error) {
	status := meshStatus{Server: serverStatus{Address: api.Address()}, Proxies: []proxyStatus{}, Problems: []client.Problem{}}
	version, err := versionOf(ctx, api)
	if err != nil && mesh.KindOf(err) != mesh.KindNotFound {
		return nil, err
	}
	status.Server.Version = version.Version
	if err := api.Ready(ctx); err != nil {
		status.Server.Message = err.Error()
		return &status, fmt.Errorf("the server is not ready: %w", err)
	}
	status.Server.Ready = true
	if c.Service != "" {
		if _, err := api.Service(ctx, mesh.ServiceName(c.Service)); err != nil {
			if mesh.KindOf(err) == mesh.KindNotFound {
				err = suggest(ctx, api, kindServices, c.Service, err)
			}
			return nil, err
		}
	}
	proxies, err := api.Proxies(ctx)
	if err != nil {
		return nil, err
	}
	problems, err := api.Problems(ctx)
	if err != nil {
		return nil, err
	}
	for _, proxy := range proxies {
		slices.SortFunc(proxy.Types, func(a, b client.ProxyType) int { return strings.Compare(a.Type, b.Type) })
		behind, _ := proxy.Behind()
		if c.Service == "" || string(proxy.Service) == c.Service || strings.HasPrefix(proxy.Node, c.Service+"/") {
			status.Proxies = append(status.Proxies, proxyStatus{Proxy: proxy, Behind: behind})
		}
	}
	for _, problem := range problems {
		if c.Service == "" || concerns(problem.Object, c.Service) {
			status.Problems = append(status.Problems, problem)
		}
	}
	if warnings, err := api.Warnings(ctx); err == nil { // an older server has none
		for _, one := range warnings {
			if c.Service == "" || concerns(one.Object, c.Service) {
				status.Warnings = append(status.Warnings, one)
			}
		}
	}
	if keys, err := api.SigningKeys(ctx); err == nil && (keys.Withdrawn || len(keys.Keys)+len(keys.Authorizers) > 0) {
		status.Tokens = &keys
	}
	if all, err := api.Discovery(ctx); err == nil && len(all.Sources) > 0 { // an older server has none
		for i := range all.Sources {
			all.Sources[i].Skipped = nil // heddle discovery list has them
		}
		status.Discovery = &all
	}
	return &status, nil
}

// versionOf asks what a server answers at once if it answers at all: one that hangs
// is not waited for as long as for a large answer.
func versionOf(ctx context.Context, api *client.Client) (client.Version, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	return api.Version(ctx)
}

// concerns says whether a problem's object is the service or one of its instances.
func concerns(object, service string) bool {
	return object == "service/"+service || strings.HasPrefix(object, "instance/"+service+"/")
}

func (c *statusCmd) print(con *cli.Console, status meshStatus) error {
	if c.Output != "table" {
		return con.Encode(c.Output, status)
	}
	p := con.Palette
	server := status.Server
	state := p.Paint(present.Good, "ready")
	if !server.Ready {
		state = p.Paint(present.Bad, "not ready") + ": " + present.Safe(server.Message)
	}
	if server.Version != "" {
		state += ", " + present.Safe(server.Version)
	}
	fmt.Fprintf(con.Out, "server   %s %s\n", present.Safe(server.Address), state)
	fmt.Fprintf(con.Out, "proxies  %s\n", proxiesLine(p, status.Proxies))
	if status.Tokens != nil {
		fmt.Fprintf(con.Out, "tokens   %s\n", tokensLine(p, *status.Tokens))
	}
	if status.Discovery != nil {
		fmt.Fprintf(con.Out, "machines %s\n", sourcesLine(p, *status.Discovery))
	}
	fmt.Fprintf(con.Out, "problems %s\n", problemsLine(p, status.Problems))
	if len(status.Warnings) > 0 {
		fmt.Fprintf(con.Out, "warnings %d\n", len(status.Warnings))
	}
	rows := rowsOf(status.Proxies)
	left := 0
	if !c.All && c.Service == "" {
		rows, left = cutRows(rows)
	}
	if err := section(con, len(rows), proxiesTable(p, rows)); err != nil {
		return err
	}
	if left > 0 {
		lead := "…and "
		if len(rows) == 0 {
			lead = "\n"
		}
		fmt.Fprintf(con.Out, "%s%s up to date (--all shows them)\n", lead, plural(left, "that is", "that are"))
	}
	rejections(con, rows)
	if err := section(con, len(status.Problems), problemsTable(p, status.Problems)); err != nil {
		return err
	}
	return section(con, len(status.Warnings), warningsTable(p, status.Warnings))
}

func proxiesLine(p present.Palette, proxies []proxyStatus) string {
	behind := 0
	for _, proxy := range proxies {
		if proxy.Behind {
			behind++
		}
	}
	switch {
	case len(proxies) == 0:
		return "none connected"
	case behind > 0:
		return fmt.Sprintf("%d connected, %s", len(proxies), p.Paint(present.Bad, fmt.Sprintf("%d behind", behind)))
	}
	return fmt.Sprintf("%d connected, %s", len(proxies), p.Paint(present.Good, "all up to date"))
}

// tokensLine says which key signs, when the next one begins, and who may be asked.
func tokensLine(p present.Palette, keys client.SigningKeys) string {
	services := plural(len(keys.Authorizers), "AuthZ service is announced", "AuthZ services are announced")
	if len(keys.Authorizers) == 0 {
		services = p.Paint(present.Bad, "no AuthZ service is announced")
	}
	if keys.Withdrawn {
		return p.Paint(present.Bad, "withdrawn") + " (heddle keys publish), " + services
	}
	line := "no key signs"
	for _, key := range keys.Keys {
		switch key.State {
		case "signing":
			line = "key " + present.Safe(key.ID) + " signs"
		case "next":
			line += ", the next from " + key.SignsFrom.Local().Format(time.RFC3339)
		}
	}
	return line + ", " + services
}

func problemsLine(p present.Palette, problems []client.Problem) string {
	if len(problems) == 0 {
		return p.Paint(present.Good, "none")
	}
	return p.Paint(present.Warn, fmt.Sprint(len(problems)))
}
