package main

import (
	"context"
	"fmt"
	"net"
	"os"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/demo/hosts"
	"github.com/heddle-mesh/heddle/internal/demo/shop"
	"github.com/heddle-mesh/heddle/internal/proxy/haproxy"
)

// demoHostsCmd runs a fleet of hosts on this machine.
type demoHostsCmd struct {
	Stay          bool   `help:"Start the hosts, say what to try, and stay until Ctrl-C; no scenario is played."`
	JSON          bool   `name:"json" help:"The result as one JSON object on standard output; progress goes to standard error."`
	WithoutDocker bool   `help:"Services are plain processes that agents know from files: for a machine without Docker."`
	Proxy         string `enum:"envoy,haproxy" default:"envoy" help:"What serves each host: envoy or haproxy."`
	HAProxy       string `name:"haproxy" env:"HEDDLE_HAPROXY" placeholder:"PATH" help:"The HAProxy to run with --proxy haproxy, 2.6 or later. Default: haproxy on PATH, else /usr/sbin/haproxy."`
	Envoy         string `env:"HEDDLE_ENVOY" placeholder:"PATH" help:"The Envoy to run. Default: envoy on PATH, else .tools/envoy/envoy in or above the folder of heddle or the current one."`
}

// Help shows examples below the flags.
func (*demoHostsCmd) Help() string {
	return `Starts an ingress host and three backend hosts as network namespaces of this machine, each with heddle agent and its Envoy, or HAProxy; each backend has a container engine of its own, with two services over HTTP and one over TCP. While requests come to the ingress host all the time, a container is stopped and started, a host is cut off and found again, an agent is ended and started again, a host loses its power and another is added. A table says how long the ingress host took to know of each change, and what became of requests. It ends with 0 only if no request failed, other than those under way at what was cut off. It takes about a minute, and 2 GB of memory.

Needs Linux and root (sudo), and docker.io and iptables, or --without-docker. Nothing listens beyond this machine, and at its end, also by Ctrl-C, nothing is left of it; what a kill -9 leaves the next run removes.

Examples:
  heddle demo hosts                     play the scenario
  heddle demo hosts --stay              start the hosts, and read on the screen what to try
  heddle demo hosts --without-docker    with plain processes instead of containers
  heddle demo hosts --proxy haproxy     with HAProxy in place of Envoy
  heddle demo hosts --json > result.json`
}

// Run runs the demo.
func (c *demoHostsCmd) Run(ctx context.Context, con *cli.Console) error {
	if c.JSON && c.Stay {
		return &cli.UsageError{Message: "--json and --stay exclude each other: only the scenario has a result"}
	}
	config, err := c.programs()
	if err != nil {
		return err
	}
	hurry, forget := secondSignal()
	defer forget()
	config.WithoutDocker, config.Stay, config.JSON = c.WithoutDocker, c.Stay, c.JSON
	config.Hurry, config.Out, config.Err = hurry, con.Out, con.Err
	return hosts.Run(ctx, config)
}

// programs are those that hosts run.
func (c *demoHostsCmd) programs() (config hosts.Config, err error) {
	if c.Proxy != "haproxy" {
		config.Heddle, config.Envoy, err = demoPrograms(c.Envoy)
		return config, err
	}
	if config.Heddle, err = os.Executable(); err != nil {
		return config, fmt.Errorf("find the heddle binary: %w", err)
	}
	config.HAProxy, err = haproxy.Find(c.HAProxy)
	return config, err
}

// demoWhoamiCmd is what runs on the demo's hosts.
type demoWhoamiCmd struct {
	Service  string `required:"" help:"Its name."`
	Instance string `required:"" help:"Which copy of it this is."`
	Listen   string `required:"" placeholder:"[HOST]:PORT" help:"Where it answers."`
	TCP      bool   `name:"tcp" help:"Each line over plain TCP, instead of each request over HTTP."`
}

// Run answers who it is until a signal ends it.
func (c *demoWhoamiCmd) Run(ctx context.Context) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return err
	}
	return shop.Whoami(shop.Identity{Service: c.Service, Instance: c.Instance}, c.TCP).Serve(ctx, l)
}
