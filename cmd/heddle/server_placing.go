package main

import (
	"context"
	"os"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/placement"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// placingNode makes virtual machines instances of services in the term of this server. All
// servers stand for that, with and without sources of their own, as long as a service
// wants machines or has some; otherwise none does, and it costs nothing.
type placingNode struct {
	node    *serverNode
	metrics *placement.Metrics
}

func newPlacingNode(n *serverNode) *placingNode {
	return &placingNode{node: n, metrics: placement.NewMetrics(n.prom)}
}

// name tells this server from others.
func (n *serverNode) name() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return host + "/" + n.restListener.Addr().String()
}

// run stands for the office while there is something to place.
func (p *placingNode) run(ctx context.Context) {
	for p.awaits(ctx, true) {
		standing, resign := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			p.node.store.Lead(standing, registry.PlacingOffice, p.node.name(), p.lead)
		}()
		p.awaits(ctx, false)
		resign()
		<-done
	}
}

// awaits waits until there is something to place, or nothing is, and says false if ctx
// ended instead.
func (p *placingNode) awaits(ctx context.Context, placeable bool) bool {
	feed := p.node.catalog.Subscribe()
	defer feed.Close()
	for {
		view, _, err := feed.Wait(ctx)
		if err != nil {
			return false
		}
		if view.Synced() && view.Placeable() == placeable {
			return true
		}
	}
}

// lead places until the term ends.
func (p *placingNode) lead(ctx context.Context, term registry.Term) {
	report := &placingReport{node: p.node, term: term, latest: make(chan []mesh.UnwrittenSet, 1)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		report.run(ctx)
	}()
	placement.New(placement.Config{
		Catalog: p.node.catalog, Keeper: vmKeeper{p.node.store, term}, Faults: report.put, Metrics: p.metrics, Logger: p.node.logger,
	}).Run(ctx)
	<-done
}

// placingReport tells all servers of what could not be written.
type placingReport struct {
	node   *serverNode
	term   registry.Term
	latest chan []mesh.UnwrittenSet // capacity one: an older one gives way
}

func (r *placingReport) put(list []mesh.UnwrittenSet) {
	select {
	case <-r.latest:
	default:
	}
	r.latest <- list
}

// run writes what is put. What cannot be written is tried again, and this server's own
// log has it meanwhile.
func (r *placingReport) run(ctx context.Context) {
	var list []mesh.UnwrittenSet
	var again <-chan time.Time
	written := 0
	for {
		select {
		case <-ctx.Done():
			return
		case list = <-r.latest:
		case <-again:
		}
		if again = nil; len(list)+written == 0 {
			continue // as it is
		}
		kept := list[:min(len(list), mesh.MostPlacingFaults)]
		if err := r.node.store.WritePlacing(ctx, r.term, mesh.Placing{Server: r.node.name(), Faults: kept, More: len(list) - len(kept)}); err != nil {
			r.node.logger.Warn("that machines could not be written cannot be told to the other servers either", "error", err)
			again = time.After(catchUp)
			continue
		}
		written = len(list)
	}
}

// vmKeeper is the registry in a term, for placing.
type vmKeeper struct {
	store *registry.Store
	term  registry.Term
}

// Keep writes a set as the source's own.
func (k vmKeeper) Keep(ctx context.Context, service mesh.ServiceName, source string, list []mesh.Instance) (placement.Written, error) {
	kept, err := k.store.KeepInstances(ctx, service, list, k.write(source))
	return placement.Written{Revision: kept.Revision, Base: kept.Base}, err
}

// Change writes what differs from a set.
func (k vmKeeper) Change(ctx context.Context, service mesh.ServiceName, source string, change mesh.KeptChange) (placement.Written, error) {
	kept, err := k.store.ChangeKept(ctx, service, change, k.write(source))
	return placement.Written{Revision: kept.Revision, Base: kept.Base}, err
}

func (k vmKeeper) write(source string) registry.Write {
	keeper := mesh.OfVMs(source)
	return registry.Write{Author: "discovery", Source: keeper.Source(), Keeper: keeper, Term: k.term}
}
