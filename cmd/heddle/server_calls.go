package main

import (
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/accesslog"
	"github.com/heddle-mesh/heddle/internal/controlplane"
	"github.com/heddle-mesh/heddle/internal/insight"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/translate"
)

// callReports is what a server makes of what proxies report.
type callReports struct {
	service *accesslog.Service
	keeper  *accesslog.Keeper
	shared  insight.Shared
}

func newCallReports(n *serverNode) *callReports {
	table := accesslog.NewTable(time.Now, n.knownPeer)
	c := &callReports{
		service: accesslog.NewService(table, n.plane.Reporter, n.prom, n.logger),
		keeper: accesslog.NewKeeper(accesslog.KeeperConfig{
			Table: table, Shelf: n.store, Server: rand.Text(), Now: time.Now,
			Connected: n.whoseProxies, Declared: n.declaredReporter, Logger: n.logger,
		}),
	}
	c.shared.Make, c.shared.Now = c.observed, time.Now
	return c
}

// observed is what proxies told, made anew.
func (c *callReports) observed() insight.Observed {
	all := c.keeper.Sightings()
	seen := insight.Observed{Edges: accesslog.Edges(all)}
	for _, one := range all {
		seen.Reporters = append(seen.Reporters, insight.Reporter{Name: one.Reporter, Since: one.Since, Through: one.Through, Blind: one.Blind})
	}
	return seen
}

// observed is what proxies told, which all who ask within a second share, and which of
// it is declared by now.
func (n *serverNode) observed(context.Context) (insight.Observed, error) {
	seen := n.calls.shared.Get()
	seen.Edges = slices.Clone(seen.Edges)
	insight.Declared(n.catalog.View(), seen.Edges)
	return seen, nil
}

// between is what proxies told of the calls from one to another.
func (c *callReports) between(caller, callee string) (mesh.Edge, bool) {
	var about []mesh.Sightings
	for _, one := range c.keeper.SightingsOf(caller, callee) {
		peer, in := callee, false
		switch one.Reporter {
		case caller:
		case callee:
			peer, in = caller, true
		default:
			continue
		}
		rows := slices.DeleteFunc(slices.Clone(one.Rows), func(s mesh.Sighting) bool { return s.Peer != peer || s.In != in })
		about = append(about, mesh.Sightings{Reporter: one.Reporter, Rows: rows})
	}
	edges := accesslog.Edges(about)
	if len(edges) == 0 {
		return mesh.Edge{}, false
	}
	return edges[0], true
}

// whoseProxies tells whose proxies are connected to this server.
func (n *serverNode) whoseProxies(watch func(reporter string, blind bool)) {
	for _, stream := range n.xds.Status() {
		switch {
		case stream.Scope == "":
		case translate.OfGateway(stream.Scope):
			watch(mesh.GatewayCaller(mesh.ServiceName(stream.Service)), false)
		default:
			watch(stream.Service, translate.Proxyless(stream.Scope))
		}
	}
}

// knownPeer says whether a peer is one that declarations name.
func (n *serverNode) knownPeer(name string) bool {
	view := n.catalog.View()
	if gateway, is := strings.CutPrefix(name, mesh.GatewayCaller("")); is {
		return controlplane.RouteNames(view, mesh.ServiceName(gateway))
	}
	_, declared := view.Service(mesh.ServiceName(name))
	return declared
}

// declaredReporter says whether what a reporter saw is kept however long ago it was.
func (n *serverNode) declaredReporter(name string) bool {
	return !n.catalog.View().Synced() || n.knownPeer(name)
}
