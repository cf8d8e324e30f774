package ui

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/heddle-mesh/heddle/internal/approvals"
	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/insight"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// overall is what pages show of all services at one moment. Each part is made once
// for each view, when a page first asks for it, and never changes.
type overall struct {
	view      *catalog.View
	listing   func() listing
	warnings  func() []mesh.Warning
	approvals func() []approvals.Approval
}

// listing is all services at a glance.
type listing struct {
	services  []serviceRow // by name
	owners    []string     // sorted, each once
	instances int
	healthy   int
}

// serviceRow is a service in the list.
type serviceRow struct {
	Name, Owner, Description string
	Protocol                 mesh.Protocol
	Port                     mesh.Port
	Health                   chip
	State                    healthState
	Instances                string
	Calls, CalledBy          int
	Changed                  time.Time
	known                    int // instances
}

// healthState is how a service fares, for the filter.
type healthState string

// The states of a service.
const (
	allHealthy  healthState = "healthy"  // every instance, or addresses that nobody registers
	someHealthy healthState = "degraded" // not all of them, or some that are stale
	noneHealthy healthState = "down"
	noInstances healthState = "empty"
)

// all gives what is known of all services now.
func (u *UI) all() *overall {
	view := u.cfg.Catalog.View()
	made, err := u.overall.get(view, time.Time{}, struct{}{}, func() (*overall, error) { return newOverall(view), nil })
	if err != nil { // whoever made it did not come to the end
		return newOverall(view)
	}
	return made
}

func newOverall(view *catalog.View) *overall {
	return &overall{
		view:    view,
		listing: sync.OnceValue(func() listing { return newListing(view) }),
		warnings: sync.OnceValue(func() []mesh.Warning {
			return mesh.Warnings(slices.Collect(view.Services()), view.Routes())
		}),
		approvals: sync.OnceValue(func() []approvals.Approval {
			return approvals.List(slices.Collect(view.Services()), view.Routes())
		}),
	}
}

// pending counts the approvals that somebody waits for.
func (o *overall) pending() int {
	n := 0
	for _, one := range o.approvals() {
		if one.State == approvals.Pending {
			n++
		}
	}
	return n
}

func newListing(view *catalog.View) listing {
	var made listing
	for service := range view.Services() {
		instances := view.Instances(service.Name)
		row := serviceRow{
			Name: string(service.Name), Owner: service.Owner, Description: service.Description, Protocol: service.Protocol, Port: service.Port,
			Calls: len(service.Dependencies), CalledBy: len(view.Dependents(service.Name)), Changed: service.Meta.UpdatedAt, known: len(instances),
		}
		row.Health, row.State, row.Instances = healthOf(service, instances)
		made.services = append(made.services, row)
		made.owners = append(made.owners, service.Owner)
	}
	for one := range view.AllInstances() {
		made.instances++
		if healthy(one) {
			made.healthy++
		}
	}
	slices.Sort(made.owners)
	made.owners = slices.Compact(made.owners)
	return made
}

func healthy(one *mesh.Instance) bool {
	return cmp.Or(one.Health, mesh.Healthy) == mesh.Healthy && !one.Stale
}

// healthOf tells how a service fares by its instances.
func healthOf(service *mesh.Service, instances []*mesh.Instance) (chip, healthState, string) {
	switch {
	case service.Resolved() != nil:
		return chip{"none", "by DNS", "its instances are what " + service.Resolved().Host + " resolves to; sidecars know their health"}, allHealthy, "DNS"
	case len(service.Endpoints.Static) > 0:
		return chip{"none", "fixed", "its addresses are part of its declaration; sidecars know their health"}, allHealthy, fmt.Sprint(len(service.Endpoints.Static))
	}
	health := insight.ServiceHealth(service, instances)
	share := fmt.Sprintf("%d of %d", health.Healthy, health.Instances)
	switch {
	case health.Status == mesh.HealthEmpty:
		return chip{"warn", "no instances", "nothing is registered: calls get a 503"}, noInstances, "0"
	case health.Status == mesh.HealthGood:
		return chip{"ok", "healthy", ""}, allHealthy, fmt.Sprint(health.Healthy)
	case health.Stale == health.Instances:
		return chip{"warn", "stale", "the leases of all its instances ended together; they are kept until they are confirmed gone"}, someHealthy, share
	case health.Status == mesh.HealthDown:
		return chip{"bad", "down", "none of its instances is healthy"}, noneHealthy, share
	}
	return chip{"warn", "degraded", share + " are healthy"}, someHealthy, share
}

// fits says whether a service is looked for by a text in its name or description.
func (s *serviceRow) fits(query string) bool {
	return query == "" || strings.Contains(s.Name, query) || strings.Contains(strings.ToLower(s.Description), query)
}
