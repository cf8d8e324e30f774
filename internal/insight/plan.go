package insight

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/translate"
)

// Changes turns a request into changes of a view. What it would delete has to be
// there; a new route comes behind those that there are.
func Changes(view *catalog.View, r *mesh.PlanRequest) ([]mesh.Change, mesh.Faults) {
	var out []mesh.Change
	var faults mesh.Faults
	for i := range r.Services {
		out = append(out, mesh.Change{Service: &r.Services[i]})
	}
	for i := range r.Routes {
		route := r.Routes[i]
		route.Created = math.MaxInt64
		if old, there := view.Route(route.Name); there {
			route.Created = old.Created
		}
		out = append(out, mesh.Change{Route: &route})
	}
	for i := range r.Instances {
		out = append(out, mesh.Change{Instance: &r.Instances[i]})
	}
	if r.Runtime != nil {
		out = append(out, mesh.Change{Runtime: r.Runtime})
	}
	for n, object := range r.Delete {
		kind, name, _ := strings.Cut(object, "/")
		service, isService := view.Service(mesh.ServiceName(name))
		route, isRoute := view.Route(mesh.RouteName(name))
		switch {
		case kind == "service" && isService:
			out = append(out, mesh.Change{Service: service, Deleted: true})
		case kind == "route" && isRoute:
			out = append(out, mesh.Change{Route: route, Deleted: true})
		default:
			faults.Add(fmt.Sprintf("delete[%d]", n), "there is no %+q: service/NAME and route/NAME can be deleted", mesh.Cut(object, 100))
		}
	}
	return out, faults
}

// Plan says what changes would change for the proxies that are connected, and for
// services without one, for a sidecar with the default settings. It stops when ctx
// ends. Behind [MostInFull] sidecars, or 4 MiB of differences, it only counts.
func Plan(ctx context.Context, m Mesh, changes []mesh.Change) (mesh.Plan, error) {
	after := m.View.With(changes...)
	out := mesh.Plan{Sidecars: []mesh.PlannedSidecar{}, Revision: m.View.Revision()}
	known := map[translate.Problem]bool{}
	var now []translate.Problem
	room, short := mostDiffs, 0
	for _, one := range variants(&m, affected(m.View, after, changes)) {
		if err := ctx.Err(); err != nil {
			return mesh.Plan{}, err
		}
		before, problems := translate.Build(m.View, one.scope, m.Trust)
		for _, p := range problems {
			known[p] = true
		}
		then, problems := translate.Build(after, one.scope, m.Trust)
		now = append(now, problems...)
		if _, declared := m.View.Service(one.scope.Service); !declared && one.proxies == 0 {
			continue // a service that is new has no sidecar whose configuration changes
		}
		old, now := byKey(before), byKey(then)
		sidecar := mesh.PlannedSidecar{Name: one.name, Proxies: one.proxies, Changes: differences(old, now)}
		if len(sidecar.Changes) == 0 {
			out.Unchanged++
			continue
		}
		sidecar.Summary = counted(sidecar.Changes)
		full := len(out.Sidecars) < MostInFull && room > 0
		for i := 0; i < len(sidecar.Changes) && full; i++ {
			if err := ctx.Err(); err != nil {
				return mesh.Plan{}, err
			}
			change := &sidecar.Changes[i]
			key := resourceKey{change.Type, change.Name}
			change.Diff = unified(old[key], now[key])
			room -= len(change.Diff) + len(change.Name)
			full = room >= 0
			if !full {
				change.Diff = ""
			}
		}
		if !full {
			sidecar.Changes = []mesh.PlannedChange{}
			short++
		}
		out.Sidecars = append(out.Sidecars, sidecar)
	}
	if short > 0 {
		out.Cut = fmt.Sprintf("of %d of the %s what changes is only counted: an answer tells at most %d in full, and %d MiB of differences", short, plural(len(out.Sidecars), "sidecar"), MostInFull, mostDiffs>>20)
	}
	for _, p := range now {
		if !known[p] {
			known[p] = true
			out.Problems = append(out.Problems, mesh.PlannedFault{Object: p.Object, Message: p.Message})
		}
	}
	old := map[mesh.Warning]bool{}
	for _, w := range mesh.Warnings(slices.Collect(m.View.Services()), m.View.Routes()) {
		old[w] = true
	}
	for _, w := range mesh.Warnings(slices.Collect(after.Services()), after.Routes()) {
		if !old[w] {
			out.Warnings = append(out.Warnings, w)
		}
	}
	return out, nil
}

// The bounds of what a plan tells in full.
const (
	MostInFull = 200     // sidecars
	mostDiffs  = 4 << 20 // bytes of differences
)

