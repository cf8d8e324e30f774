package main

// getCmd shows objects.
type getCmd struct {
	Kind   string   `arg:"" complete:"kinds" help:"services, instances, routes or runtime (or in the singular, or svc, inst, rt)."`
	Names  []string `arg:"" optional:"" name:"name" complete:"names" help:"Only these; an instance is SERVICE/ID, or SERVICE for all of its instances."`
	Output string   `short:"o" enum:"table,wide,json,yaml,name" default:"table" help:"table, wide (more columns), json, yaml (apply takes both back) or name (one a line)."`
}

// Help shows examples below the flags.
func (getCmd) Help() string {
	return `With -o json, one object that was named is written alone, everything else as a list.

Examples:

  heddle get services
  heddle get service web -o yaml
  heddle get instances orders
  heddle get instance orders/orders-1 -o json
  heddle get services -o json | jq -r '.[].name'`
}
