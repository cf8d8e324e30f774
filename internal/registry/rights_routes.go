package registry

import (
	"context"
	"slices"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Who may write which route.

// routeRight: the owner's, before and after, who also owns all services that the
// route exposes, if nobody else has a route for one of its hosts. What a keeper's
// token writes is judged by the keeper that writes, not by whose name it states.
func (s *Store) routeRight(keeper mesh.Keeper) right[mesh.Route] {
	return func(ctx context.Context, by Token, before found[mesh.Route], after *mesh.Route) ([]guard, error) {
		if by.Kind != KeeperToken || before.unreadable() {
			return s.ownersRouteRight(ctx, by, before, after)
		}
		if after == nil {
			return nil, nil
		}
		exposed, err := s.keptServices(ctx, keeper, after.Services()...)
		if err != nil {
			return nil, err
		}
		hosts, err := s.hostsRight(ctx, after, func(other *mesh.Route) bool {
			return keeper.Namespace().Covers(other.Meta.Keeper) || apart(after, other) || sameGatewayAPI(by, keeper, after, other)
		})
		return append(exposed, hosts...), err
	}
}

// apart says whether no gateway serves both routes: the Gateway API has gateways of
// its own.
func apart(a, b *mesh.Route) bool {
	return len(a.Gateways) > 0 && len(b.Gateways) > 0 && !slices.ContainsFunc(a.Gateways, b.ServedBy)
}

// sameGatewayAPI says whether both routes are of one cluster's Gateway API, whose
// Gateways say which namespaces may have routes for their hosts (allowedRoutes), and
// which has rules for routes of one host. Who writes has to speak for the whole cluster,
// and so for its Gateways: the token of a namespace does not.
func sameGatewayAPI(by Token, keeper mesh.Keeper, after, other *mesh.Route) bool {
	return by.Keeper.Covers(mesh.OfCluster(keeper.Cluster())) && keeper.OfGatewayAPI(string(after.Name)) &&
		other.Meta.Keeper.OfGatewayAPI(string(other.Name)) && other.Meta.Keeper.Cluster() == keeper.Cluster()
}

// keptServices makes sure that a keeper's cluster keeps all these services, or that
// they admit its pods. What is not declared yet may become anybody's.
func (s *Store) keptServices(ctx context.Context, keeper mesh.Keeper, services ...mesh.ServiceName) ([]guard, error) {
	cluster := mesh.OfCluster(keeper.Cluster())
	var guards []guard
	for _, name := range services {
		service, err := s.Service(ctx, name)
		switch {
		case name == mesh.NoBackend:
			continue
		case mesh.KindOf(err) == mesh.KindNotFound:
			return nil, mesh.Denied("service %s is not declared yet, so nobody can tell whose it is, and a keeper's route may not lead to it: declare it first", quoted(string(name)))
		case mesh.ReasonOf(err) == mesh.ReasonCorrupt:
			return nil, mesh.Denied("what is stored of service %s cannot be read, so nobody can tell whose it is", quoted(string(name)))
		case err != nil:
			return nil, err
		case !has(cluster, &service):
			return nil, mesh.Denied("service %s is not kept by %s, nor do its endpoints.kubernetes name that cluster, so no route of that cluster leads to it: an admin may write such a route", quoted(string(name)), cluster)
		}
		guards = append(guards, at(servicePrefix+string(name), service.Meta.Revision))
	}
	return guards, nil
}

func (s *Store) ownersRouteRight(ctx context.Context, by Token, before found[mesh.Route], after *mesh.Route) ([]guard, error) {
	switch {
	case by.Admin():
		return nil, nil
	case by.Kind != "" && by.Kind != KeeperToken || by.Service != "":
		return nil, mesh.Denied("the access token is limited to %s; a route needs the token of its owner, or one that is not limited", by.limit())
	case before.unreadable():
		return nil, mesh.Denied("what is stored of the route cannot be read, so nobody can tell whose it is: an admin has to write or delete it")
	case before.object != nil && !by.Owns(before.object.Owner):
		return nil, mesh.Denied("route %s belongs to %q, and the access token is limited to %s", quoted(string(before.object.Name)), before.object.Owner, by.limit())
	case after == nil:
		return nil, nil
	case !by.Owns(after.Owner):
		return nil, mesh.Denied("the access token is limited to %s, and may not make route %s one of %q: an admin may, and a token of both owners", by.limit(), quoted(string(after.Name)), after.Owner)
	}
	exposed, err := s.ownedServices(ctx, by, after.Services()...)
	if err != nil {
		return nil, err
	}
	hosts, err := s.hostsRight(ctx, after, func(other *mesh.Route) bool { return by.Owns(other.Owner) })
	return append(exposed, hosts...), err
}

// hostsRight makes sure that nobody else has a route for one of the hosts; ours says
// which routes are not somebody else's.
func (s *Store) hostsRight(ctx context.Context, after *mesh.Route, ours func(*mesh.Route) bool) ([]guard, error) {
	routes, revision, err := s.Routes(ctx)
	if err != nil {
		return nil, err
	}
	for i := range routes {
		other := &routes[i]
		if other.Name == after.Name || ours(other) {
			continue
		}
		for _, host := range after.Hosts {
			if taken := overlapping(host, other.Hosts); taken != "" {
				return nil, mesh.Denied("host %s is within reach of %s, which route %q of %q has: ask its owner, or an admin", quoted(host), quoted(taken), other.Name, other.Owner)
			}
		}
	}
	return []guard{noneNewer(routePrefix, revision)}, nil
}

// overlapping gives the first of the hosts that means some of the same requests
// as host, in whichever direction, or "".
func overlapping(host string, hosts []string) string {
	host = mesh.PlainHost(host)
	for _, other := range hosts {
		if o := mesh.PlainHost(other); mesh.HostCovers(o, host) || mesh.HostCovers(host, o) {
			return other
		}
	}
	return ""
}
