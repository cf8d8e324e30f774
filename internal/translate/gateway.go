package translate

import (
	"fmt"
	"maps"
	"slices"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// gateway makes what an Envoy at the edge may see: its listeners, the routes that
// it serves, and the services behind those.
func (b *builder) gateway() {
	g := &gateway{builder: b, name: b.scope.Service, Needs: GatewayNeeds(b.view, b.scope.Service), made: map[string]bool{}, served: map[*mesh.Route]*routev3.Route{}}
	for _, name := range slices.Sorted(maps.Keys(g.Services)) {
		if s, declared := b.view.Service(name); declared && s.Protocol.IsHTTP() {
			b.upstream(s)
			b.refusedPlain(s)
			b.resources = append(b.resources, Endpoints(b.view, name)...)
		}
	}
	g.byHost = g.routesByHost()
	g.listeners()
	b.trusted()
	b.authorizer()
	b.runtime()
}

// gateway is a scope's resources in the making.
type gateway struct {
	*builder
	Needs
	name   mesh.ServiceName
	byHost map[string][]*mesh.Route
	served map[*mesh.Route]*routev3.Route // each made once, for all hosts and listeners
	made   map[string]bool                // the clusters that some route needs beside the services'
}

// Needs are the declarations that a gateway's resources are made from. What
// changes elsewhere changes nothing for it.
type Needs struct {
	Routes   map[mesh.RouteName]*mesh.Route
	Services map[mesh.ServiceName]struct{}
}

// GatewayNeeds finds the routes that a gateway serves, and the services that
// they name, declared or not.
func GatewayNeeds(v *catalog.View, name mesh.ServiceName) Needs {
	n := Needs{map[mesh.RouteName]*mesh.Route{}, map[mesh.ServiceName]struct{}{}}
	for _, route := range v.Routes() {
		if !route.ServedBy(name) {
			continue
		}
		n.Routes[route.Name] = route
		for _, service := range route.Services() {
			n.Services[service] = struct{}{}
		}
	}
	return n
}

// origin is the newest of the routes, and of the services behind them.
func (g *gateway) origin() Origin {
	newest := Origin{Object: "gateway/" + string(g.name)}
	for _, name := range slices.Sorted(maps.Keys(g.Routes)) {
		if r := g.Routes[name]; r.Meta.Revision > newest.Revision {
			newest = Origin{Object: routeObject(r), Author: r.Meta.Author, Revision: r.Meta.Revision}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(g.Services)) {
		if s, declared := g.view.Service(name); declared && s.Meta.Revision > newest.Revision {
			newest = originOf(s)
		}
	}
	return newest
}

func routeObject(r *mesh.Route) string { return "route/" + string(r.Name) }

// wrong tells a problem of a route, once.
func (g *gateway) wrong(r *mesh.Route, format string, args ...any) {
	problem := Problem{Object: routeObject(r), Message: fmt.Sprintf("on gateway %q: ", g.name) + fmt.Sprintf(format, args...)}
	if !slices.Contains(g.problems, problem) {
		g.problems = append(g.problems, problem)
	}
}

// usable gives the service that a route names, or says why no request can be sent to it.
func (g *gateway) usable(name mesh.ServiceName, subset string) (s *mesh.Service, why string) {
	s, declared := g.view.Service(name)
	switch {
	case !declared && g.view.Unreadable(name):
		return nil, fmt.Sprintf("the stored declaration of service %q cannot be read: its owner has to apply it again", name)
	case !declared:
		return nil, fmt.Sprintf("no service %q is declared yet", name)
	case !s.Protocol.IsHTTP():
		return nil, fmt.Sprintf("service %q speaks %s, and gateways serve http, http2 and grpc", name, s.Protocol)
	case subset != "" && !slices.ContainsFunc(s.Subsets, func(one mesh.Subset) bool { return one.Name == subset }):
		return nil, fmt.Sprintf("service %q has no subset %q", name, subset)
	}
	return s, ""
}

// Two clusters without instances stand for backends to which nothing can be sent, so
// that their share of a route is refused instead of going to the others.
const (
	unavailable = "gateway.unavailable" // 503: there may be a service one day
	noBackend   = "gateway.no-backend"  // 500: it leads nowhere, which is the route's fault
)

func (g *gateway) emptyCluster(name string) string {
	if !g.made[name] {
		g.made[name] = true
		g.add(TypeCluster, name, &clusterv3.Cluster{
			Name: name, ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		}, Origin{Object: "gateway/" + string(g.name)})
	}
	return name
}

// mirrorCluster is where copies go: a copy carries the subset that its original
// was for, so a service with subsets needs a cluster that does not look at it.
func (g *gateway) mirrorCluster(s *mesh.Service, subset string) string {
	name := g.shared("all." + string(s.Name))
	switch {
	case len(s.Subsets) == 0:
		return g.shared(string(s.Name))
	case subset != "":
		name = g.shared(subsetCluster(s.Name, subset))
		g.made[name] = g.made[name] || slices.Contains(mirrored(s), subset)
	}
	if g.made[name] {
		return name
	}
	g.made[name] = true
	one := proto.CloneOf(g.clusterFor(s))
	one.Name, one.LbSubsetConfig = name, nil
	if subset != "" {
		one.LbSubsetConfig = onlySubset(s, subset)
	}
	if one.EdsClusterConfig != nil {
		one.EdsClusterConfig.ServiceName = string(s.Name)
	}
	g.add(TypeCluster, name, one, originOf(s))
	return name
}
