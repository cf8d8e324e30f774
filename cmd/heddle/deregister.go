package main

import (
	"context"
	"fmt"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/present"
)

// deregisterCmd removes one instance, or the stale ones of a service.
type deregisterCmd struct {
	Service string  `arg:"" complete:"services" help:"The service."`
	ID      string  `arg:"" optional:"" complete:"instance" help:"The instance."`
	Epoch   *string `placeholder:"EPOCH" help:"Only this registration, as register -o json and get instances -o wide show it; left out, whichever there is."`
	Stale   bool    `help:"Instead of one instance, all those of the service that are stale."`
}

// Help shows examples below the usage.
func (deregisterCmd) Help() string {
	return `Its callers stop using it at once. What still renews it is told that it is gone.

Stale are instances whose leases ended, most of the service's within a minute: they stay in use, since they are more likely cut off from the server than dead. "heddle get instances" marks them, as in "healthy,stale". Once you know that they are dead, --stale removes them; one that registers again meanwhile stays. A service that has no others is empty then, and its callers get a 503.

Examples:

  heddle deregister orders orders-2
  heddle deregister orders --stale`
}

// Run removes what it was told to.
func (c *deregisterCmd) Run(ctx context.Context, api *client.Client, con *cli.Console) error {
	switch {
	case c.Stale && (c.ID != "" || c.Epoch != nil):
		return &cli.UsageError{Message: "--stale means all stale instances of the service: give either that or one instance"}
	case c.Stale:
		return c.stale(ctx, api, con)
	case c.ID == "":
		return &cli.UsageError{Message: "say which instance: \"heddle deregister SERVICE ID\", or --stale for all that are stale"}
	}
	key := mesh.InstanceKey{Service: mesh.ServiceName(c.Service), ID: mesh.InstanceID(c.ID)}
	epoch, err := cli.NotEmpty("--epoch", c.Epoch, "give the epoch of the registration, or leave it out for whichever there is")
	if err != nil {
		return err
	}
	err = api.Deregister(ctx, key, epoch)
	if mesh.KindOf(err) == mesh.KindNotFound {
		return suggest(ctx, api, kindInstances, key.String(), err)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(con.Out, "instance/%s deregistered\n", present.Safe(key.String()))
	return nil
}

func (c *deregisterCmd) stale(ctx context.Context, api *client.Client, con *cli.Console) error {
	gone, err := api.DeregisterStale(ctx, mesh.ServiceName(c.Service))
	if err != nil {
		return err
	}
	if len(gone) == 0 {
		fmt.Fprintf(con.Out, "%s has no stale instances\n", present.Safe(c.Service))
		warnUndeclared(ctx, api, con, c.Service, "")
		return nil
	}
	ids := make([]string, len(gone))
	for i := range gone {
		ids[i] = string(gone[i].ID)
	}
	fmt.Fprintf(con.Out, "%s of %s deregistered: %s\n", plural(len(gone), "stale instance", "stale instances"), present.Safe(c.Service), present.Safe(present.CutList(ids)))
	return nil
}
