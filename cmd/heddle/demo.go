package main

import (
	"context"
	"fmt"
	"os"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/demo"
	"github.com/heddle-mesh/heddle/internal/proxy"
)

// demoCommands are the demos: the sample mesh, which runs if nothing else is named, and hosts.
type demoCommands struct {
	Shop   demoCmd       `cmd:"" default:"withargs" help:"Run a sample mesh with a server, and a real Envoy beside each service. The default."`
	Hosts  demoHostsCmd  `cmd:"" help:"Run a fleet of hosts without a server, and cut off, kill and add some under load."`
	Whoami demoWhoamiCmd `cmd:"" hidden:"" help:"What runs on the hosts of heddle demo hosts."`
}

// Help shows examples below the commands.
func (demoCommands) Help() string {
	return "Examples:\n\n  heddle demo                   start the sample mesh, and read on the screen what to try; heddle demo shop --help says more\n  heddle demo --once            play its scenario, in well under a minute\n  sudo heddle demo hosts        play the scenario of a fleet of hosts"
}

// demoCmd runs a sample mesh on this machine.
type demoCmd struct {
	Once     bool   `help:"Play the scenario with requests flowing all the time, say how each check went, and end: with 0 only if every check passed and no request failed."`
	JSON     bool   `name:"json" help:"With --once: the result as one JSON object on standard output; progress goes to standard error."`
	Envoy    string `env:"HEDDLE_ENVOY" placeholder:"PATH" help:"The Envoy to run. Default: envoy on PATH, else .tools/envoy/envoy in or above the folder of heddle or the current one."`
	BasePort int    `placeholder:"PORT" help:"Use the 64 ports from this one on. Default: ports that are free."`
	KeepData string `type:"path" placeholder:"DIR" help:"Keep the registry's data and all logs in this folder: a new one, an empty one, or one that a demo made. Default: a temporary one, removed at the end."`
}

// Help shows examples below the flags.
func (*demoCmd) Help() string {
	return `Starts a server with embedded etcd, two AuthZ services and a small shop: web → orders → payments over HTTP, two instances each, orders → stock over gRPC, payments → ledger over TCP; each instance stands behind a real Envoy run by heddle proxy. All have identities, and take nothing but mutual TLS and tokens of the mesh. From outside a gateway leads to web, over HTTPS and for users who prove who they are; an issuer inside the demo stands in for Cloudflare Access. It prints what to try, and stays until Ctrl-C, which leaves nothing behind; a second Ctrl-C hurries. Several demos run side by side.

It is a demo: its certificates and tokens are its own, and nothing of it listens beyond this machine.

Examples:
  heddle demo                                    start it, and read on the screen what to try
  heddle demo --once                             play the scenario, in well under a minute
  heddle demo --once --json > result.json        the same for scripts
  heddle demo --base-port 20000 --keep-data ./demo-data`
}

// Run runs the demo.
func (c *demoCmd) Run(ctx context.Context, con *cli.Console) error {
	if c.JSON && !c.Once {
		return &cli.UsageError{Message: "--json needs --once: only the scenario has a result"}
	}
	if err := demo.CheckBasePort(c.BasePort); err != nil {
		return &cli.UsageError{Message: "--base-port: " + err.Error()}
	}
	self, envoy, err := demoPrograms(c.Envoy)
	if err != nil {
		return err
	}
	hurry, forget := secondSignal()
	defer forget()
	return demo.Run(ctx, demo.Config{
		Heddle: self, Hurry: hurry, Envoy: envoy, BasePort: c.BasePort, DataDir: c.KeepData,
		Once: c.Once, JSON: c.JSON, Out: con.Out, Err: con.Err,
	})
}

// demoPrograms are what a demo runs: this program, and an Envoy.
func demoPrograms(envoy string) (self, found string, err error) {
	if self, err = os.Executable(); err != nil {
		return "", "", fmt.Errorf("find the heddle binary: %w", err)
	}
	found, err = proxy.FindEnvoy(envoy)
	return self, found, err
}