// affected are the services whose sidecars may be sent something else; nil: all.
func affected(before, after *catalog.View, changes []mesh.Change) map[mesh.ServiceName]bool {
	out := map[mesh.ServiceName]bool{}
	note := func(names ...mesh.ServiceName) {
		for _, name := range names {
			out[name] = true
		}
	}
	for _, change := range changes {
		switch {
		case change.Service != nil:
			note(change.Service.Name)
			for _, view := range []*catalog.View{before, after} {
				note(view.Dependents(change.Service.Name)...)
				if s, is := view.Service(change.Service.Name); is {
					note(s.Dependencies...)
				}
			}
		case change.Instance != nil:
			note(after.Dependents(change.Instance.Service)...)
		case change.Route != nil:
			for _, view := range []*catalog.View{before, after} {
				if r, is := view.Route(change.Route.Name); is {
					note(r.Services()...)
				}
			}
		case change.Runtime != nil:
			return nil
		}
	}
	return out
}

// variant is a kind of proxies that are sent the same, but for their ports.
type variant struct {
	name    string
	scope   translate.Scope
	proxies int
}

// variants are the kinds of proxies of some services, connected or not, and of all
// gateways that are connected; if nil, of all that are connected.
func variants(m *Mesh, of map[mesh.ServiceName]bool) []variant {
	type kind struct {
		name, profile string
		identity      bool
		delivery      mesh.TokenDelivery
	}
	found := map[kind]*variant{}
	connected := map[mesh.ServiceName]bool{}
	var proxies []Proxy
	if m.Proxies != nil {
		proxies = m.Proxies("")
	}
	for n := range proxies {
		p := proxies[n].Scope.Proxy
		k := kind{string(proxies[n].Scope.Service), string(p.Profile), p.Identity, p.TokenDelivery}
		if p.Profile == mesh.GatewayProfile {
			k.name = mesh.GatewayCaller(proxies[n].Scope.Service)
		} else {
			connected[proxies[n].Scope.Service] = true
			if of != nil && !of[proxies[n].Scope.Service] {
				continue
			}
		}
		if found[k] == nil {
			found[k] = &variant{name: k.name, scope: proxies[n].Scope}
		}
		found[k].proxies++
	}
	add := func(name mesh.ServiceName) {
		if !connected[name] {
			scope := translate.Scope{Service: name, Proxy: mesh.Proxy{Service: name, Identity: m.Trust.Roots != nil}}
			found[kind{name: string(name)}] = &variant{name: string(name), scope: scope}
		}
	}
	for name := range of {
		add(name)
	}
	out := make([]variant, 0, len(found))
	for _, one := range found {
		out = append(out, *one)
	}
	slices.SortFunc(out, func(a, b variant) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.scope.Name(), b.scope.Name()))
	})
	return out
}

// differences names what differs between two sets of resources.
func differences(old, now map[resourceKey]proto.Message) []mesh.PlannedChange {
	out := []mesh.PlannedChange{}
	for key, message := range now {
		was, there := old[key]
		switch {
		case !there:
			out = append(out, mesh.PlannedChange{Type: key.kind, Name: key.name, Change: "added"})
		case !proto.Equal(was, message):
			out = append(out, mesh.PlannedChange{Type: key.kind, Name: key.name, Change: "changed"})
		}
	}
	for key := range old {
		if _, there := now[key]; !there {
			out = append(out, mesh.PlannedChange{Type: key.kind, Name: key.name, Change: "removed"})
		}
	}
	slices.SortFunc(out, func(a, b mesh.PlannedChange) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Name, b.Name))
	})
	return out
}

type resourceKey struct{ kind, name string }

func byKey(list []translate.Resource) map[resourceKey]proto.Message {
	out := make(map[resourceKey]proto.Message, len(list))
	for _, one := range list {
		out[resourceKey{shortType(one.Type), one.Name}] = one.Message
	}
	return out
}

// counted is what changes in a line, such as "1 cluster changed, 2 routes added".
func counted(changes []mesh.PlannedChange) string {
	words := map[string]string{
		"Cluster": "cluster", "ClusterLoadAssignment": "endpoint list", "Listener": "listener", "RouteConfiguration": "route table",
		"Secret": "secret", "Runtime": "runtime layer", "TypedExtensionConfig": "filter",
	}
	counts := map[string]int{}
	for _, one := range changes {
		counts[cmp.Or(words[one.Type], one.Type)+"|"+one.Change]++
	}
	var out []string
	for _, key := range slices.Sorted(maps.Keys(counts)) {
		noun, change, _ := strings.Cut(key, "|")
		out = append(out, plural(counts[key], noun)+" "+change)
	}
	return strings.Join(out, ", ")
}
