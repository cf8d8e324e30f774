package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/present"
)

type discoveryRefreshCmd struct {
	Source  string        `arg:"" complete:"sources" help:"The source's name, as heddle discovery list shows it."`
	Wait    bool          `help:"Wait until it is done, and say what changed or failed."`
	Timeout time.Duration `default:"2m" help:"For how long to wait."`
}

// Help shows examples below the flags.
func (discoveryRefreshCmd) Help() string {
	return `The server that refreshes the source does so within a second or two, or once a refresh that is under way has ended. Each server can be asked for it every 10 seconds, and not while the source wants to be left alone (Retry-After). The token has to be an admin's.

Examples:

  heddle discovery refresh azure-prod
  heddle discovery refresh azure-prod --wait --timeout 5m`
}

// Run asks for a refresh, and may wait for it.
func (c *discoveryRefreshCmd) Run(ctx context.Context, api *client.Client, con *cli.Console) error {
	if c.Wait && c.Timeout <= 0 {
		return invalid(fmt.Errorf("--timeout is how long to wait: give it more than 0"))
	}
	asked, err := api.RefreshSource(ctx, c.Source)
	if err != nil {
		return err
	}
	if !c.Wait {
		fmt.Fprintf(con.Out, "asked for a refresh of source %s\n", present.Safe(c.Source))
		return nil
	}
	for end := time.Now().Add(c.Timeout); ; {
		all, err := api.Discovery(ctx)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(all.Sources, func(one mesh.DiscoveryReport) bool { return one.Name == c.Source })
		switch {
		case at >= 0 && all.Sources[at].Answered >= asked.Asked:
			return toldOf(&all.Sources[at], con)
		case time.Now().After(end):
			return &cli.Hinted{Err: mesh.Unavailable(nil, "source %q was asked to be refreshed, and after %s it is not done", c.Source, c.Timeout), Hint: "a refresh of a large source takes minutes, and a server that takes over seconds: heddle discovery list"}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// toldOf says what a refresh came to.
func toldOf(one *mesh.DiscoveryReport, con *cli.Console) error {
	fmt.Fprintf(con.Out, "source %s is refreshed: %s, %d new or changed, %d gone\n", present.Safe(one.Name), plural(one.VMs, "machine", "machines"), one.Written, one.Removed)
	if one.Failing == "" {
		return nil
	}
	return &cli.Hinted{Err: mesh.Unavailable(nil, "source %q: %s: %s", one.Name, one.Kept(), one.Failing), Hint: "heddle discovery list"}
}
