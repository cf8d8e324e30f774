package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/manifest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/present"
)

// registerCmd registers one instance.
type registerCmd struct {
	Service string            `arg:"" complete:"services" help:"The service that it is a copy of."`
	ID      string            `required:"" placeholder:"ID" help:"Unique among the instances of the service."`
	Address string            `required:"" placeholder:"IP" help:"The IP address where callers reach it."`
	Port    int               `required:"" placeholder:"PORT" help:"The port there."`
	TTL     time.Duration     `name:"ttl" default:"30s" help:"How long the registration lives without being renewed: 2s to 24h."`
	Weight  int               `placeholder:"N" help:"Its share of the traffic beside the others; default 1."`
	Region  string            `placeholder:"NAME" help:"Where it runs." empty:"fine"`
	Zone    string            `placeholder:"NAME" help:"Where it runs." empty:"fine"`
	Label   map[string]string `placeholder:"KEY=VALUE" mapsep:"none" help:"A label, for subsets. May be repeated."`
	MTLS    bool              `name:"mtls" help:"The Envoy at the address has an identity (heddle bootstrap --identity-dir) and takes mutual TLS."`
	Output  string            `short:"o" enum:"lines,json,yaml" default:"lines" help:"lines, json or yaml: the instance with its epoch."`
	Keep    bool              `help:"Stay, renew the registration, and deregister it on Ctrl-C."`
}

// Help shows examples below the flags.
func (registerCmd) Help() string {
	return `Without --keep the registration ends with its lease, unless something renews it.

When most instances of a service lose their leases within a minute, they stay in use, marked stale: the likelier cause is that they are cut off from the server. For a service of one instance that is always so. A stale instance goes when it is registered again, when most of the others are back, or by "heddle deregister SERVICE --stale".

Examples:

  heddle register orders --id orders-1 --address 10.0.0.7 --port 8080 --keep
  heddle register orders --id orders-2 --address 10.0.0.8 --port 8080 --label version=v2 --ttl 10m`
}

// Run registers the instance and, if asked to, keeps it.
func (c *registerCmd) Run(ctx context.Context, api *client.Client, con *cli.Console, log *slog.Logger) error {
	instance := mesh.Instance{
		ID: mesh.InstanceID(c.ID), Service: mesh.ServiceName(c.Service),
		Address: c.Address, Port: mesh.Port(c.Port), Weight: c.Weight, Labels: c.Label, MTLS: c.MTLS,
		Locality: mesh.Locality{Region: c.Region, Zone: c.Zone},
	}
	if err := mesh.Invalid("register "+instance.Key().String(), instance.Validate()); err != nil {
		return err
	}
	if c.TTL <= 0 {
		return &cli.UsageError{Message: "--ttl has to be longer than nothing"}
	}
	registered, err := registerOne(ctx, api, instance, c.TTL)
	if err != nil {
		return err
	}
	warnUndeclared(ctx, api, con, c.Service, ", so that nobody calls this instance until one is")
	if c.Output == "lines" {
		fmt.Fprintf(con.Out, "instance/%s registered for %s\n", instance.Key(), present.Age(c.TTL))
	} else if err := con.Encode(c.Output, manifest.Of(registered)); err != nil {
		return err
	}
	if !c.Keep {
		return nil
	}
	k := keeper{api: api, log: log, instance: instance, ttl: c.TTL, epoch: registered.Epoch}
	return k.keep(ctx)
}

// warnUndeclared tells when no service has the name, and what follows: a
// declaration may come later, but more often the name is mistyped.
func warnUndeclared(ctx context.Context, api *client.Client, con *cli.Console, name, consequence string) {
	_, err := api.Service(ctx, mesh.ServiceName(name))
	if mesh.KindOf(err) != mesh.KindNotFound {
		return
	}
	guess := ""
	var advice *cli.Hinted
	if errors.As(suggest(ctx, api, kindServices, name, err), &advice) {
		guess = "; " + advice.Hint
	}
	fmt.Fprintf(con.Err, "warning: no service %q is declared%s%s\n", name, consequence, present.Safe(guess))
}

func registerOne(ctx context.Context, api *client.Client, instance mesh.Instance, ttl time.Duration) (mesh.Instance, error) {
	registered, err := api.Register(ctx, []mesh.Instance{instance}, ttl)
	if err != nil {
		return mesh.Instance{}, err
	}
	if len(registered) != 1 {
		return mesh.Instance{}, fmt.Errorf("register %s: the server answered with %d instances", instance.Key(), len(registered))
	}
	return registered[0], nil
}
