package insight

import (
	"cmp"
	"slices"
	"strings"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// healthOrder is the worst first.
var healthOrder = map[mesh.HealthWord]int{mesh.HealthDown: 0, mesh.HealthEmpty: 1, mesh.HealthDegraded: 2, mesh.HealthGood: 3, mesh.HealthOutside: 4} //nolint:gochecknoglobals // never changed

// Health says how all services fare.
func Health(view *catalog.View) mesh.MeshHealth {
	out := mesh.MeshHealth{Status: mesh.HealthGood, Revision: view.Revision(), Services: []mesh.ServiceHealth{}}
	called, working := 0, 0 // of those that others call
	for service := range view.Services() {
		one := ServiceHealth(service, view.Instances(service.Name))
		one.Expected = len(view.Dependents(service.Name)) > 0 || len(view.RoutesTo(service.Name)) > 0
		out.Services = append(out.Services, one)
		*countOf(&out.Counts, one.Status)++
		bad := one.Status == mesh.HealthDown || one.Status == mesh.HealthDegraded || one.Status == mesh.HealthEmpty && one.Expected
		if bad {
			out.Status = mesh.HealthDegraded
		}
		if one.Expected {
			called++
			if one.Healthy > 0 || one.Status == mesh.HealthOutside {
				working++
			}
		}
	}
	if called > 0 && working == 0 {
		out.Status = mesh.HealthDown
	}
	slices.SortStableFunc(out.Services, func(a, b mesh.ServiceHealth) int {
		return cmp.Or(cmp.Compare(healthOrder[a.Status], healthOrder[b.Status]), strings.Compare(string(a.Name), string(b.Name)))
	})
	return out
}

func countOf(counts *mesh.HealthCounts, word mesh.HealthWord) *int {
	switch word {
	case mesh.HealthDown:
		return &counts.Down
	case mesh.HealthEmpty:
		return &counts.Empty
	case mesh.HealthDegraded:
		return &counts.Degraded
	case mesh.HealthOutside:
		return &counts.Outside
	}
	return &counts.Healthy
}

// ServiceHealth says how a service fares by its instances; whether somebody expects it
// is for who knows the others.
func ServiceHealth(service *mesh.Service, instances []*mesh.Instance) mesh.ServiceHealth {
	out := mesh.ServiceHealth{Name: service.Name, Owner: service.Owner}
	if !service.Endpoints.Registered() {
		out.Status = mesh.HealthOutside
		return out
	}
	for _, one := range instances {
		if one.Health == mesh.Removed {
			continue
		}
		out.Instances++
		switch {
		case one.Stale:
			out.Stale++
		case one.Health == mesh.Draining:
			out.Draining++
		case one.Health == mesh.Unhealthy:
			out.Unhealthy++
		default:
			out.Healthy++
		}
	}
	switch {
	case out.Instances == 0:
		out.Status = mesh.HealthEmpty
	case out.Healthy == out.Instances:
		out.Status = mesh.HealthGood
	case out.Healthy == 0 && out.Stale == 0:
		out.Status = mesh.HealthDown
	default:
		out.Status = mesh.HealthDegraded
	}
	return out
}
