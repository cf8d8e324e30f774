package main

import (
	"maps"
	"slices"

	"github.com/heddle-mesh/heddle/internal/manifest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// noteWarnings adds what is to be warned of about the objects, among all that the
// mesh holds once they are written.
func noteWarnings(steps []step, held map[string]manifest.Object) {
	then := maps.Clone(held)
	of := map[string]*step{}
	for i := range steps {
		if steps[i].Result != refused {
			then[steps[i].Object], of[steps[i].Object] = steps[i].object, &steps[i]
		}
	}
	var services []*mesh.Service
	var routes []*mesh.Route
	for _, name := range slices.Sorted(maps.Keys(then)) {
		switch o := then[name]; o.Kind {
		case manifest.KindService:
			services = append(services, o.Service)
		case manifest.KindRoute:
			routes = append(routes, o.Route)
		}
	}
	for _, one := range mesh.Warnings(services, routes) {
		if s := of[one.Object]; s != nil {
			s.Warnings = append(s.Warnings, one)
		}
	}
}
