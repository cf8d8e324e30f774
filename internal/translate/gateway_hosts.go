package translate

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// routeTable is the routes by host, for one of a gateway's listeners. overTLS
// serves them all; without it those that want TLS send the client there.
func (g *gateway) routeTable(name string, scheme mesh.Scheme, overTLS bool) *routev3.RouteConfiguration {
	config := &routev3.RouteConfiguration{Name: name, IgnorePortInHostMatching: true}
	for _, host := range g.hosts() {
		out := &routev3.VirtualHost{Name: host, Domains: []string{domain(host)}, Routes: []*routev3.Route{g.unasked(ambiguousPath())}}
		for _, r := range g.routesOf(host) {
			switch {
			case len(r.Schemes) > 0 && !slices.Contains(r.Schemes, scheme):
			case overTLS || r.PlainHTTP || len(r.Schemes) > 0:
				out.Routes = append(out.Routes, g.route(r))
			default:
				out.Routes = append(out.Routes, g.unasked(g.toHTTPS(r)))
			}
		}
		out.Routes = append(out.Routes, g.unasked(refusal(404, reasonNoRoute, "heddle: no route of this host matches the request")))
		config.VirtualHosts = append(config.VirtualHosts, out)
	}
	if len(g.byHost[mesh.AnyHost]) == 0 {
		config.VirtualHosts = append(config.VirtualHosts, &routev3.VirtualHost{
			Name: mesh.AnyHost, Domains: []string{mesh.AnyHost},
			Routes: []*routev3.Route{g.unasked(refusal(404, reasonNoRoute, "heddle: no route has this host"))},
		})
	}
	return config
}

// hosts are those of all routes, the most exact first.
func (g *gateway) hosts() []string {
	return slices.SortedFunc(maps.Keys(g.byHost), mesh.CompareHosts)
}

// routesByHost are the routes that name each host, in the order in which they are
// tried. One that another hides is told as a problem.
func (g *gateway) routesByHost() map[string][]*mesh.Route {
	out := map[string][]*mesh.Route{}
	for _, name := range slices.Sorted(maps.Keys(g.Routes)) {
		r := g.Routes[name]
		for _, host := range r.Hosts {
			host = mesh.PlainHost(host)
			if !slices.Contains(out[host], r) {
				out[host] = append(out[host], r)
			}
		}
	}
	for _, host := range slices.Sorted(maps.Keys(out)) {
		slices.SortFunc(out[host], mesh.CompareRoutes)
		hidden := mesh.Hidden(out[host])
		for _, r := range out[host] {
			if by := hidden[r]; by != nil {
				g.wrong(r, "route %q, which is older, matches the same requests for %s and gets them", by.Name, host)
			}
		}
	}
	return out
}

// routesOf are the routes of a host in the order in which they are tried: its own,
// then those of the stars that cover it, from the longest on.
func (g *gateway) routesOf(host string) []*mesh.Route {
	out := slices.Clone(g.byHost[host])
	for rest := strings.TrimPrefix(host, "*."); ; {
		_, parent, more := strings.Cut(rest, ".")
		star := "*." + parent
		if !more {
			star = mesh.AnyHost
		}
		for _, r := range g.byHost[star] {
			if !slices.Contains(out, r) {
				out = append(out, r)
			}
		}
		if !more {
			return out
		}
		rest = parent
	}
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
