package translate

import (
	"net/netip"
	"slices"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// routeTable is the routes by host, for one of a gateway's listeners. overTLS
// serves them all; without it those that want TLS send the client there.
func (g *gateway) routeTable(name string, overTLS bool) *routev3.RouteConfiguration {
	config := &routev3.RouteConfiguration{Name: name, IgnorePortInHostMatching: true}
	hosts := g.hosts()
	for _, host := range hosts {
		out := &routev3.VirtualHost{Name: host, Domains: []string{domain(host)}, Routes: []*routev3.Route{ambiguousPath()}}
		for _, r := range g.routesOf(host, hosts) {
			if overTLS || r.PlainHTTP {
				out.Routes = append(out.Routes, g.route(r))
			} else {
				out.Routes = append(out.Routes, g.toHTTPS(r))
			}
		}
		out.Routes = append(out.Routes, refusal(404, reasonNoRoute, "heddle: no route of this host matches the request"))
		config.VirtualHosts = append(config.VirtualHosts, out)
	}
	config.VirtualHosts = append(config.VirtualHosts, &routev3.VirtualHost{
		Name: "unknown", Domains: []string{"*"},
		Routes: []*routev3.Route{refusal(404, reasonNoRoute, "heddle: no route has this host")},
	})
	return config
}

// hosts are those of all routes, the most exact first.
func (g *gateway) hosts() []string {
	var out []string
	for _, r := range g.Routes {
		for _, host := range r.Hosts {
			out = append(out, mesh.PlainHost(host))
		}
	}
	slices.SortFunc(out, mesh.CompareHosts)
	return slices.Compact(out)
}

// routesOf are the routes of a host in the order in which they are tried: its
// own, then those of the stars that cover it. One that another hides is told as a problem.
func (g *gateway) routesOf(host string, hosts []string) []*mesh.Route {
	var out []*mesh.Route
	for _, one := range hosts { // from the most exact on
		if !mesh.HostCovers(one, host) {
			continue
		}
		var group []*mesh.Route
		for _, r := range g.Routes {
			has := func(name string) bool { return mesh.PlainHost(name) == one }
			if slices.ContainsFunc(r.Hosts, has) && !slices.Contains(out, r) {
				group = append(group, r)
			}
		}
		slices.SortFunc(group, mesh.CompareRoutes)
		for i, r := range group {
			if by := slices.IndexFunc(group[:i], func(earlier *mesh.Route) bool { return earlier.Hides(r) }); by >= 0 && one == host {
				g.wrong(r, "route %q, which is older, matches the same requests for %s and gets them", group[by].Name, host)
			}
		}
		out = append(out, group...)
	}
	return out
}

// domain writes a host as Envoy matches it.
func domain(host string) string {
	if ip, err := netip.ParseAddr(host); err == nil && ip.Is6() {
		return "[" + host + "]"
	}
	return host
}

// ambiguousPath refuses paths with a ";", written out or escaped. Where one ends
// a segment is read differently by gateways and by applications, many of which
// drop what follows it: /open;/../shut and /shut;x have got past many a rule.
func ambiguousPath() *routev3.Route {
	out := refusal(400, reasonPath, `heddle: the path has a ";", which gateways do not pass on: applications read it in different ways`)
	out.Match.Headers = []*routev3.HeaderMatcher{{Name: ":path", HeaderMatchSpecifier: stringMatch(&matcherv3.StringMatcher{
		MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: regex(`[^?]*(;|%3[bB]).*`)},
	})}}
	return out
}
