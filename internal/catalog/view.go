package catalog

import (
	"cmp"
	"hash/maphash"
	"iter"
	"maps"
	"slices"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// View is the whole mesh at one moment. It never changes; what it returns is
// shared and must not be changed either.
type View struct {
	mark        Mark
	synced      bool
	services    shards[mesh.ServiceName, *mesh.Service]
	instances   shards[mesh.ServiceName, []*mesh.Instance]   // sorted by ID
	dependents  shards[mesh.ServiceName, []mesh.ServiceName] // callee → callers, sorted
	routes      map[mesh.RouteName]*mesh.Route               // few; copied on each write
	routesTo    map[mesh.ServiceName][]*mesh.Route           // by the services that they name; made anew when one changed
	vms         shards[string, *mesh.VM]                     // by source and ID
	vmRevision  int64                                        // of the latest change of vms
	sources     []*mesh.DiscoverySource                      // few, by name; copied on each write
	roster      *mesh.DiscoveryRoster
	placing     *mesh.Placing
	wanting     map[mesh.ServiceName]*mesh.Service // that want machines; few, copied on each write of any
	asMachines  map[mesh.ServiceName]int           // how many instances are machines; likewise
	machines    *MachinesMark
	runtime     *mesh.Runtime
	tokenKeys   *mesh.TokenKeys
	authorizers []*mesh.Authorizer            // few, sorted by ID; copied on each write
	unreadable  map[mesh.ServiceName]struct{} // few, mostly none; copied on each write
}

// Mark is a moment of the registry as a catalog knows it.
type Mark struct {
	Epoch    int64 // how often the registry was seen to be restored to an earlier revision
	Revision int64
}

// Before says whether a moment was before another. Revisions alone do not tell: they go
// back when the registry is restored.
func (m Mark) Before(other Mark) bool {
	return cmp.Or(cmp.Compare(m.Epoch, other.Epoch), cmp.Compare(m.Revision, other.Revision)) < 0
}

func emptyView() *View {
	seed := maphash.MakeSeed()
	return &View{
		services:   newShards[mesh.ServiceName, *mesh.Service](seed),
		instances:  newShards[mesh.ServiceName, []*mesh.Instance](seed),
		dependents: newShards[mesh.ServiceName, []mesh.ServiceName](seed),
		vms:        newShards[string, *mesh.VM](seed),
		roster:     &mesh.DiscoveryRoster{},
		placing:    &mesh.Placing{},
		machines:   new(MachinesMark),
		runtime:    &mesh.Runtime{},
	}
}

// Revision is the registry revision up to which the view is complete.
func (v *View) Revision() int64 { return v.mark.Revision }

// Mark says which of two views is the later one.
func (v *View) Mark() Mark { return v.mark }

// Synced says whether the view has held the whole mesh at least once.
func (v *View) Synced() bool { return v.synced }

// Service finds a declared service.
func (v *View) Service(name mesh.ServiceName) (*mesh.Service, bool) { return v.services.get(name) }

// Unreadable says whether a service that is not among the declared ones is stored
// all the same, as something that cannot be read.
func (v *View) Unreadable(name mesh.ServiceName) bool {
	_, is := v.unreadable[name]
	return is
}

// Services goes through the declared services by name.
func (v *View) Services() iter.Seq[*mesh.Service] { return v.services.sorted() }

// ServiceCount is the number of declared services.
func (v *View) ServiceCount() int { return v.services.size }

// Instances are the known instances of a service, by ID, whether or not the
// service is declared (yet).
func (v *View) Instances(service mesh.ServiceName) []*mesh.Instance {
	list, _ := v.instances.get(service)
	return list
}

// AllInstances goes through every instance, by service and ID.
func (v *View) AllInstances() iter.Seq[*mesh.Instance] {
	return func(yield func(*mesh.Instance) bool) {
		for list := range v.instances.sorted() {
			for _, one := range list {
				if !yield(one) {
					return
				}
			}
		}
	}
}

// Dependents are the services that declare a dependency on name, sorted.
func (v *View) Dependents(name mesh.ServiceName) []mesh.ServiceName {
	list, _ := v.dependents.get(name)
	return list
}

// Route finds a north-south route.
func (v *View) Route(name mesh.RouteName) (*mesh.Route, bool) {
	r, there := v.routes[name]
	return r, there
}

// Routes are the north-south routes, by name.
func (v *View) Routes() []*mesh.Route {
	names := slices.Sorted(maps.Keys(v.routes))
	out := make([]*mesh.Route, len(names))
	for i, name := range names {
		out[i] = v.routes[name]
	}
	return out
}

// RoutesTo are the north-south routes that name a service, by name.
func (v *View) RoutesTo(service mesh.ServiceName) []*mesh.Route { return v.routesTo[service] }

// Owners are those to whom a service or a north-south route belongs.
func (v *View) Owners() map[string]bool {
	out := map[string]bool{}
	for service := range v.Services() {
		out[service.Owner] = true
	}
	for _, route := range v.routes {
		out[route.Owner] = true
	}
	return out
}

// VMs goes through the virtual machines that sources found, by source and ID.
func (v *View) VMs() iter.Seq[*mesh.VM] { return v.vms.sorted() }

// VM finds a virtual machine.
func (v *View) VM(key mesh.VMKey) (*mesh.VM, bool) { return v.vms.get(key.String()) }

// AllVMs goes through the virtual machines in no order, which costs less than [View.VMs].
func (v *View) AllVMs() iter.Seq[*mesh.VM] { return v.vms.all() }

// VMsOf goes through the virtual machines of a source, in no order.
func (v *View) VMsOf(source string) iter.Seq[*mesh.VM] {
	return func(yield func(*mesh.VM) bool) {
		for vm := range v.vms.all() {
			if vm.Source == source && !yield(vm) {
				return
			}
		}
	}
}

// VMCount is the number of virtual machines.
func (v *View) VMCount() int { return v.vms.size }

// VMRevision is the registry revision of the latest change of a virtual machine, be it a
// deletion; the same for two views, of whichever servers, that have the same machines.
func (v *View) VMRevision() int64 { return v.vmRevision }

// Sources is how the sources of virtual machines do, by name.
func (v *View) Sources() []*mesh.DiscoverySource { return v.sources }

// Roster is which of them a server refreshes now; never nil.
func (v *View) Roster() *mesh.DiscoveryRoster { return v.roster }

// Runtime is the runtime layer of all proxies; never nil.
func (v *View) Runtime() *mesh.Runtime { return v.runtime }

// TokenKeys are the public keys by which tokens are checked; nil as long as no
// AuthZ service has written any.
func (v *View) TokenKeys() *mesh.TokenKeys { return v.tokenKeys }

// Authorizers are the AuthZ services that sidecars may ask, by ID. The last one is
// not removed when its lease ends: with nobody to ask, every request is refused,
// so nothing is lost by trying it.
func (v *View) Authorizers() []*mesh.Authorizer { return v.authorizers }

// insert returns list with value at its place; list itself is not changed.
func insert[E any, K any](list []E, value E, key K, compare func(E, K) int) []E {
	i, found := slices.BinarySearchFunc(list, key, compare)
	out := make([]E, 0, len(list)+1)
	out = append(append(out, list[:i]...), value)
	if found {
		i++
	}
	return append(out, list[i:]...)
}

// remove returns list without key; list itself is not changed.
func remove[E any, K any](list []E, key K, compare func(E, K) int) []E {
	i, found := slices.BinarySearchFunc(list, key, compare)
	if !found {
		return list
	}
	out := make([]E, 0, len(list)-1)
	return append(append(out, list[:i]...), list[i+1:]...)
}
