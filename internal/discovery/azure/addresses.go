package azure

import (
	"net/netip"
	"slices"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// addresses finds a machine's, the primary interface's primary configuration first. Azure
// deletes no interface and no public address that a machine has: of one that is not listed
// the address is the one that the machine had.
func (s *Source) addresses(m *machine, f *found, vm, had *mesh.VM) {
	if len(m.nics) == 0 {
		fault(vm, "it has no network interface")
		return
	}
	now, before := wire{nics: joined(m.nics)}, s.wired[m.id]
	if had != nil && before.nics != "" && before.nics != now.nics {
		had = nil
	}
	configs, whole := configsOf(m, f, vm)
	for _, config := range configs {
		addAddress(&vm.PrivateIP, config.private, vm)
		now.public += " " + config.public
	}
	for _, config := range configs {
		if config.public == "" {
			continue
		}
		address, is := f.public[config.public]
		if !is && had != nil && vm.PublicIP == "" && (before.nics == "" || before.public == now.public) {
			address = had.PublicIP
		}
		if address == "" || !is {
			fault(vm, "its public address %s is not there, or has no address yet", config.public)
		}
		addAddress(&vm.PublicIP, address, vm)
	}
	switch {
	case whole:
		s.wired[m.id] = now
	case had != nil && had.PrivateIP != "":
		vm.PrivateIP, vm.PublicIP, vm.Addresses = had.PrivateIP, had.PublicIP, slices.Clone(had.Addresses)
		fault(vm, "its addresses are taken to be those that it had")
	}
	if vm.PrivateIP == "" {
		fault(vm, "it has no private address")
	}
}

// configsOf are the configurations of all of a machine's interfaces, the primary one's
// first, and whether all of them are listed.
func configsOf(m *machine, f *found, vm *mesh.VM) (configs []ipConfig, whole bool) {
	first := primary(m, f, vm)
	whole = true
	for i, ref := range m.nics {
		nic, is := f.nics[ref.id]
		switch {
		case !is:
			whole = false
			fault(vm, "its network interface %s is not there: deleted meanwhile, or in a resource group that the identity may not read", ref.id)
		case i == first:
			configs = append(inOrder(nic.configs), configs...)
		default:
			configs = append(configs, inOrder(nic.configs)...)
		}
	}
	return configs, whole
}

// primary is which interface is the machine's primary one: Azure says it on the machine,
// and on the interface.
func primary(m *machine, f *found, vm *mesh.VM) int {
	for i, ref := range m.nics {
		if ref.primary || len(m.nics) == 1 {
			return i
		}
	}
	for i, ref := range m.nics {
		if f.nics[ref.id].primary {
			return i
		}
	}
	fault(vm, "none of its %d network interfaces is the primary one: the first is taken", len(m.nics))
	return 0
}

// inOrder has the primary configuration first.
func inOrder(configs []ipConfig) []ipConfig {
	for i, config := range configs {
		if config.primary && i > 0 {
			out := append([]ipConfig{config}, configs[:i]...)
			return append(out, configs[i+1:]...)
		}
	}
	return configs
}

// addAddress sets an address that is not set yet, or adds it to the others.
func addAddress(at *string, address string, vm *mesh.VM) {
	switch {
	case address == "":
	case !valid(address):
		fault(vm, "its address %.60q is none", address)
	case *at == "":
		*at = address
	default:
		vm.Addresses = append(vm.Addresses, address)
	}
}

func valid(address string) bool {
	_, err := netip.ParseAddr(address)
	return err == nil
}
