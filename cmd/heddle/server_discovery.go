package main

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/discovery"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// discoveryNode finds virtual machines in the term of this server; others wait for it.
type discoveryNode struct {
	sources []discovery.Source
	server  string
	metrics *discovery.Metrics
	node    *serverNode
	waking  []func(context.Context) // for what clouds have told

	concerns sourceConcerns
}

func newDiscoveryNode(n *serverNode, sources []discovery.Source) *discoveryNode {
	d := &discoveryNode{sources: sources, server: n.name(), metrics: discovery.NewMetrics(n.prom), node: n}
	for _, one := range sources {
		d.metrics.Configured(one.Name)
	}
	return d
}

// eventsSource is a source that is told of changes by its cloud.
type eventsSource interface {
	EventsHandler(wake func(context.Context) error) (handler http.Handler, run func(context.Context))
}

// events are the handlers of what clouds tell. Any server may be told, and one asks the
// sources: they wake it by the registry.
func (d *discoveryNode) events() map[string]http.Handler {
	out := map[string]http.Handler{}
	for _, source := range d.sources {
		told, is := source.Lister.(eventsSource)
		if !is {
			continue
		}
		handler, waking := told.EventsHandler(func(ctx context.Context) error {
			_, err := d.node.store.WakeSource(ctx, source.Name)
			return err
		})
		if handler != nil {
			out[source.Name] = handler
			d.waking = append(d.waking, waking)
		}
	}
	return out
}

// run stands for the office once this server has read the mesh: the others do the work
// meanwhile.
func (d *discoveryNode) run(ctx context.Context) {
	var minding sync.WaitGroup
	defer minding.Wait()
	minding.Go(func() { d.mind(ctx) })
	for _, wakes := range d.waking {
		minding.Go(func() { wakes(ctx) })
	}
	if err := whenSynced(ctx, d.node.catalog, func() error { return nil }); err != nil || ctx.Err() != nil {
		return
	}
	d.node.store.Lead(ctx, registry.DiscoveryOffice, d.server, d.lead)
}

// lead refreshes the sources until the term ends.
func (d *discoveryNode) lead(ctx context.Context, term registry.Term) {
	defer d.metrics.Left()
	names := make([]string, len(d.sources))
	digests := map[string]string{}
	for i, one := range d.sources {
		names[i], digests[one.Name] = one.Name, one.Digest
	}
	if err := d.node.store.WriteRoster(ctx, term, mesh.DiscoveryRoster{Server: d.server, Sources: names, Digests: digests}); err != nil {
		d.node.logger.Warn("the sources of machines are not refreshed yet", "error", err)
		return // the office is sought again
	}
	var running sync.WaitGroup
	defer running.Wait()
	refreshers := map[string]*discovery.Refresher{}
	for _, source := range d.sources {
		refresher := discovery.NewRefresher(discovery.Config{Source: source, Shelf: &vmShelf{node: d.node, term: term}, Server: d.server, Metrics: d.metrics, Logger: d.node.logger})
		refreshers[source.Name] = refresher
		running.Go(func() { refresher.Run(ctx) })
	}
	running.Go(func() {
		d.node.store.Wakes(ctx, func(source string, request int64) {
			if refresher := refreshers[source]; refresher != nil {
				refresher.Wake(request)
			}
		})
	})
}

// vmShelf is the registry in a term, for one refresher.
type vmShelf struct {
	node    *serverNode
	term    registry.Term
	written catalog.Mark // of the latest write
}

// catchUp bounds how long the catalog may take to have what was written.
const catchUp = 10 * time.Second

// Known gives what the catalog has, once it has what was written: else a machine that is as
// it was before would not be seen to differ.
func (s *vmShelf) Known(ctx context.Context, source string) (discovery.Known, error) {
	ctx, cancel := context.WithTimeout(ctx, catchUp)
	defer cancel()
	view, err := s.node.catalog.At(ctx, s.written)
	if err != nil {
		return nil, err
	}
	out := discovery.Known{}
	for vm := range view.VMsOf(source) {
		out[vm.Key()] = vm
	}
	return out, nil
}

// Write writes in the term.
func (s *vmShelf) Write(ctx context.Context, put []mesh.VM, gone []mesh.VMKey) (int64, error) {
	epoch := s.node.catalog.View().Mark().Epoch
	at, err := s.node.store.WriteVMs(ctx, s.term, put, gone)
	if at > 0 {
		s.written = catalog.Mark{Epoch: epoch, Revision: at}
	}
	return at, err
}

// Noted reads what was noted last.
func (s *vmShelf) Noted(ctx context.Context, source string) (mesh.DiscoverySource, error) {
	all, err := s.node.store.Discovery(ctx)
	for _, one := range all {
		if one.Name == source {
			return one, err
		}
	}
	return mesh.DiscoverySource{}, err
}

// Note notes in the term.
func (s *vmShelf) Note(ctx context.Context, source mesh.DiscoverySource) error {
	return s.node.store.WriteDiscovery(ctx, s.term, source)
}
