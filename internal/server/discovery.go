package server

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/placement"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// mostSkipped bounds the machines of a source that are told as instances of nothing.
const mostSkipped = 1000

// SourcePath is the path parameter.
type SourcePath struct {
	Source string `path:"source" maxLength:"63" pattern:"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$" doc:"The source's name, as the servers' settings give it." example:"azure-prod"`
}

func (s *Server) discoveryOperations() {
	register(s, operation{
		method: http.MethodGet, path: "/api/discovery", tag: "machines", id: "getDiscovery", summary: "How the sources of virtual machines do",
		description: "Of each source the latest refresh: when, how long, how many requests, how many of them throttled, what failed, and which machines are instances of nothing, with the reasons.",
	}, s.getDiscovery)
	register(s, operation{
		method: http.MethodDelete, path: "/api/v1/discovery/{source}", tag: "machines", id: "forgetSource", summary: "Forget a source of virtual machines, or a scope of one, that cannot be listed any more",
		description: "Without scope: deletes the source's machines, the instances that they were, and how it did; 409 as long as a server refreshes it, which would find them again. With scope: deletes the machines of that scope, and their instances end; 409 while a server lists the scope, also in part, and while the scope is throttled (not_before), unless it is stale. With force it is done then too: what there is comes back when it is listed next. For admins.",
		status:      http.StatusNoContent, token: true, refusals: []int{http.StatusNotFound, http.StatusConflict},
	}, s.forgetSource)
}

func notModified() *huma.Response { return &huma.Response{Description: "Nothing has changed."} }

type discoveryAnswer struct {
	Body mesh.Discovery
}

func (s *Server) getDiscovery(context.Context, *struct{}) (*discoveryAnswer, error) {
	view := s.cfg.Catalog.View()
	if !view.Synced() {
		return nil, mesh.Unavailable(nil, "the mesh has not been read from etcd yet")
	}
	out := mesh.Discovery{Server: view.Roster().Server, Sources: []mesh.DiscoveryReport{}}
	all, now := s.machines(view), time.Now()
	for _, one := range view.Sources() {
		report := mesh.DiscoveryReport{DiscoverySource: *one, Refreshed: slices.Contains(view.Roster().Sources, one.Name), Failing: one.Fault(), Stale: []string{}}
		if report.Scopes == nil {
			report.Scopes = []mesh.DiscoveryScope{}
		}
		for _, scope := range one.Stale(now) {
			report.Stale = append(report.Stale, scope.Name)
		}
		report.Skipped, report.SkippedTotal = skipped(all, one.Name)
		out.Sources = append(out.Sources, report)
	}
	out.Concerns = append([]mesh.DiscoveryConcern{}, s.concerns()...)
	return &discoveryAnswer{Body: out}, nil
}

func (s *Server) forgetSource(ctx context.Context, in *struct {
	Call
	SourcePath
	Force bool   `query:"force" doc:"Have the scope forgotten although it is listed or throttled: its machines end now, also those that there are, and come back when it is listed next."`
	Scope string `query:"scope" maxLength:"1024" doc:"Only this scope of it, such as a subscription that was deleted." example:"subscriptions/00000000-0000-0000-0000-000000000000"`
}) (*Nothing, error) {
	in.object = "source/" + shown(in.Source)
	if in.Scope != "" {
		in.object += "/" + shown(in.Scope)
	}
	write, err := s.sourceWrite(ctx, &in.Call, in.SourcePath)
	if err != nil {
		return nil, err
	}
	if strings.ContainsFunc(in.Scope, unicode.IsControl) || !utf8.ValidString(in.Scope) {
		return nil, fault("query.scope", "is no name of a scope: give it as GET /api/discovery has it")
	}
	if in.Scope != "" {
		return &Nothing{}, s.cfg.Registry.ForgetScope(ctx, in.Source, in.Scope, in.Force, write)
	}
	if in.Force {
		return nil, fault("query.force", "is for a scope: a source that a server refreshes cannot be forgotten")
	}
	return &Nothing{}, s.cfg.Registry.ForgetSource(ctx, in.Source, write)
}

