package manifest

import (
	"fmt"
	"slices"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Report is what [Lint] found.
type Report struct {
	Errors   []Fault // what cannot be meant
	Warnings []Fault // what may be right when the mesh holds more than the files, and what is allowed and may go wrong
	// Unknown are the services that others call and no file declares: whether they
	// are deprecated, less critical or part of a cycle cannot be told.
	Unknown []mesh.ServiceName
}

// Lint looks at objects together, as only the whole of them can be wrong.
func Lint(objects []Object) Report {
	l := linter{services: map[mesh.ServiceName]*Object{}, routes: map[string][]*Object{}}
	l.duplicates(objects)
	for i := range objects {
		switch o := &objects[i]; o.Kind {
		case KindService:
			l.dependencies(o)
			l.ownPorts(o)
		case KindInstance:
			l.instance(o)
		case KindRoute:
			l.backends(o)
			l.hidden(o)
		}
	}
	l.warnings(objects)
	return l.report
}

// warnings adds what the model warns of.
func (l *linter) warnings(objects []Object) {
	byName := map[string]*Object{}
	var services []*mesh.Service
	var routes []*mesh.Route
	for i := range objects {
		o := &objects[i]
		if byName[o.String()] != nil {
			continue
		}
		byName[o.String()] = o
		switch o.Kind {
		case KindService:
			services = append(services, o.Service)
		case KindRoute:
			routes = append(routes, o.Route)
		}
	}
	for _, one := range mesh.Warnings(services, routes) {
		l.warn(byName[one.Object], one.Field, "%s", one.Message)
	}
	slices.Sort(l.report.Unknown)
	l.report.Unknown = slices.Compact(l.report.Unknown)
}

type linter struct {
	services map[mesh.ServiceName]*Object
	routes   map[string][]*Object // those seen so far, by plain host
	report   Report
}

func (l *linter) error(o *Object, path, format string, args ...any) {
	l.report.Errors = append(l.report.Errors, o.Locate(path, fmt.Sprintf(format, args...)))
}

func (l *linter) warn(o *Object, path, format string, args ...any) {
	l.report.Warnings = append(l.report.Warnings, o.Locate(path, fmt.Sprintf(format, args...)))
}

func (l *linter) duplicates(objects []Object) {
	first := map[string]*Object{}
	for i := range objects {
		o := &objects[i]
		if earlier, twice := first[o.String()]; twice {
			l.error(o, namePath(o.Kind), "%s is declared already, at %s", o, earlier.Locate(namePath(o.Kind), "").Place())
			continue
		}
		first[o.String()] = o
		if o.Kind == KindService {
			l.services[o.Service.Name] = o
		}
	}
}

func namePath(kind Kind) string {
	switch kind {
	case KindInstance:
		return "id"
	case KindRuntime:
		return ""
	}
	return "name"
}

func (l *linter) dependencies(o *Object) {
	for i, name := range o.Service.Dependencies {
		if l.services[name] == nil {
			l.warn(o, at("dependencies", i), "no service %q in these files: the dependency is pending until one is declared", name)
			l.report.Unknown = append(l.report.Unknown, name)
		}
	}
}

// ownPorts finds dependencies that want the same port on their caller's sidecar.
func (l *linter) ownPorts(o *Object) {
	taken := map[mesh.Port]mesh.ServiceName{}
	dependencies := o.Service.Dependencies
	for i, name := range dependencies {
		callee := l.services[name]
		if callee == nil || callee.Service.OwnPort() == 0 {
			continue
		}
		port := callee.Service.OwnPort()
		path := at("dependencies", i)
		if other, clash := taken[port]; clash {
			l.error(o, path, "%q and %q both want port %d on the sidecars of %q: give one of them another listenerPort", other, name, port, o.Service.Name)
			continue
		}
		taken[port] = name
		if port == mesh.DefaultOutboundPort {
			l.error(o, path, "%q wants port %d on the sidecars of %q, where they take their HTTP calls: give it another listenerPort", name, port, o.Service.Name)
		}
	}
}

func (l *linter) instance(o *Object) {
	service := l.services[o.Instance.Service]
	if service == nil {
		l.warn(o, "service", "no service %q in these files: the instance gets no requests until one is declared", o.Instance.Service)
		return
	}
	if !service.Service.Endpoints.Registered() {
		l.error(o, "service", "%q has endpoints of its own (%s), so that no instance of it can be registered", o.Instance.Service, service.Locate("endpoints", "").Place())
	}
}
