package main

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/heddle-mesh/heddle/internal/discovery"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// concernGap is how often this server looks at its settings and those of the one that leads.
const concernGap = 2 * time.Second

// sourceConcerns are what is wrong with the sources in this server's settings.
type sourceConcerns struct {
	now atomic.Pointer[[]mesh.DiscoveryConcern]
}

func (c *sourceConcerns) told() []mesh.DiscoveryConcern {
	if all := c.now.Load(); all != nil {
		return *all
	}
	return nil
}

// concernedSource can be in trouble of its own, apart from listing.
type concernedSource interface {
	Concern() error
}

// mind keeps the concerns, and logs each once when it comes and when it ends.
func (d *discoveryNode) mind(ctx context.Context) {
	tick := time.NewTicker(concernGap)
	defer tick.Stop()
	for {
		d.look()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (d *discoveryNode) look() {
	view := d.node.catalog.View()
	if !view.Synced() || view.Roster().Server == "" { // another takes over, and what differs will be told then
		return
	}
	all := discovery.Differences(d.server, d.sources, view.Roster())
	for _, source := range d.sources {
		concerned, is := source.Lister.(concernedSource)
		if !is {
			continue
		}
		if err := concerned.Concern(); err != nil {
			all = append(all, mesh.DiscoveryConcern{Source: source.Name, Server: d.server, Message: "on server " + d.server + " " + err.Error()})
		}
	}
	before := d.concerns.told()
	for _, one := range all {
		if !slices.Contains(before, one) {
			d.node.logger.Warn("something is wrong with a source of machines in this server's settings", "source", one.Source, "what", one.Message)
		}
	}
	for _, one := range before {
		if !slices.Contains(all, one) {
			d.node.logger.Info("what was wrong with a source of machines in this server's settings has ended, or changed", "source", one.Source, "what", one.Message)
		}
	}
	d.concerns.now.Store(&all)
}
