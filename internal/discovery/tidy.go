package discovery

import (
	"fmt"
	"hash/fnv"
	"strings"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// mostFaults bounds what is told of one machine.
const mostFaults = 20

// tidy makes a machine one that the registry takes, whatever the source says of it: one
// that is wrong must not keep the others from being written. What is left out is told.
func tidy(vm *mesh.VM) {
	vm.ID = TidyID(vm.ID)
	if len(vm.Faults) > mostFaults {
		vm.Faults = append(vm.Faults[:mostFaults-1:mostFaults-1], fmt.Sprintf("and %d faults more", len(vm.Faults)-mostFaults+1))
	}
	if vm.State == "" {
		vm.State = mesh.VMUnknown
	}
	if vm.Health == "" {
		vm.Health = mesh.VMHealthUnknown
	}
	wrong := vm.Validate()
	if len(wrong) == 0 {
		return
	}
	bare := mesh.VM{Source: vm.Source, ID: vm.ID, Name: strings.ToValidUTF8(vm.Name, "?"), Scope: vm.Scope, State: vm.State, Health: vm.Health}
	bare.Faults = []string{"what the source says of it cannot be taken: " + wrong.String()}
	for _, one := range bare.Validate() {
		switch one.Path { // each by itself: without its scope it would be in none that is ever listed
		case "name":
			bare.Name = ""
		case "scope":
			bare.Scope = ""
		case "state":
			bare.State = mesh.VMUnknown
		case "health":
			bare.Health = mesh.VMHealthUnknown
		}
	}
	*vm = bare
}

// TidyID makes an ID that the registry can have as a key: what cannot be is replaced by
// what tells it from others.
func TidyID(id string) string {
	const most = 512
	if len(id) <= most && !strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return id
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(id))
	plain := strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '_'
		}
		return r
	}, id)
	return fmt.Sprintf("%s-%016x", plain[:min(len(plain), most-17)], h.Sum64())
}
