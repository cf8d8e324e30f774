package test

import (
	"fmt"
	"math/rand/v2"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// dice make up services, instances, routes and requests, the same ones again from
// the same seed.
type dice struct{ *rand.Rand }

// one gives a number from 0 to n-1.
func (d *dice) one(n int) int { return d.IntN(n) }

func pick[T any](d *dice, list ...T) T { return list[d.one(len(list))] }

func (d *dice) service(name mesh.ServiceName) mesh.Service {
	s := service(string(name), pick(d, mesh.HTTP, mesh.HTTP, mesh.HTTP, mesh.HTTP2, mesh.GRPC, mesh.TCP))
	s.Subsets = []mesh.Subset{{Name: "v1", Labels: map[string]string{"version": "v1"}}, {Name: "v2", Labels: map[string]string{"version": "v2"}}}
	if s.Protocol == mesh.TCP {
		s.Subsets = nil
		return s
	}
	for range d.one(4) {
		rule := mesh.RouteRule{Match: d.match()}
		for range d.one(3) {
			rule.To = append(rule.To, mesh.WeightedSubset{Subset: pick(d, "v1", "v2", ""), Weight: d.one(3)})
		}
		if len(rule.To) > 0 {
			rule.To[0].Weight = 1
		}
		if len(rule.To) == 2 && rule.To[1].Subset == rule.To[0].Subset {
			rule.To = rule.To[:1]
		}
		s.Routes = append(s.Routes, rule)
		if rule.Match.Path == nil && rule.Match.Methods == nil && rule.Match.Headers == nil && rule.Match.Query == nil {
			break // none behind it would be reached
		}
	}
	if d.one(4) == 0 {
		s.Traffic.LoadBalancing.LocalityWeights = []mesh.LocalityWeight{{Zone: "a", Weight: 1}, {Zone: "b", Weight: 0}}
	}
	return s
}

func (d *dice) match() mesh.RequestMatch {
	var m mesh.RequestMatch
	m.Path = pick(d, nil, &mesh.PathMatch{Prefix: "/api"}, &mesh.PathMatch{Prefix: "/api/v1/"}, &mesh.PathMatch{Exact: "/api/x"}, &mesh.PathMatch{Regex: "/(a|b)[a-z]*/.*"})
	if d.one(3) == 0 {
		m.Methods = pick(d, []string{"GET"}, []string{"POST", "PUT"})
	}
	if d.one(3) == 0 {
		m.Headers = []mesh.HeaderMatch{pick(d, mesh.HeaderMatch{Name: "x-canary"}, mesh.HeaderMatch{Name: "x-canary", Exact: "1"},
			mesh.HeaderMatch{Name: "x-canary", Exact: "1", Invert: true}, mesh.HeaderMatch{Name: "x-canary", Invert: true}, mesh.HeaderMatch{Name: "x-canary", Regex: "[0-9]+"})}
	}
	if d.one(3) == 0 {
		m.Query = []mesh.QueryMatch{pick(d, mesh.QueryMatch{Name: "c"}, mesh.QueryMatch{Name: "c", Exact: "d"}, mesh.QueryMatch{Name: "c", Prefix: "d%"}, mesh.QueryMatch{Name: "c", Regex: "[a-d]"})}
	}
	return m
}

// instance changes one that is to be registered.
func (d *dice) instance(i *mesh.Instance) {
	i.Health = pick(d, mesh.Healthy, mesh.Healthy, mesh.Draining, mesh.Unhealthy)
	i.Labels = pick(d, nil, map[string]string{"version": "v1"}, map[string]string{"version": "v2"})
	i.Locality = mesh.Locality{Zone: pick(d, "a", "b")}
}

// route sends a host of its own to a service, and to one of others.
func (d *dice) route(n int, to mesh.ServiceName) mesh.Route {
	r := route(fmt.Sprintf("route-%d", n), fmt.Sprintf("host-%d.example.com", n), string(to))
	r.Match = d.match()
	if d.one(3) == 0 {
		r.Gateways = pick(d, []mesh.ServiceName{"edge"}, []mesh.ServiceName{"inside"})
	}
	switch d.one(4) {
	case 0:
		r.Backends[0].Subset = pick(d, "v1", "v2")
	case 1:
		r.Backends = append(r.Backends, mesh.WeightedBackend{Service: to, Subset: "v1", Weight: 1})
	}
	return r
}

// request asks for a service, or sometimes for what is not one.
func (d *dice) request(to mesh.ServiceName) mesh.ExplainedRequest {
	r := mesh.ExplainedRequest{
		Method: pick(d, "GET", "GET", "POST", "PUT"),
		Host:   pick(d, string(to), string(to), string(to)+".mesh", string(to)+":8080", string(to)+".mesh.", string(to)+"-x", "last"),
		Path:   pick(d, "/", "/api", "/api/", "/api/x", "/api/v1/y", "/apix", "/b/../api/x", "/bb/%61", "/a/b?c=d", "/%2e%2e/api/./x", "/ax/;x", "/api?c", "/api?c=", "/?b&c=d&c=e", "/api/?C=d", "/api/x?c=d%65"),
	}
	if d.one(2) == 0 {
		r.Headers = map[string]string{"x-canary": pick(d, "1", "22", "no")}
	}
	return r
}
