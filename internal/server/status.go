package server

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// What the API tells of proxies.
type (
	Proxy     = mesh.ProxyStream
	ProxyType = mesh.ProxyType
	Rejection = mesh.Rejection
	Origin    = mesh.Origin
)

// Problem is something wrong in the mesh that no single write was refused for.
type Problem struct {
	Object  string `json:"object" doc:"Its kind and name." example:"service/orders"`
	Message string `json:"message" doc:"What is wrong and how to mend it."`
}

// Version is what runs.
type Version struct {
	Version string `json:"version"`
}

type versionAnswer struct {
	Body Version
}

func (s *Server) statusOperations() {
	const tag = "status"
	register(s, operation{method: http.MethodGet, path: "/api/v1/proxies", tag: tag, id: "listProxies", summary: "List the proxies that are connected to this server"}, s.listProxies)
	register(s, operation{
		method: http.MethodGet, path: "/api/v1/problems", tag: tag, id: "listProblems", summary: "List what is wrong in the mesh",
		description: "Stored values that cannot be read and were set aside, those that would be refused if they were written now, dependencies that nobody has declared, those whose owners have not approved the caller, subsets without instances, what could not be translated, sources of machines that fail, services that are to have machines of sources that no server has, or of which they cannot have all, and what a proxy refused and is therefore kept from the others.",
	}, s.listProblems)
	register(s, operation{
		method: http.MethodGet, path: "/api/v1/warnings", tag: tag, id: "listWarnings", summary: "List what is allowed in the mesh and may go wrong",
		description: "Cycles of calls, and calls to a deprecated service or to one of a less critical tier. They are no problems: everything works.",
	}, s.listWarnings)
	register(s, operation{
		method: http.MethodGet, path: "/api/v1/authorizers", tag: tag, id: "listAuthorizers", summary: "List the AuthZ services that sidecars ask",
		description: "Who hands its Envoy tokens (token delivery push) finds them here.",
	}, s.listAuthorizers)
	register(s, operation{method: http.MethodGet, path: "/api/v1/version", tag: tag, id: "getVersion", summary: "Which Heddle this is"}, s.getVersion)
}

func (s *Server) listProxies(context.Context, *struct{}) (*Listed[Proxy], error) {
	var all []Proxy
	if s.cfg.Proxies != nil {
		all = s.cfg.Proxies()
	}
	return listed(all, 0), nil
}

// Authorizer is a running AuthZ service.
type Authorizer struct {
	ID      string `json:"id" doc:"Unique among them."`
	Address string `json:"address" doc:"Where it answers ext_authz (gRPC, mutual TLS), host:port." example:"10.0.0.7:18001"`
}

func (s *Server) listAuthorizers(context.Context, *struct{}) (*Listed[Authorizer], error) {
	var all []Authorizer
	for _, one := range s.cfg.Catalog.View().Authorizers() {
		all = append(all, Authorizer{one.ID, net.JoinHostPort(one.Address, strconv.Itoa(int(one.Port)))})
	}
	return listed(all, 0), nil
}

func (s *Server) listProblems(context.Context, *struct{}) (*Listed[Problem], error) {
	revision := s.cfg.Catalog.View().Revision()
	return listed(s.Problems(), revision), nil
}

// Problems gives what is wrong in the mesh, as far as this server knows.
func (s *Server) Problems() []Problem {
	var all []Problem
	for _, one := range s.cfg.Registry.Quarantined() {
		wrong := "cannot be read and was set aside: %s; write it anew, or delete the key"
		if one.InUse {
			wrong = "stays in use, but would be refused if it were written now: %s; mend that with the next write"
		}
		all = append(all, Problem{Object: one.Key, Message: fmt.Sprintf("the value in etcd, of revision %d, "+wrong, one.Revision, one.Reason)})
	}
	view := s.cfg.Catalog.View()
	for service := range view.Services() {
		all = append(all, emptySubsets(view, service)...)
		for _, name := range service.Dependencies {
			if _, known := view.Service(name); known {
				continue
			}
			why := "which nobody has declared: it is pending, and calls to it get a 503"
			if view.Unreadable(name) {
				why = "whose stored declaration cannot be read: calls to it get a 503 until it is applied again"
			}
			all = append(all, Problem{Object: "service/" + string(service.Name), Message: fmt.Sprintf("depends on %q, %s", name, why)})
		}
	}
	for service := range view.Services() {
		waits, refused := undecided(service, s.seenService)
		for _, name := range refused {
			all = append(all, Problem{Object: "service/" + string(service.Name), Message: fmt.Sprintf("depends on %q, and is refused by the owner, %q: take the dependency out, or ask for heddle approve %s %s", name, s.seenService(name).Owner, name, service.Name)})
		}
		for _, name := range waits {
			callee := s.seenService(name)
			all = append(all, Problem{Object: "service/" + string(service.Name), Message: fmt.Sprintf("depends on %q, whose owner %q has not approved it: calls to it are refused as its access.enforcement says, until heddle approve %s %s", name, callee.Owner, name, service.Name)})
		}
	}
	for _, route := range view.Routes() {
		for _, backend := range route.Backends {
			if _, known := view.Service(backend.Service); known {
				continue
			}
			why := "which nobody has declared"
			if view.Unreadable(backend.Service) {
				why = "whose stored declaration cannot be read"
			}
			all = append(all, Problem{Object: "route/" + string(route.Name), Message: fmt.Sprintf("sends requests to %q, %s", backend.Service, why)})
		}
	}
	all = append(all, discoveryProblems(view, s.concerns())...)
	all = append(all, placingProblems(view, s.machines(view))...)
	if s.cfg.Problems != nil {
		all = append(all, s.cfg.Problems()...)
	}
	return all
}

func (s *Server) listWarnings(context.Context, *struct{}) (*Listed[mesh.Warning], error) {
	view := s.cfg.Catalog.View()
	return listed(mesh.Warnings(slices.Collect(view.Services()), view.Routes()), view.Revision()), nil
}

func (s *Server) getVersion(context.Context, *struct{}) (*versionAnswer, error) {
	return &versionAnswer{Body: Version{Version: s.cfg.Version}}, nil
}

// emptySubsets finds the subsets that requests are sent to although no instance
// is in them.
func emptySubsets(view *catalog.View, service *mesh.Service) []Problem {
	var problems []Problem
	for _, subset := range service.Subsets {
		if !service.Endpoints.Registered() || !sendsTo(service, subset.Name) {
			continue
		}
		if !slices.ContainsFunc(view.Instances(service.Name), func(i *mesh.Instance) bool { return carries(i, subset.Labels) }) {
			problems = append(problems, Problem{
				Object:  "service/" + string(service.Name),
				Message: fmt.Sprintf("its routes send requests to subset %q, but no instance carries the subset's labels: they get a 503", subset.Name),
			})
		}
	}
	return problems
}

func sendsTo(service *mesh.Service, subset string) bool {
	return slices.ContainsFunc(service.Routes, func(rule mesh.RouteRule) bool {
		return slices.ContainsFunc(rule.To, func(to mesh.WeightedSubset) bool { return to.Subset == subset && to.Weight > 0 })
	})
}

func carries(i *mesh.Instance, labels map[string]string) bool {
	for key, value := range labels {
		if got, has := i.Labels[key]; !has || got != value {
			return false
		}
	}
	return true
}
