package main

import (
	"context"
	"fmt"
	"time"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/present"
)

// revocationCmd groups what is done about certificates that are not to be trusted.
type revocationCmd struct {
	Create revocationCreateCmd `cmd:"" help:"Revoke the certificates of a service, a gateway or one workload."`
	List   revocationListCmd   `cmd:"" help:"List whose certificates are revoked."`
	Delete revocationDeleteCmd `cmd:"" help:"Take a revocation back."`
}

// Help shows examples below the commands.
func (revocationCmd) Help() string {
	return "Example:\n\n  heddle revocation create service/orders"
}

type revocationCreateCmd struct {
	Of string `arg:"" help:"service/NAME, gateway/NAME or heddle/authz, for all who joined as it until now, or workload/NAME, as the server's audit log names it where the certificate was issued."`
}

// Help shows examples below the usage.
func (revocationCreateCmd) Help() string {
	return `Certificates that are revoked are not renewed, write no instances and open no xDS streams; open streams end within seconds. Other proxies take them until they expire (heddle server --identity-lifetime, an hour by default). The join tokens of the service or gateway end too; those who are to come back join anew, with new ones, and with an empty --identity-dir.

Examples:

  heddle revocation create service/orders
  heddle revocation create workload/6920a1b40c5be1f372`
}

type revocationListCmd struct {
	Output string `short:"o" enum:"table,json,yaml" default:"table" help:"table, json or yaml."`
}

// Help shows examples below the flags.
func (revocationListCmd) Help() string { return "Example:\n\n  heddle revocation list" }

type revocationDeleteCmd struct {
	Of string `arg:"" help:"As heddle revocation list shows it."`
}

// Help shows examples below the usage.
func (revocationDeleteCmd) Help() string {
	return "Example:\n\n  heddle revocation delete service/orders"
}

// Run revokes.
func (c *revocationCreateCmd) Run(ctx context.Context, api *client.Client, con *cli.Console) error {
	made, err := api.Revoke(ctx, c.Of)
	if err != nil {
		return err
	}
	fmt.Fprintf(con.Out, "%s revoked, for all certificates of those who joined until %s\n", present.Safe(made.Of), made.At.Local().Format(time.RFC3339))
	return nil
}

// Run lists the revocations.
func (c *revocationListCmd) Run(ctx context.Context, api *client.Client, con *cli.Console) error {
	all, err := api.Revocations(ctx)
	if err != nil {
		return err
	}
	if c.Output != "table" {
		return con.Encode(c.Output, append([]mesh.Revocation{}, all...))
	}
	table := present.NewTable(con.Palette, "OF", "JOINED UNTIL", "AUTHOR")
	for _, one := range all {
		table.Add(present.Text(one.Of, one.At.Local().Format(time.RFC3339), one.Meta.Author)...)
	}
	return table.Write(con.Out)
}

// Run takes it back.
func (c *revocationDeleteCmd) Run(ctx context.Context, api *client.Client, con *cli.Console) error {
	if err := api.Unrevoke(ctx, c.Of); err != nil {
		return err
	}
	fmt.Fprintf(con.Out, "%s is not revoked any more\n", present.Safe(c.Of))
	return nil
}
