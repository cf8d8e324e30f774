package main

// getCmd shows objects.
type getCmd struct {
	Kind   string   `arg:"" help:"services, instances, routes or runtime (also: service, svc, instance, inst, route, rt)."`
	Names  []string `arg:"" optional:"" name:"name" help:"Only these; an instance is SERVICE/ID, or SERVICE for all of its instances."`
	Output string   `short:"o" enum:"table,json,yaml" default:"table" help:"table, json or yaml."`
}
