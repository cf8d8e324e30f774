package insight

import (
	"slices"
	"strings"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Authors says whose writes a reader is told of: of those whose audit it may read.
// The zero value is a reader who is told of none.
type Authors struct {
	View *catalog.View
	// May says whether the reader sees what is of a service, or of one of these owners.
	May func(service mesh.ServiceName, owners []string) bool
}

// Of says whether the reader is told who wrote an object, which is named as the
// audit does (service/orders).
func (a Authors) Of(object string) bool {
	if a.May == nil {
		return false
	}
	kind, name, _ := strings.Cut(object, "/")
	var owners []string
	switch kind {
	case "service", "instance":
		name, _, _ = strings.Cut(name, "/")
		if service, declared := a.View.Service(mesh.ServiceName(name)); declared {
			owners = append(owners, service.Owner)
		}
		return a.May(mesh.ServiceName(name), owners)
	case "route":
		if route, there := a.View.Route(mesh.RouteName(name)); there {
			owners = append(owners, route.Owner)
		}
	}
	return a.May("", owners)
}

// Explanation leaves out the authors that the reader is not told.
func (a Authors) Explanation(e *mesh.Explanation) {
	for i := range e.Steps {
		for j := range e.Steps[i].Evidence {
			if one := &e.Steps[i].Evidence[j]; one.Author != "" && !a.Of(one.Object) {
				one.Author = ""
			}
		}
	}
}

// Proxies gives what is told of proxies without the authors that the reader is not
// told. Others may hold what it is given.
func (a Authors) Proxies(all []mesh.ProxyStream) []mesh.ProxyStream {
	all = slices.Clone(all)
	for i := range all {
		all[i].Types = slices.Clone(all[i].Types)
		for j := range all[i].Types {
			all[i].Types[j].Rejected = a.rejection(all[i].Types[j].Rejected)
		}
	}
	return all
}

// ProxyConfig gives what a proxy has without the authors that the reader is not told.
func (a Authors) ProxyConfig(c mesh.ProxyConfig) mesh.ProxyConfig {
	c.Resources = slices.Clone(c.Resources)
	for i := range c.Resources {
		if one := &c.Resources[i]; one.Origin != nil {
			origin := a.origin(*one.Origin)
			one.Origin = &origin
		}
	}
	c.Streams = a.Proxies(c.Streams)
	return c
}

func (a Authors) rejection(r *mesh.Rejection) *mesh.Rejection {
	if r == nil {
		return nil
	}
	out := *r
	out.Objects = slices.Clone(r.Objects)
	for i, one := range out.Objects {
		out.Objects[i] = a.origin(one)
	}
	return &out
}

func (a Authors) origin(o mesh.Origin) mesh.Origin {
	if o.Author != "" && !a.Of(o.Object) {
		o.Author = ""
	}
	return o
}
