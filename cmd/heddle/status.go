package main

import "time"

// statusCmd shows how the mesh is.
type statusCmd struct {
	Service  string        `arg:"" optional:"" help:"Only this service."`
	Watch    bool          `short:"w" help:"Show it again and again."`
	Interval time.Duration `default:"2s" help:"Pause between two looks with --watch."`
	Output   string        `short:"o" enum:"table,json,yaml" default:"table" help:"table, json or yaml."`
}
