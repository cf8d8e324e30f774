package main

import "time"

// registerCmd registers one instance.
type registerCmd struct {
	Service string            `arg:"" help:"The service that it is a copy of."`
	ID      string            `required:"" help:"Unique among the instances of the service."`
	Address string            `required:"" help:"The IP address where callers reach it."`
	Port    int               `required:"" help:"The port there."`
	TTL     time.Duration     `name:"ttl" default:"30s" help:"How long the registration lives without being renewed."`
	Weight  int               `help:"Its share of the traffic beside the others."`
	Region  string            `help:"Where it runs."`
	Zone    string            `help:"Where it runs."`
	Label   map[string]string `placeholder:"KEY=VALUE" mapsep:"none" help:"A label, for subsets. May be repeated."`
	Keep    bool              `help:"Stay, renew the registration, and deregister it on Ctrl-C."`
}
