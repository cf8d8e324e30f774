package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/manifest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/present"
)

// getCmd shows objects.
type getCmd struct {
	Kind   string   `arg:"" complete:"shown" help:"services, instances, routes, upstreams (services behind DNS names or fixed addresses), vms (virtual machines that sources of discovery found) or runtime; also in the singular, or svc, inst, rt, up."`
	Names  []string `arg:"" optional:"" name:"name" complete:"names" help:"Only these; an instance is SERVICE/ID, or SERVICE for all of its instances; a VM is called by its name, its ID or its instance's."`
	Output string   `short:"o" enum:"table,wide,json,yaml,name" default:"table" help:"table, wide (more columns), json, yaml (apply takes both back) or name (one a line)."`
}

// Help shows examples below the flags.
func (getCmd) Help() string {
	return `Dependencies and backends that nobody has declared yet are marked "?", dependencies whose owners have not approved the service yet "!" (heddle approve). With -o json, one object that was named is written alone, everything else as a list.

Examples:

  heddle get services
  heddle get service web -o yaml
  heddle get instances orders
  heddle get instance orders/orders-1 -o json
  heddle get upstreams -o wide
  heddle get vms
  heddle get services -o json | jq -r '.[].name'`
}

// Run asks for the objects and prints them.
func (c *getCmd) Run(ctx context.Context, api *client.Client, con *cli.Console) error {
	if isVMs(c.Kind) {
		return c.vms(ctx, api, con)
	}
	kind, err := parseKind(c.Kind)
	if err != nil {
		return err
	}
	var held holding
	if len(c.Names) > 0 {
		held, err = pick(ctx, api, kind, c.Names)
		if len(held.objects) == 0 && err != nil {
			return err
		}
	} else if held, err = list(ctx, api, kind); err != nil {
		return err
	}
	if failed := c.print(ctx, api, con, kind, held); failed != nil {
		return failed
	}
	return err // what was missing
}

func (c *getCmd) print(ctx context.Context, api *client.Client, con *cli.Console, kind string, held holding) error {
	alone := len(c.Names) == 1 && (kind != kindInstances || strings.Contains(c.Names[0], "/"))
	switch c.Output {
	case "json":
		return manifest.JSON(con.Out, held.objects, alone || kind == kindRuntime)
	case "yaml":
		return manifest.YAML(con.Out, held.objects)
	case "name":
		for i := range held.objects {
			fmt.Fprintln(con.Out, &held.objects[i])
		}
		return nil
	}
	wide := c.Output == "wide"
	var table *present.Table
	switch kind {
	case kindServices:
		instances, err := api.Instances(ctx, "")
		if err != nil {
			return err
		}
		table = servicesTable(con.Palette, wide, held, instances)
	case kindUpstreams:
		table = upstreamsTable(con.Palette, wide, held.objects)
	case kindInstances:
		table = instancesTable(con.Palette, wide, held.objects)
	case kindRoutes:
		services, err := api.Services(ctx)
		if err != nil {
			return err
		}
		held.declared = map[mesh.ServiceName]bool{}
		for _, s := range services {
			held.declared[s.Name] = true
		}
		table = routesTable(con.Palette, wide, held)
	default:
		table = runtimeTable(con.Palette, *held.objects[0].Runtime)
	}
	if len(held.objects) == 0 {
		fmt.Fprintf(con.Err, "no %s\n", kind)
		return nil
	}
	return table.Write(con.Out)
}

// tallies counts the instances of each service, and those of them that take requests.
func tallies(instances []mesh.Instance) (all, healthy map[mesh.ServiceName]int) {
	all, healthy = map[mesh.ServiceName]int{}, map[mesh.ServiceName]int{}
	for _, i := range instances {
		all[i.Service]++
		if i.Health == mesh.Healthy || i.Health == "" {
			healthy[i.Service]++
		}
	}
	return all, healthy
}
