package main

import "time"

// statusCmd shows how the mesh is.
type statusCmd struct {
	Service  string        `arg:"" optional:"" complete:"services" help:"Only this service."`
	Watch    bool          `short:"w" help:"Show it again and again, until Ctrl-C."`
	Interval time.Duration `default:"2s" help:"Pause between two looks with --watch."`
	Output   string        `short:"o" enum:"table,json,yaml" default:"table" help:"table, json or yaml."`
}

// Help shows examples below the flags.
func (statusCmd) Help() string {
	return `Shows whether the server is ready; for each proxy whether it is connected, what it was sent and what it acknowledged, what it refused and since when it is behind; and what is wrong: objects set aside because they cannot be read, dependencies that nobody declares, subsets without instances.

Examples:

  heddle status
  heddle status orders
  heddle status --watch
  heddle status -o json | jq '.problems'`
}
