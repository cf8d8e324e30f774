package admission

import (
	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Service gives why a declaration cannot be stored: what the model says, or else
// what the rest of the mesh does.
func Service(view *catalog.View, service *mesh.Service) mesh.Faults {
	if faults := service.Validate(); len(faults) > 0 {
		return faults // ports can be compared only once they are ports
	}
	return Ports(view, service)
}
