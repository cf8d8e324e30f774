package main

import "time"

// registerCmd registers one instance.
type registerCmd struct {
	Service string            `arg:"" complete:"services" help:"The service that it is a copy of."`
	ID      string            `required:"" placeholder:"ID" help:"Unique among the instances of the service."`
	Address string            `required:"" placeholder:"IP" help:"The IP address where callers reach it."`
	Port    int               `required:"" placeholder:"PORT" help:"The port there."`
	TTL     time.Duration     `name:"ttl" default:"30s" help:"How long the registration lives without being renewed."`
	Weight  int               `placeholder:"N" help:"Its share of the traffic beside the others; default 1."`
	Region  string            `placeholder:"NAME" help:"Where it runs."`
	Zone    string            `placeholder:"NAME" help:"Where it runs."`
	Label   map[string]string `placeholder:"KEY=VALUE" mapsep:"none" help:"A label, for subsets. May be repeated."`
	Keep    bool              `help:"Stay, renew the registration, and deregister it on Ctrl-C."`
}

// Help shows examples below the flags.
func (registerCmd) Help() string {
	return `Without --keep the registration ends with its lease, unless something renews it.

Examples:

  heddle register orders --id orders-1 --address 10.0.0.7 --port 8080 --keep
  heddle register orders --id orders-2 --address 10.0.0.8 --port 8080 --label version=v2 --ttl 10m`
}
