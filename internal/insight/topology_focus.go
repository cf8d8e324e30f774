package insight

import (
	"strings"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// around begins the picture of what is near the focus: its cost is that of what
// is shown and of what was seen, not that of the mesh.
func (t *topology) around(seen []mesh.Edge) error {
	stray := strays{map[string][]string{}, map[string][]string{}}
	for i := range seen {
		if one := &seen[i]; t.tried(one) {
			stray.callees[one.Caller] = append(stray.callees[one.Caller], one.Callee)
			stray.callers[one.Callee] = append(stray.callers[one.Callee], one.Caller)
		}
	}
	if !t.known(t.o.Focus, stray) {
		return mesh.NotFound("nothing in the mesh is called %q: no service, no gateway/NAME, and no host that was asked for", mesh.Cut(t.o.Focus, 100))
	}
	t.near = map[string]bool{t.o.Focus: true}
	for _, neighbours := range []func(string, strays) []string{t.callees, t.callers} {
		reached := map[string]bool{t.o.Focus: true}
		border := []string{t.o.Focus}
		for range t.o.Depth {
			var next []string
			for _, name := range border {
				for _, one := range neighbours(name, stray) {
					if !reached[one] {
						reached[one], t.near[one] = true, true
						next = append(next, one)
					}
				}
			}
			border = next
		}
	}
	for name := range t.near {
		t.nodes[name] = true
		if service, declared := t.view.Service(mesh.ServiceName(name)); declared {
			t.declareAll(service)
		}
	}
	return nil
}

// strays are the calls that were tried, which may not be declared.
type strays struct{ callees, callers map[string][]string }

// known says whether the whole picture would have the node.
func (t *topology) known(name string, stray strays) bool {
	_, declared := t.view.Service(mesh.ServiceName(name))
	return declared || len(t.callees(name, stray)) > 0 || len(t.callers(name, stray)) > 0 || t.isGateway(name)
}

func (t *topology) isGateway(name string) bool {
	gateway, is := strings.CutPrefix(name, mesh.GatewayCaller(""))
	return is && t.gateways[mesh.ServiceName(gateway)]
}

func (t *topology) callees(name string, stray strays) []string {
	var names []string
	if service, declared := t.view.Service(mesh.ServiceName(name)); declared {
		for _, callee := range service.Dependencies {
			names = append(names, string(callee))
		}
	}
	if name == anyGateway || t.isGateway(name) {
		for _, route := range t.view.Routes() {
			for _, gateway := range t.servedBy(route) {
				if gateway != name {
					continue
				}
				for _, callee := range route.Services() {
					names = append(names, string(callee))
				}
			}
		}
	}
	return append(names, stray.callees[name]...)
}

func (t *topology) callers(name string, stray strays) []string {
	var names []string
	for _, caller := range t.view.Dependents(mesh.ServiceName(name)) {
		names = append(names, string(caller))
	}
	for _, route := range t.view.RoutesTo(mesh.ServiceName(name)) {
		names = append(names, t.servedBy(route)...)
	}
	return append(names, stray.callers[name]...)
}
