package main

import (
	"context"
	"fmt"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/present"
)

// releaseCmd takes an object out of its keeper's hands.
type releaseCmd struct {
	Kind string  `arg:"" complete:"kinds" help:"service or route."`
	Name string  `arg:"" complete:"names" help:"Its name."`
	To   *string `placeholder:"KEEPER" help:"The keeper that has it from now on, kubernetes/CLUSTER/NAMESPACE/NAME; left out, nobody in particular."`
}

// Help shows examples below the flags.
func (releaseCmd) Help() string {
	return `What a keeper has – a service that is declared in Kubernetes, say – only that keeper changes. Released, it stays as it is, and whoever has the right may write it again; its former keeper does not take it back by itself. With --to it is handed over to a keeper, which does not take over by itself what exists already: so a service moves into Kubernetes without being deleted. The token has to be an admin's.

Examples:

  heddle release service orders
  heddle release service orders --to kubernetes/prod/shop/orders
  heddle release route shop`
}

// Run releases the object.
func (c *releaseCmd) Run(ctx context.Context, api *client.Client, con *cli.Console) error {
	kind, err := parseKind(c.Kind)
	if err != nil {
		return err
	}
	keeper, err := cli.NotEmpty("--to", c.To, "name a keeper, or leave it out for nobody in particular")
	if err != nil {
		return err
	}
	to := mesh.Keeper(keeper)
	switch kind {
	case kindServices, kindUpstreams:
		_, err = api.ReleaseService(ctx, mesh.ServiceName(c.Name), to)
	case kindRoutes:
		_, err = api.ReleaseRoute(ctx, mesh.RouteName(c.Name), to)
	default:
		return &cli.UsageError{Message: "keepers have services and routes to release; what instances there are of a service its keeper says, and they go with the service"}
	}
	if err != nil {
		return err
	}
	whose := "nobody in particular keeps it now"
	if to != "" {
		whose = "it is kept by " + string(to) + " now"
	}
	fmt.Fprintf(con.Out, "%s %s released: %s\n", present.Safe(c.Kind), present.Safe(c.Name), present.Safe(whose))
	return nil
}
