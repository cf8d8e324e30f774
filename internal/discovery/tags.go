package discovery

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Tags are the names of the tags that say what a machine runs. Case does not matter in
// them, as it does not in Azure.
type Tags struct {
	Service string `yaml:"service"` // what it runs: orders, or orders:8080, several between commas; default heddle-service
	Port    string `yaml:"port"`    // the port of those that say none themselves; default heddle-port
	Weight  string `yaml:"weight"`  // its share of the traffic, 1 to 1000; default heddle-weight
	Zone    string `yaml:"zone"`    // the zone of a machine that the cloud has none for; default heddle-zone
}

// WithDefaults fills in the names that are not given.
func (t Tags) WithDefaults() Tags {
	for _, one := range []struct {
		name *string
		is   string
	}{{&t.Service, "heddle-service"}, {&t.Port, "heddle-port"}, {&t.Weight, "heddle-weight"}, {&t.Zone, "heddle-zone"}} {
		if *one.name == "" {
			*one.name = one.is
		}
	}
	return t
}

// Read takes from a machine's tags what they say. What cannot be is told in its faults,
// and left out: it costs neither the machine nor the others.
func (t Tags) Read(vm *mesh.VM) {
	t = t.WithDefaults()
	port, isPort := t.number(vm, t.Port, 65535)
	vm.Weight, _ = t.number(vm, t.Weight, 1000)
	if vm.Zone == "" {
		vm.Zone, _ = vm.Tag(t.Zone)
	}
	seen := map[mesh.ServiceName]bool{}
	services, _ := vm.Tag(t.Service)
	for entry := range strings.SplitSeq(services, ",") {
		name, own, has := strings.Cut(strings.TrimSpace(entry), ":")
		if name == "" && !has {
			continue
		}
		one := mesh.VMService{Name: mesh.ServiceName(strings.TrimSpace(name)), Port: mesh.Port(port)}
		if !one.Name.Valid() {
			fault(vm, "tag %s: %.80q is no name of a service: use lower-case letters, digits and inner hyphens", t.Service, entry)
			continue
		}
		if has {
			number, err := strconv.ParseUint(strings.TrimSpace(own), 10, 16)
			if err != nil || number == 0 {
				fault(vm, "tag %s: %.80q does not end with a port, 1 to 65535", t.Service, entry)
				continue
			}
			one.Port = mesh.Port(number)
		} else if !isPort { // another port than the one that was meant would have its requests
			fault(vm, "tag %s: %s is left out, as tag %s is wrong and it has no port of its own", t.Service, one.Name, t.Port)
			continue
		}
		if seen[one.Name] {
			fault(vm, "tag %s names %s twice", t.Service, one.Name)
			continue
		}
		seen[one.Name] = true
		vm.Runs = append(vm.Runs, one)
	}
}

// number reads a tag that is 1 to most, or is not there: 0.
func (t Tags) number(vm *mesh.VM, name string, most int) (number int, is bool) {
	text, _ := vm.Tag(name)
	if text = strings.TrimSpace(text); text == "" {
		return 0, true
	}
	number, err := strconv.Atoi(text)
	if err != nil || number < 1 || number > most {
		fault(vm, "tag %s: %.80q is not a number from 1 to %d", name, text, most)
		return 0, false
	}
	return number, true
}

func fault(vm *mesh.VM, format string, args ...any) {
	vm.Faults = append(vm.Faults, fmt.Sprintf(format, args...))
}
