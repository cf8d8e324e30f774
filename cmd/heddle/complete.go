package main

import (
	"github.com/heddle-mesh/heddle/cmd/internal/completion"
)

// completionCmd prints a shell script.
type completionCmd struct{ completion.Command }

// Help shows examples below the usage.
func (c completionCmd) Help() string {
	return c.Command.Help() + `

Names of services, instances and routes are completed too while the server can be reached.`
}

// nameSource asks the mesh for names. what is "services", "instances",
// "instances of SERVICE", "routes", "tokens", "nodes", "vms" or "sources".
type nameSource func(server, what string) []string

// values gives what kong's model does not say that a flag or an argument may be: kinds, or
// names in the mesh.
func (names nameSource) values(asked completion.Asked) []string {
	mesh := func(what string) []string { return names(asked.Flags["server"], what) }
	given := asked.Positionals
	switch asked.What {
	case "kinds":
		return []string{kindServices, kindInstances, kindRoutes, kindUpstreams, kindRuntime}
	case "shown":
		return []string{kindServices, kindInstances, kindRoutes, kindUpstreams, kindVMs, kindRuntime}
	case "deletable":
		return []string{"service", "route", "upstream", "instance"}
	case "kept":
		return []string{"service", "route", "upstream", "runtime"}
	case "names":
		if kind := kindGiven(given); kind != "" && kind != "runtime" {
			return mesh(kind)
		}
		return nil
	case "instance":
		if len(given) > 0 {
			return mesh("instances of " + given[0])
		}
		return nil
	default: // services, routes, tokens, nodes
		return mesh(asked.What)
	}
}

// kindGiven is the kind that the first argument names, in the plural.
func kindGiven(positionals []string) string {
	if len(positionals) == 0 {
		return ""
	}
	if isVMs(positionals[0]) {
		return kindVMs
	}
	kind, _ := parseKind(positionals[0])
	return kind
}
