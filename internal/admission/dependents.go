package admission

import (
	"slices"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Dependents finds whom the deletion of a service would hurt, as far as the view
// goes; nil while it does not have the whole mesh.
func Dependents(view *catalog.View, name mesh.ServiceName) *mesh.Dependents {
	if !view.Synced() {
		return nil
	}
	out := &mesh.Dependents{Revision: view.Revision()}
	out.Services = slices.DeleteFunc(slices.Clone(view.Dependents(name)), func(caller mesh.ServiceName) bool { return caller == name })
	for _, route := range view.RoutesTo(name) {
		out.Routes = append(out.Routes, route.Name)
	}
	return out
}