// sourceWrite makes sure of the caller and the name.
func (s *Server) sourceWrite(ctx context.Context, call *Call, path SourcePath) (registry.Write, error) {
	token, err := s.authenticate(ctx, call)
	if err != nil {
		return registry.Write{}, err
	}
	if err := allowDeclaration(token, admin); err != nil {
		return registry.Write{}, err
	}
	if !mesh.ServiceName(path.Source).Valid() {
		return registry.Write{}, fault("path.source", "is no name of a source: use a DNS label such as azure-prod")
	}
	return call.write(token)
}

// discoveryProblems says which sources fail, and which services wait for machines of
// sources that there are not.
func discoveryProblems(view *catalog.View, concerns []mesh.DiscoveryConcern) []Problem {
	var all []Problem
	for _, one := range concerns {
		all = append(all, Problem{"source/" + one.Source, one.Message})
	}
	there := map[string]bool{}
	for _, name := range view.Roster().Sources { // also before its first refresh has ended
		there[name] = true
	}
	for _, one := range view.Sources() {
		fault, refreshed := one.Fault(), there[one.Name]
		there[one.Name] = true
		switch {
		case !refreshed && view.Roster().Server == "":
			all = append(all, Problem{"source/" + one.Name, fmt.Sprintf("no server refreshes it now: what was known of it, %d machines, stays. Start a server whose settings have it (heddle server --discovery), or forget it (heddle discovery forget %s)", one.VMs, one.Name)})
		case !refreshed:
			all = append(all, Problem{"source/" + one.Name, fmt.Sprintf("server %s, which refreshes the sources, does not have it in its settings: what was known of it, %d machines, stays. Put it back (heddle server --discovery), or forget it (heddle discovery forget %s)", view.Roster().Server, one.VMs, one.Name)})
		case fault != "":
			all = append(all, Problem{"source/" + one.Name, one.Kept() + ": " + fault})
		}
	}
	all = append(all, staleProblems(view, time.Now())...)
	for service := range view.Services() {
		if service.Endpoints.VMs == nil {
			continue
		}
		for _, source := range service.Endpoints.VMs.Sources {
			if !there[source] {
				all = append(all, Problem{"service/" + string(service.Name), fmt.Sprintf("is to have the machines of source %q (endpoints.vms.sources), which no server has: mend the name, or put the source into the settings of the servers (heddle server --discovery)", source)})
			}
		}
	}
	return all
}

// placingProblems says which services have not the machines as instances that they are to have.
func placingProblems(view *catalog.View, all *placement.Shown) []Problem {
	var out []Problem
	for _, one := range view.Placing().Faults {
		out = append(out, Problem{"service/" + string(one.Service), fmt.Sprintf("its machines of source %q cannot be written as its instances, since %s, and callers have what was written before: %s. Server %s tries again by itself; if the error does not say what to mend, its log and etcd's do", one.Source, one.Since.UTC().Format(time.RFC3339), one.Error, view.Placing().Server)})
	}
	if more := view.Placing().More; more > 0 {
		out = append(out, Problem{"etcd", fmt.Sprintf("the machines of %d more services and sources cannot be written as their instances either; the log of server %s names them", more, view.Placing().Server)})
	}
	for _, set := range slices.SortedFunc(maps.Keys(all.Over), placement.Set.Compare) {
		out = append(out, Problem{"service/" + string(set.Service), fmt.Sprintf("%d machines of source %q are fit to be its instances, and a service has %d of a source at most: those whose instance IDs come last get no requests (heddle get vms says which). Split the service, or the source", all.Over[set], set.Source, mesh.MostKeptInstances)})
	}
	return out
}

// staleProblems says whose machines nobody has confirmed for long. They are kept, for a
// listing that fails is no news of them.
func staleProblems(view *catalog.View, now time.Time) []Problem {
	var all []Problem
	for _, one := range view.Sources() {
		for _, scope := range one.Stale(now) {
			all = append(all, Problem{"source/" + one.Name, fmt.Sprintf("%s: %s (staleAfter): they stay, and their addresses may be others' by now; %s", scope.Name, scope.Unconfirmed(now), scope.Remedy(one.Name))})
		}
	}
	return all
}
