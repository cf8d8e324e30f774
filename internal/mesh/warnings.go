package mesh

import (
	"fmt"
	"strings"
)

// WarningCode says what a [Warning] is about, for programs. What is there stays,
// and means the same.
type WarningCode string

// The codes of warnings.
const (
	WarnCycle        WarningCode = "cycle"         // a service calls itself by way of others
	WarnDeprecated   WarningCode = "deprecated"    // what it calls is deprecated
	WarnLessCritical WarningCode = "less_critical" // what it calls has a less critical tier
)

// Warning is something about a declaration that is allowed, and that its owner
// would rather know. Nothing is refused for it.
type Warning struct {
	Object  string      `json:"object" doc:"What it is about." example:"service/web"`
	Field   string      `json:"field" doc:"The field, as in a refusal." example:"dependencies[0]"`
	Code    WarningCode `json:"code" enum:"cycle,deprecated,less_critical" doc:"What kind of warning it is, for programs. More may be added."`
	Message string      `json:"message" doc:"What may go wrong." example:"\"payments\" is deprecated: use billing instead"`
}

// Warnings gives what is to be warned of among declarations, in their order. Of
// what they do not hold nothing is said. The cost is linear in the number of
// services and dependencies.
func Warnings(services []*Service, routes []*Route) []Warning {
	g := graphOf(services)
	g.findCircles()
	find := func(name ServiceName) *Service {
		if at, known := g.index[name]; known {
			return services[at]
		}
		return nil
	}
	var out []Warning
	for i := range services {
		out = append(out, callWarnings(services[i], find)...)
		if g.index[services[i].Name] != i {
			continue // declared twice
		}
		if path := g.cycle(i); path != nil {
			out = append(out, cycleWarning(services[i], g.names(path)))
		}
	}
	for i := range routes {
		out = append(out, RouteWarnings(routes[i], find)...)
	}
	return out
}

// ServiceWarnings gives what [Warnings] would of one service. find gives the other
// services, nil for those that there are not. The cost is linear in what it calls,
// directly and by way of others.
func ServiceWarnings(service *Service, find func(ServiceName) *Service) []Warning {
	out := callWarnings(service, find)
	if path := cycleThrough(service, find); path != nil {
		out = append(out, cycleWarning(service, path))
	}
	return out
}

// callWarnings looks at the services that one calls.
func callWarnings(service *Service, find func(ServiceName) *Service) []Warning {
	var out []Warning
	for i, name := range service.Dependencies {
		callee := find(name)
		if callee == nil || name == service.Name {
			continue
		}
		warn := func(code WarningCode, format string, args ...any) {
			out = append(out, Warning{Object: "service/" + string(service.Name), Field: at("dependencies", i), Code: code, Message: fmt.Sprintf(format, args...)})
		}
		if callee.Deprecated != "" {
			warn(WarnDeprecated, "%q is deprecated: %s", name, callee.Deprecated)
		}
		if service.Tier != 0 && callee.Tier > service.Tier {
			warn(WarnLessCritical, "%q is less critical (tier %d) than %q (tier %d), which is only as reliable as what it calls", name, callee.Tier, service.Name, service.Tier)
		}
	}
	return out
}

// RouteWarnings gives what [Warnings] would of one route.
func RouteWarnings(route *Route, find func(ServiceName) *Service) []Warning {
	var out []Warning
	look := func(field string, name ServiceName) {
		if callee := find(name); callee != nil && callee.Deprecated != "" {
			out = append(out, Warning{
				Object: "route/" + string(route.Name), Field: field + ".service", Code: WarnDeprecated,
				Message: fmt.Sprintf("%q is deprecated: %s", name, callee.Deprecated),
			})
		}
	}
	for i, backend := range route.Backends {
		look(at("backends", i), backend.Service)
	}
	if route.Mirror != nil {
		look("mirror", route.Mirror.Service)
	}
	return out
}

// cycleWarning names a cycle, from the service on unless it was too costly to find
// one with it; path does not repeat its beginning at its end.
func cycleWarning(service *Service, path []ServiceName) Warning {
	const most = 10
	names := make([]string, 0, most+2)
	for i, name := range path {
		if i == most && len(path) > most+1 {
			names = append(names, fmt.Sprintf("… (%d more)", len(path)-most))
			break
		}
		names = append(names, string(name))
	}
	names = append(names, string(path[0]))
	begin := "calls itself in the end: "
	if path[0] != service.Name {
		begin = "calls itself in the end, among many who do: "
	}
	warning := Warning{
		Object: "service/" + string(service.Name), Field: "dependencies", Code: WarnCycle,
		Message: begin + strings.Join(names, " → ") + "; one of them that is slow or fails takes the others along",
	}
	for i, name := range service.Dependencies {
		if path[0] == service.Name && name == path[1] {
			warning.Field = at("dependencies", i)
		}
	}
	return warning
}
